package integration

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// notOpened is what pgseal logs when it can't open a connection to a server.
const notOpened = "server connection could not be opened"

// refused tries to log in and returns the error it is told, which has to come
// quickly.
func refused(t *testing.T, p *pgseal, database, more, state string) *pgconn.PgError {
	t.Helper()
	conn, err := p.tryPgx(soon(t), database, more)
	if err == nil {
		conn.Close(soon(t))
	}
	e := wantState(t, err, state)
	if e.Severity != "FATAL" {
		t.Errorf("severity %s, want FATAL", e.Severity)
	}
	return e
}

func TestAnUnknownUserGetsTheSameAnswerAsAWrongPassword(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{})
	password := "password=" + wrongPassword
	known := refused(t, p, "app", password, "28P01")
	unknown := refused(t, p, "app", "user=stranger "+password, "28P01")
	if want := `password authentication failed for user "app"`; known.Message != want {
		t.Errorf("got %q, want %q, as PostgreSQL says", known.Message, want)
	}
	known.Message = strings.Replace(known.Message, `"app"`, `"stranger"`, 1)
	if *known != *unknown {
		t.Errorf("a wrong password is answered with %+v, an unknown user with %+v", known, unknown)
	}
}

func TestAnUnknownDatabaseIsToldOnlyToThoseWhoMayLogIn(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{})
	refused(t, p, "nowhere", "", "3D000")
	refused(t, p, "nowhere", "password="+wrongPassword, "28P01")
}

func TestTheServersRefusalOfALoginReachesTheClient(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{
			users:  map[string]string{"sealed": sealedPassword, "stranger": wrongPassword},
			errors: []string{notOpened},
			databases: map[string]settings{
				"app":   {},
				"lost":  {"dbname": "lost"},
				"wrong": {"user": "app", "password": wrongPassword},
			},
		})
		tests := []struct{ name, database, more, state, message string }{
			{"a role that may not log in", "app", "user=sealed password=" + sealedPassword, "28000", `role "sealed" is not permitted to log in`},
			{"a role that the server does not know", "app", "user=stranger password=" + wrongPassword, "28P01", `password authentication failed for user "stranger"`},
			{"a password that the server does not take", "wrong", "", "28P01", `password authentication failed for user "app"`},
			{"a database that the server does not have", "lost", "", "3D000", `database "lost" does not exist`},
		}
		for _, test := range tests {
			if got := refused(t, p, test.database, test.more, test.state); got.Message != test.message {
				t.Errorf("%s: got %q, want %q", test.name, got.Message, test.message)
			}
		}
		if got := p.ask(t, "app", "SELECT 'alive'"); got != "alive" {
			t.Errorf("got %q", got)
		}
	})
}

func TestClientsAreToldQuicklyThatPostgreSQLIsGoneAndServedAgainWhenItIsBack(t *testing.T) {
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg := ownPostgres(t, version)
			p := start(t, pg, options{pool: settings{"server_login_retry": "500ms"}, errors: []string{notOpened}})
			before := p.pgx(t, "app", execMode)
			execute(t, before, "SELECT 1")
			pg.Kill()
			// The server processes notice a moment later.
			eventually(t, patience, "the servers are gone", func() bool { return loginAndQuery(soon(t), p) != nil })
			for i := range 3 {
				began := time.Now()
				wantState(t, loginAndQuery(soon(t), p), "08006")
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("try %d: told after %v", i, took)
				}
			}
			if _, err := before.Exec(soon(t), "SELECT 1"); err == nil {
				t.Error("a query was answered by a server that is gone")
			}
			if err := pg.Restart(soon(t)); err != nil {
				t.Fatal(err)
			}
			eventually(t, patience, "clients are served again", func() bool { return loginAndQuery(soon(t), p) == nil })
		})
	}
}

// loginAndQuery does both with a new client, and returns what went wrong.
func loginAndQuery(ctx context.Context, p *pgseal) error {
	conn, err := p.tryPgx(ctx, "app", execMode)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "SELECT 1")
	return err
}

func TestClientsGoOnAfterPostgreSQLRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			const clients = 8
			pg := ownPostgres(t, version)
			p := start(t, pg, options{pool: settings{"server_login_retry": "200ms"}, errors: []string{notOpened}})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var served [clients]atomic.Int64
			var running sync.WaitGroup
			for i := range clients {
				running.Go(func() { stubborn(ctx, p, &served[i]) })
			}
			// all waits until each client was served so often once more.
			all := func(what string) {
				t.Helper()
				var since [clients]int64
				for i := range served {
					since[i] = served[i].Load()
				}
				eventually(t, patience, what, func() bool {
					for i := range served {
						if served[i].Load() < since[i]+10 {
							return false
						}
					}
					return true
				})
			}
			for range 2 {
				all("all clients are served")
				if err := pg.Restart(soon(t)); err != nil {
					t.Fatal(err)
				}
			}
			all("all clients are served after the restarts")
			stop()
			running.Wait()
			observer := pg.direct(t, "app")
			if n := backends(t, observer, "true"); n > 5 {
				t.Errorf("%d servers, limit 5", n)
			}
		})
	}
}

// stubborn runs queries until ctx ends, and connects again after each error.
func stubborn(ctx context.Context, p *pgseal, served *atomic.Int64) {
	pause := time.NewTicker(pollInterval)
	defer pause.Stop()
	var conn *pgx.Conn
	for ctx.Err() == nil {
		var err error
		if conn == nil {
			conn, err = p.tryPgx(ctx, "app", execMode)
		}
		if err == nil {
			_, err = conn.Exec(ctx, "SELECT 1")
		}
		if err == nil {
			served.Add(1)
			continue
		}
		if conn != nil {
			conn.Close(ctx)
			conn = nil
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	if conn != nil {
		conn.Close(context.Background())
	}
}
