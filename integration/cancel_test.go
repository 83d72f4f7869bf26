package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// slow is a query that ends by being canceled. Its text tells whose it is.
func slow(name string) string { return "SELECT pg_sleep(300), '" + name + "'" }

// runs waits until the server carries out slow(name).
func runs(t *testing.T, observer *pgx.Conn, name string) {
	t.Helper()
	eventually(t, patience, "the query of "+name+" runs", func() bool {
		return backends(t, observer, "state = 'active' AND query LIKE '%pg_sleep%''"+name+"''%'") == 1
	})
}

// inBackground runs a query and returns where its error, or nil, will come.
func inBackground(conn *pgx.Conn, ctx context.Context, sql string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(ctx, sql)
		done <- err
	}()
	return done
}

// cancelInPlaintext sends a CancelRequest as libpq before version 17 does,
// without TLS, and waits until pgseal has dealt with it.
func (p *pgseal) cancelInPlaintext(conn *pgx.Conn) error {
	raw, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", p.port()), patience)
	if err != nil {
		return err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	if _, err := raw.Write(cancelRequest(conn.PgConn().PID(), conn.PgConn().SecretKey())); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, raw)
	return err
}

func TestACancelRequestEndsThatQueryAndNoOther(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "2"}}})
		observer := pg.direct(t, "app")
		mine, other := p.pgx(t, "app", execMode), p.pgx(t, "app", execMode)
		cancels := map[string]func() error{
			"over TLS":     func() error { return mine.PgConn().CancelRequest(soon(t)) },
			"in plaintext": func() error { return p.cancelInPlaintext(mine) },
		}
		for how, cancel := range cancels {
			unharmed := inBackground(other, soon(t), slow("other"))
			runs(t, observer, "other")
			canceled := inBackground(mine, soon(t), slow("mine"))
			runs(t, observer, "mine")
			if err := cancel(); err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			wantState(t, receive(t, canceled, "my query ends"), "57014")
			if got := value(t, mine, "SELECT 'alive'"); got != "alive" {
				t.Errorf("%s: got %q after it", how, got)
			}
			runs(t, observer, "other")
			if err := other.PgConn().CancelRequest(soon(t)); err != nil {
				t.Fatal(err)
			}
			wantState(t, receive(t, unharmed, "the other query ends"), "57014")
		}
	})
}

func TestACancelRequestWithoutAQueryOrWithAnotherKeyDoesNothing(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, "18")
	p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "1"}}})
	observer := pg.direct(t, "app")
	mine, other := p.pgx(t, "app", execMode), p.pgx(t, "app", execMode)
	execute(t, mine, "SELECT 1") // had the only server
	running := inBackground(other, soon(t), slow("other"))
	runs(t, observer, "other")
	if err := p.cancelInPlaintext(mine); err != nil {
		t.Fatal(err)
	}
	conn, err := p.dialTLS(p.listeners[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(cancelRequest(other.PgConn().PID(), make([]byte, 4))); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); n != 0 || err != nil {
		t.Errorf("the guess was answered with %d bytes, %v", n, err)
	}
	runs(t, observer, "other")
	if err := other.PgConn().CancelRequest(soon(t)); err != nil {
		t.Fatal(err)
	}
	wantState(t, receive(t, running, "the query ends"), "57014")
}

func TestAClientThatWaitsForAServerCanCancelItsWait(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, "18")
	p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "1"}}})
	observer := pg.direct(t, "app")
	first, second := p.pgx(t, "app", execMode), p.pgx(t, "app", execMode)
	running := inBackground(first, soon(t), slow("first"))
	runs(t, observer, "first")
	waiting := inBackground(second, soon(t), "SELECT 1")
	var ended error
	eventually(t, patience, "the wait is canceled", func() bool {
		if err := p.cancelInPlaintext(second); err != nil {
			t.Fatal(err)
		}
		select {
		case ended = <-waiting:
			return true
		default:
			return false
		}
	})
	wantState(t, ended, "57014")
	if err := first.PgConn().CancelRequest(soon(t)); err != nil {
		t.Fatal(err)
	}
	wantState(t, receive(t, running, "the first query ends"), "57014")
}

func TestPsqlCancelsItsQueryWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{})
		observer := pg.direct(t, "app")
		psql, _, stderr := background(t, p.command(t, "psql", "app", nil, "-X", "-c", slow("psql")))
		runs(t, observer, "psql")
		if err := psql.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if !psql.ended(patience) {
			t.Fatal("psql goes on")
		}
		if !strings.Contains(stderr.String(), "canceling statement due to user request") {
			t.Errorf("psql says %q", stderr)
		}
	})
}

func TestHundredsOfCancelRequestsHitNobodyElseOnTheSameServers(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		for _, poolSize := range []string{"1", "3"} {
			t.Run("pool_size "+poolSize, func(t *testing.T) {
				p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": poolSize}}})
				stops := []func() (int, error){bystander(t, p), bystander(t, p), bystander(t, p)}
				hits := make(chan int)
				for _, version := range []string{"3.0", "3.2"} { // whose queries end by each other's cancel, if at all
					go func() { hits <- hammer(t, p, version, 150) }()
				}
				hit := <-hits + <-hits
				for _, stop := range stops {
					queries, err := stop()
					if err != nil {
						t.Errorf("the bystander's query %d: %v", queries, err)
					}
					t.Logf("%d cancels hit, %d queries beside them", hit, queries)
					if hit == 0 || queries < 50 {
						t.Errorf("%d cancels hit and %d queries ran: that shows nothing", hit, queries)
					}
				}
			})
		}
	})
}

// bystander runs short queries until it is stopped, and tells how many there
// were and why it ended before that.
func bystander(t *testing.T, p *pgseal) (stop func() (queries int, err error)) {
	t.Helper()
	conn := p.pgx(t, "app", execMode)
	stopped, done := make(chan struct{}), make(chan struct{})
	queries := 0
	var err error
	go func() {
		defer close(done)
		for err == nil {
			select {
			case <-stopped:
				return
			default:
			}
			queries++
			_, err = conn.Exec(context.Background(), "SELECT count(*) FROM generate_series(1, 3000)")
		}
	}()
	return func() (int, error) {
		close(stopped)
		<-done
		return queries, err
	}
}

// hammer runs short queries and cancels each, by TLS and in plaintext, most
// often too late or too early. It returns how many were hit, and fails the
// test where one was that it had not cancelled.
func hammer(t *testing.T, p *pgseal, version string, rounds int) (hits int) {
	conn := p.speaking(t, version)
	for i := range rounds {
		if _, err := conn.Exec(t.Context(), "SELECT 1"); err != nil {
			t.Errorf("round %d: what nobody canceled ended with %v", i, err)
			return hits
		}
		done := inBackground(conn, t.Context(), "SELECT pg_sleep(0.00"+fmt.Sprint(i%5)+")")
		var err error
		if i%2 == 0 {
			err = conn.PgConn().CancelRequest(t.Context())
		} else {
			err = p.cancelInPlaintext(conn)
		}
		if err != nil {
			t.Errorf("cancel %d: %v", i, err)
			return hits
		}
		if err := <-done; err != nil {
			if sqlState(err) != "57014" {
				t.Errorf("round %d ended with %v", i, err)
			}
			hits++
		}
		if conn.IsClosed() { // it was hit while it waited for a server
			conn = p.speaking(t, version)
		}
	}
	return hits
}
