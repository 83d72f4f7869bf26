package ldap

import (
	"crypto/tls"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/devca"
)

// directory is an LDAP server with as much sense as the tests need.
type directory struct {
	t      *testing.T
	ln     net.Listener
	config *tls.Config // nil: no StartTLS
	ldaps  bool

	passwords map[string]string   // by DN
	found     map[string][]string // DNs by filter
	inject    []byte              // sent behind the answer to StartTLS, in plaintext
	says      string              // diagnostic message of a bind that fails

	mu    sync.Mutex
	binds []string // DN and password of each bind
	conns sync.WaitGroup
}

// openDirectory starts a directory on the loopback address.
func openDirectory(t *testing.T, edit func(*directory)) *directory {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &directory{t: t, ln: ln,
		passwords: map[string]string{"uid=anna,ou=people,dc=x": "right", "cn=search,dc=x": "finder"},
		found:     map[string][]string{"(uid=anna)": {"uid=anna,ou=people,dc=x"}},
	}
	if edit != nil {
		edit(d)
	}
	d.conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			d.conns.Go(func() { d.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		d.conns.Wait()
	})
	return d
}

// options lead to the directory.
func (d *directory) options(t *testing.T, more string) *hba.LDAPOptions {
	t.Helper()
	return parse(t, "ldapserver=127.0.0.1 ldapport="+strconv.Itoa(d.port())+" "+more)
}

func (d *directory) port() int { return d.ln.Addr().(*net.TCPAddr).Port }

func (d *directory) seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.binds
}

func (d *directory) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if d.ldaps {
		conn = tls.Server(conn, d.config)
	}
	for {
		p, err := ber.ReadPacket(conn)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, op := p.Children[0].Value, p.Children[1]
		switch op.Tag {
		case ldap.ApplicationBindRequest:
			dn, password := op.Children[1].Value.(string), op.Children[2].Data.String()
			code, says := ldap.LDAPResultInvalidCredentials, d.says
			if right, ok := d.passwords[dn]; ok && right == password || dn == "" && password == "" {
				code, says = ldap.LDAPResultSuccess, ""
			}
			d.mu.Lock()
			d.binds = append(d.binds, dn+"/"+password)
			d.mu.Unlock()
			conn.Write(answer(id, ldap.ApplicationBindResponse, code, says))
		case ldap.ApplicationSearchRequest:
			filter, err := ldap.DecompileFilter(op.Children[6])
			if err != nil {
				d.t.Error(err)
			}
			for _, dn := range d.found[filter] {
				conn.Write(entry(id, dn))
			}
			conn.Write(answer(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultSuccess, ""))
		case ldap.ApplicationExtendedRequest:
			if d.config == nil {
				conn.Write(answer(id, ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError, "no TLS here"))
				continue
			}
			conn.Write(append(answer(id, ldap.ApplicationExtendedResponse, ldap.LDAPResultSuccess, ""), d.inject...))
			conn = tls.Server(conn, d.config)
		default:
			return
		}
	}
}

func envelope(id any, op *ber.Packet) []byte {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p.Bytes()
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// answer is an LDAPResult (RFC 4511, 4.1.9).
func answer(id any, tag ber.Tag, code int, says string) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	op.AppendChild(text(""))
	op.AppendChild(text(says))
	return envelope(id, op)
}

func entry(id any, dn string) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(text(dn))
	op.AppendChild(ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, ""))
	return envelope(id, op)
}

// authority makes certificates for the directory.
func authority(t *testing.T, hosts ...string) (*devca.CA, *tls.Config) {
	t.Helper()
	ca, err := devca.New("authority of the directory", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(devca.Request{CommonName: "directory", Hosts: hosts, Life: 30 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return ca, &tls.Config{Certificates: []tls.Certificate{cert}}
}
