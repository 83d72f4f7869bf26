package integration

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/wire"
)

// hbaDecision is a file and what is asked of it: "SOURCE ROLE DATABASE", where
// the source is local, or the last number of an address 127.0.0.N, with a plus
// for TLS. The answer is PostgreSQL's to give.
type hbaDecision struct {
	rules    string
	requests []string
}

var hbaDecisions = []hbaDecision{
	{"host all all 127.0.0.2/32 password\nhost all all 127.0.0.4/30 reject\nhostssl all all 127.0.0.8 255.255.255.255 scram-sha-256\nhostnossl all all all trust",
		[]string{"1 app app", "+1 app app", "2 app app", "+2 app app", "3 app app", "4 app app", "7 app app", "8 app app", "+8 app app", "9 app app", "+9 app app", "local app app"}},
	{"local app app password\nlocal all app reject\nlocal app all scram-sha-256\nlocal nowhere anna trust",
		[]string{"local app app", "local app postgres", "local app nowhere", "local anna app", "local anna nowhere", "local anna postgres", "local nobody app", "local App app", "local app App", "1 app app"}},
	{"local sameuser all password\nlocal samerole all scram-sha-256\nlocal replication all reject",
		[]string{"local app app", "local app staff", "local anna staff", "local inner staff", "local boss staff", "local nobody nobody", "local nobody staff", "local anna replication", "local staff staff", "local staff anna"}},
	{"local all +staff password\nlocal all \"+staff\" reject\nlocal all +nowhere scram-sha-256\nlocal all boss trust",
		[]string{"local anna app", "local inner app", "local staff app", "local boss app", "local app app", "local +staff app", "local nowhere app", "local nobody app", "local outer app"}},
	{"local \"all\" all password\nlocal all \"all\" reject\nlocal \"sameuser\" all scram-sha-256",
		[]string{"local app all", "local all app", "local app app", "local app sameuser", "local all all"}},
	{"local a,\"b c\",d all password\nlocal \"x\"\"y\" all reject\nlocal @dbs all scram-sha-256",
		[]string{"local app a", "local app d", "local app b", "local app b_c", "local app one", "local app two", "local app three", "local app x\"y"}},
	{"host all all localhost password\nhost all all 127.0.0.0/8 reject",
		[]string{"1 app app", "+1 app app", "9 app app"}},
	{"host all all LOCALHOST password\nhost all all .localhost scram-sha-256\nhost all all localhos trust",
		[]string{"1 app app", "9 app app"}},
	{"host all all samehost password\nhost all all 127.0.0.0/8 reject",
		[]string{"1 app app", "9 app app"}},
	{"host all all samenet password", []string{"1 app app", "9 app app", "local app app"}},
	{"host all all 127.0.0.1 0.0.0.255 password\nhost all all 127.0.0.3 255.0.0.1 reject",
		[]string{"1 app app", "2 app app", "3 app app", "5 app app", "6 app app"}},
	{"host all all 127.0.0.99/0 password", []string{"1 app app", "+1 app app", "local app app"}},
	{"host all all ::/0 password", []string{"1 app app", "+1 app app"}},
	{"16:local /^ap all password\nlocal all /^a(n+)a$ reject\nlocal /x$ \"/^B,?b\" scram-sha-256",
		[]string{"local app app", "local app xapp", "local anna db", "local ana db", "local aa db", "local annab db", "local Bb xx", "local B,b x", "local B,,b x", "local b x", "local Bb X"}},
	{"16:local /(?i)^APP$ all password\nlocal \"/^[[:digit:]]{2,3}$\" all reject\nlocal /^a.c$ all scram-sha-256\nlocal /^\\w\\.$ all trust",
		[]string{"local app app", "local app aPP", "local app 1", "local app 12", "local app 1234", "local app abc", "local app abcd", "local app a.", "local app aa"}},
	{"16:local /a|b$ all password\nlocal /^(?:xy)+$ all reject\nlocal /^c+?$ all scram-sha-256\nlocal / all trust",
		[]string{"local app zaz", "local app zb", "local app bz", "local app xyxy", "local app xyx", "local app cc", "local app d"}},
	{"16:include more.conf\nlocal all all scram-sha-256", []string{"local app one", "local app two", "local app three"}},
}

// members mirrors the roles that makeRoles makes, as SQL's inheritance has it.
var members = map[string][]string{"anna": {"staff"}, "inner": {"anna", "staff"}}

func makeRoles(t *testing.T, pg *postgres) {
	t.Helper()
	conn := pg.direct(t, "postgres")
	for _, sql := range []string{"CREATE ROLE staff LOGIN", "CREATE ROLE anna LOGIN IN ROLE staff", "CREATE ROLE inner LOGIN IN ROLE anna",
		"CREATE ROLE boss LOGIN SUPERUSER", "CREATE ROLE outer LOGIN"} {
		if _, err := conn.Exec(soon(t), strings.NewReplacer("inner ", `"inner" `, "outer ", `"outer" `).Replace(sql)); err != nil {
			t.Fatal(err)
		}
	}
}

