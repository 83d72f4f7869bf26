package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/pgseal/pgseal/internal/auth/hba"
)

const (
	// timeout bounds one login at a directory, over all of its servers.
	timeout = 15 * time.Second
	// atOnce is how many logins ask directories at the same time; others wait.
	atOnce = 32
	// readLimit is the most bytes that a server may send, the certificates of
	// its TLS handshake included. Our answers are a few hundred bytes long.
	readLimit = 256 << 10
)

func init() {
	// go-ldap decodes what a server sends. Its lengths are bounded before
	// memory is allocated, and its own words are no lines of our log.
	ber.MaxPacketLengthBytes = readLimit
	ber.MaxNestingDepth = 50
	ldap.Logger(log.New(io.Discard, "", 0))
}

// Client asks directories. New makes one.
type Client struct {
	roots     *x509.CertPool // nil: the system's
	plaintext bool
	turns     chan struct{}
}

// New returns a Client that verifies servers by roots, or by the system's
// where roots is nil. plaintext allows ldap:// without StartTLS to other
// machines.
func New(roots *x509.CertPool, plaintext bool) *Client {
	return &Client{roots: roots, plaintext: plaintext, turns: make(chan struct{}, atOnce)}
}

// Refused is the error of a role or password that is wrong. Other errors tell
// that it could not be found out.
type Refused struct{ error }

// Authenticate returns nil if the directory of the options, which Check has
// found to be usable, takes the password for the role. Its errors are for the
// log and hold no secret; a wrong role or password is Refused. ctx bounds it,
// and it bounds itself.
func (c *Client) Authenticate(ctx context.Context, o *hba.LDAPOptions, role, password string) error {
	if password == "" {
		// A bind without a password succeeds, and proves nothing (RFC 4513,
		// 5.1.2).
		return Refused{errors.New("empty password returned by client")}
	}
	if err := checkRole(o, role); err != nil {
		return Refused{err}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return fmt.Errorf("%d other LDAP authentications in progress: %w", atOnce, ctx.Err())
	}
	conn, server, err := c.connect(ctx, o)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	defer conn.Close()
	if err = bind(conn, o, role, password); err != nil {
		told := fmt.Errorf("LDAP server %s: %w", server.name, tellable(ctx, err, password, o.BindPassword))
		if errors.As(err, new(Refused)) {
			return Refused{told}
		}
		return told
	}
	return nil
}

// server is the connection to a server, which bounds what is read from it.
type server struct {
	net.Conn
	name string
	left int
}

// Read implements io.Reader.
func (s *server) Read(b []byte) (int, error) {
	if s.left <= 0 {
		return 0, fmt.Errorf("the server sent more than %d bytes", readLimit)
	}
	n, err := s.Conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

// connect returns a connection to the first server that can be reached and is
// verified. Each gets its share of the time.
func (c *Client) connect(ctx context.Context, o *hba.LDAPOptions) (*ldap.Conn, *server, error) {
	var errs []error
	for i, host := range o.Servers {
		one, cancel := share(ctx, len(o.Servers)-i)
		conn, s, err := c.connectTo(one, o, strings.Trim(host, "[]"))
		cancel()
		if err == nil {
			return conn, s, nil
		}
		errs = append(errs, fmt.Errorf("LDAP server %s: %w", host, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, errors.Join(errs...)
}

// share bounds ctx to its part of the time that is left.
func share(ctx context.Context, parts int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(parts))
}

func (c *Client) connectTo(ctx context.Context, o *hba.LDAPOptions, host string) (*ldap.Conn, *server, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(o.Port)))
	if err != nil {
		return nil, nil, err
	}
	s := &server{Conn: raw, name: host, left: readLimit}
	conn, err := c.secure(ctx, o, s)
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	return conn, s, nil
}

// secure starts LDAP on a connection, over TLS if configured.
func (c *Client) secure(ctx context.Context, o *hba.LDAPOptions, s *server) (*ldap.Conn, error) {
	stop := context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	config := &tls.Config{RootCAs: c.roots, ServerName: s.name, MinVersion: tls.VersionTLS12}
	switch {
	case o.Scheme == hba.SchemeLDAPS:
		secured := tls.Client(s, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		return begin(secured, true), nil
	case o.TLS:
		conn := begin(s, false)
		if err := conn.StartTLS(config); err != nil {
			conn.Close()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
		return conn, nil
	case !c.plaintext && !isLoopback(s.RemoteAddr()):
		return nil, errors.New("TLS is required for a server on another machine")
	}
	return begin(s, false), nil
}

// begin starts go-ldap's reader on a connection. Close of the result ends it.
func begin(conn net.Conn, secured bool) *ldap.Conn {
	c := ldap.NewConn(conn, secured)
	c.Start()
	return c
}

func isLoopback(addr net.Addr) bool {
	ip, err := netip.ParseAddrPort(addr.String())
	return err == nil && ip.Addr().Unmap().IsLoopback()
}

// bind authenticates the role with a bind on conn.
func bind(conn *ldap.Conn, o *hba.LDAPOptions, role, password string) error {
	dn := simpleName(o, role)
	if o.Searches() {
		var err error
		if dn, err = search(conn, o, role); err != nil {
			return err
		}
	}
	if dn == "" {
		return errors.New("the entry has no DN to bind as")
	}
	err := conn.Bind(dn, password)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials):
		return Refused{fmt.Errorf("LDAP login failed for %q: %w", dn, err)}
	case err != nil:
		return fmt.Errorf("LDAP login failed for %q: %w", dn, err)
	}
	return nil
}

// search returns the DN of the one entry of the role.
func search(conn *ldap.Conn, o *hba.LDAPOptions, role string) (dn string, err error) {
	if o.BindDN == "" {
		err = conn.UnauthenticatedBind("")
	} else {
		err = conn.Bind(o.BindDN, o.BindPassword)
	}
	if err != nil {
		return "", fmt.Errorf("could not perform initial LDAP bind as %q: %w", o.BindDN, err)
	}
	filter := searchFilter(o, role)
	// Two are enough to see that there is more than one. Attributes are not
	// asked for (RFC 4511, 4.5.1.8).
	found, err := conn.Search(ldap.NewSearchRequest(o.BaseDN, o.Scope, ldap.NeverDerefAliases, 2,
		int(timeout/time.Second), false, filter, []string{"1.1"}, nil))
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return "", Refused{fmt.Errorf("LDAP user is not unique: filter %q matches more than one entry", filter)}
	}
	if err != nil {
		return "", fmt.Errorf("could not search LDAP for filter %q in %q: %w", filter, o.BaseDN, err)
	}
	switch len(found.Entries) {
	case 0:
		return "", Refused{fmt.Errorf("LDAP user does not exist: filter %q matches no entry in %q", filter, o.BaseDN)}
	case 1:
		return found.Entries[0].DN, nil
	}
	return "", Refused{fmt.Errorf("LDAP user is not unique: filter %q matches more than one entry", filter)}
}

// tellable returns an error that is safe to log: part of it is the server's text,
// which may be long or contain a password that was sent.
func tellable(ctx context.Context, err error, secrets ...string) error {
	const most = 500
	if ctx.Err() != nil {
		return errors.New("timed out")
	}
	text := err.Error()
	for _, secret := range secrets {
		if secret != "" && strings.Contains(text, secret) {
			return errors.New("diagnostic message suppressed because it contains a password")
		}
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return errors.New(text)
}