// machine answers the rules' questions from this machine.
type machine struct{ t *testing.T }

func (m machine) HostName(ip netip.Addr) string {
	names, err := net.DefaultResolver.LookupAddr(m.t.Context(), ip.String())
	if err != nil || len(names) == 0 {
		return ""
	}
	back, err := net.DefaultResolver.LookupNetIP(m.t.Context(), "ip", names[0])
	if err != nil || !slices.ContainsFunc(back, func(a netip.Addr) bool { return a.Unmap() == ip }) {
		return ""
	}
	return strings.TrimSuffix(names[0], ".")
}

func (m machine) Interfaces() (list []netip.Prefix) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		m.t.Fatal(err)
	}
	for _, a := range addrs {
		list = append(list, netip.MustParsePrefix(a.String()))
	}
	return list
}

func (machine) Member(role, group string) bool {
	known := []string{"app", "postgres", "staff", "anna", "inner", "boss", "outer"}
	return role == group && slices.Contains(known, role) || slices.Contains(members[role], group)
}

func TestPostgreSQLDecidesLoginsAsWeDo(t *testing.T) {
	t.Parallel()
	for _, version := range versionsSince(15) {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg := ownPostgres(t, version)
			makeRoles(t, pg)
			writeHBA(t, pg, "dbs", hbaFiles["dbs"])
			writeHBA(t, pg, "more.conf", "local one all password\nlocal two all reject\n")
			asked := 0
			for _, d := range hbaDecisions {
				text, ok := since(d.rules, version)
				if !ok {
					continue
				}
				path := writeHBA(t, pg, "pg_hba.conf", text+"\n")
				rules, err := hba.ParseRules(disk{}, path)
				if err != nil {
					t.Fatal(err)
				}
				if err := pg.Reload(soon(t)); err != nil {
					t.Fatal(err)
				}
				for _, request := range d.requests {
					asked++
					they, we := askPostgres(t, pg, request), decide(t, rules, request)
					if they != we {
						t.Errorf("rules %q, %s: PostgreSQL says %s, we say %s", text, request, they, we)
					}
				}
			}
			if asked < 70 {
				t.Errorf("only %d requests were made", asked)
			}
		})
	}
}

// parseRequest splits a request. The address is not valid for a unix socket.
func parseRequest(t *testing.T, text string) hba.Request {
	t.Helper()
	words := strings.Fields(text)
	number, secured := strings.CutPrefix(words[0], "+")
	q := hba.Request{Role: words[1], Database: words[2], TLS: secured}
	if number != "local" {
		q.Addr = netip.MustParseAddr("127.0.0." + number)
	}
	return q
}

func decide(t *testing.T, rules *hba.Rules, text string) string {
	rule, ok := rules.Match(parseRequest(t, text), machine{t})
	if !ok {
		return "no entry"
	}
	return rule.Method
}

// askPostgres asks the server for a session and tells by which method it would
// have the client prove who it is.
func askPostgres(t *testing.T, pg *postgres, text string) string {
	t.Helper()
	q := parseRequest(t, text)
	conn := dialFrom(t, pg, q)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	packet, err := wire.AppendStartup(nil, wire.Version30, []wire.Parameter{{Name: "user", Value: q.Role}, {Name: "database", Value: q.Database}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	typ, body, err := wire.ReadMessage(conn, nil, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	if typ == wire.ErrorResponse {
		e, err := wire.ParseError(body)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(e.Message, "no pg_hba.conf entry"):
			return "no entry"
		case strings.HasPrefix(e.Message, "pg_hba.conf rejects connection"):
			return hba.Reject
		case strings.Contains(e.Message, "does not exist"): // told to those who are in
			return hba.Trust
		}
		t.Fatalf("%s: %v", text, e)
	}
	kind, _, err := wire.ParseAuthentication(body)
	if err != nil {
		t.Fatal(err)
	}
	return map[uint32]string{wire.AuthOK: hba.Trust, wire.AuthCleartext: hba.Password, wire.AuthSASL: hba.SCRAM}[kind]
}

// dialFrom connects to the server from the address of the request.
func dialFrom(t *testing.T, pg *postgres, q hba.Request) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if !q.Addr.IsValid() {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(pg.DataDir(), fmt.Sprintf(".s.PGSQL.%d", pg.Port())))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: q.Addr.AsSlice()}}
	conn, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", pg.Port()))
	if err != nil {
		t.Fatal(err)
	}
	if !q.TLS {
		return conn
	}
	var answer [1]byte
	_, err = conn.Write(wire.AppendRequest(nil, wire.SSLRequestCode))
	if _, err2 := conn.Read(answer[:]); err != nil || err2 != nil || answer[0] != 'S' {
		t.Fatal(errors.Join(err, err2), answer)
	}
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // who the server is makes no difference here
}
