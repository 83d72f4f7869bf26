package console

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
)

// fake stands for all that the console reaches, and notes what it was told.
type fake struct {
	done              []string
	used              atomic.Uint64 // how much its pool has been used
	suspended, paused bool

	faulty error         // what Reload returns
	blocks chan struct{} // PAUSE closes it, and waits for the end of its context; nil: it does not
}

func (f *fake) note(format string, args ...any) {
	f.done = append(f.done, fmt.Sprintf(format, args...))
}

func (f *fake) ClientList() ([]stats.Client, int) {
	at := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5000}
	return []stats.Client{
		{ID: 7, User: "alice", Database: "app", State: stats.StateActive, Addr: at, Local: at, Connected: time.Unix(1, 0), Server: 3,
			TLS: &stats.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128, Group: "X25519", ServerName: "db"}, Identity: "scram-sha-256:alice"},
		{ID: 8, User: "bob", Database: "app", State: stats.StateWaiting, Addr: &net.UnixAddr{Net: "unix"}, Wait: 1500 * time.Millisecond},
	}, 1
}
func (f *fake) Busy() (int, int) { return 3, 10 }
func (f *fake) Pins() []stats.Pin {
	return []stats.Pin{{Client: 7, User: "alice", Database: "app", Server: 3, Reasons: []string{"temporary table"}}}
}
func (f *fake) StatementList() []stats.Statement {
	return []stats.Statement{{Name: "pgseal_1", Bytes: 300, Clients: 1, Query: "SELECT 1"}}
}
func (f *fake) Statements() (int, int64) { return 1, 300 }
func (f *fake) Kill(id uint64) bool      { f.note("kill %d", id); return id == 7 }
func (f *fake) KillAll(database string)  { f.note("kill all %q", database) }
func (f *fake) Suspend(context.Context) error {
	f.note("suspend")
	f.suspended = true
	return nil
}
func (f *fake) Unsuspend() bool {
	was := f.suspended
	f.suspended = false
	if was {
		f.note("unsuspend")
	}
	return was
}
func (f *fake) Suspended() bool { return f.suspended }
func (f *fake) Databases() []stats.Database {
	return []stats.Database{{Name: "app", Host: "db", Port: 5432, DBName: "app", PoolSize: 20, Paused: true}}
}
func (f *fake) LastErrors() []stats.Error {
	return []stats.Error{
		{Time: time.Unix(2, 0), Client: 8, Database: "app", User: "bob", Source: stats.ErrorOurs, Severity: "FATAL", Code: "53300", Message: "too many"},
		{Time: time.Unix(1, 0), Client: 7, Database: "app", User: "alice", Source: stats.ErrorServer, Severity: "ERROR", Code: "22012"},
	}
}
func (f *fake) ErrorCounts() map[stats.ErrorClass]uint64 {
	return map[stats.ErrorClass]uint64{{Source: stats.ErrorServer, Class: "22"}: 3, {Source: stats.ErrorOurs, Class: "53"}: 1, {Source: stats.ErrorOurs, Class: "28"}: 2}
}
func (f *fake) Snapshots() []stats.Pool {
	return []stats.Pool{{Database: "app", User: "alice", Mode: "transaction", Clients: 2, Waiting: 1, Servers: stats.ServerCounts{Active: 1, BeingCanceled: 1},
		Cancels: 1, MaxWait: 1500 * time.Millisecond, Totals: work(f.used.Load())}}
}
func (f *fake) Servers() []stats.Server {
	return []stats.Server{{ID: 3, Database: "app", User: "alice", State: stats.StateActive, Host: "db", PID: 99, Verified: "verify-full"}}
}
func (f *fake) Users() []stats.User {
	return []stats.User{{Name: "alice"}}
}
func (f *fake) Paused() bool { return f.paused }
func (f *fake) Pause(ctx context.Context, name string) error {
	f.note("pause %q", name)
	if f.blocks == nil {
		return nil
	}
	close(f.blocks) // tells that it waits
	<-ctx.Done()
	return ctx.Err()
}
func (f *fake) PauseNow(name string) error        { f.note("hold %q", name); return nil }
func (f *fake) Resume(name string) error          { f.note("resume %q", name); return nil }
func (f *fake) Enable(name string, on bool) error { f.note("enable %q %v", name, on); return nil }
func (f *fake) Reconnect(name string) error       { f.note("reconnect %q", name); return nil }
func (f *fake) WaitClose(_ context.Context, name string) error {
	f.note("wait close %q", name)
	return nil
}
func (f *fake) Role(user string) Role {
	return map[string]Role{"admin": Admin, "stats": Stats}[user]
}
func (f *fake) Settings() []Setting { return []Setting{{"pool_mode", "session", "transaction", true}} }
func (f *fake) Certificates() []stats.Certificate {
	return []stats.Certificate{{Where: "listener", Status: stats.ReloadStatus{LastError: errors.New("tls.crt: is empty")}}}
}
func (f *fake) Listeners() []string         { return []string{"127.0.0.1:6432", "unix:/run/s"} }
func (f *fake) Reload() error               { f.note("reload"); return f.faulty }
func (f *fake) Set(key, value string) error { f.note("set %s=%s", key, value); return nil }
func (f *fake) Shutdown(how Stop)           { f.note("shutdown %d", how) }

func (f *fake) sources() Sources {
	return Sources{Version: "1.2.3", Clients: f, Pools: f, Config: f}
}

func (f *fake) actions() Actions { return Actions{Clients: f, Pools: f, Process: f} }

// desk is a client at the console, and what is behind that.
type desk struct {
	t *testing.T
	*fake
	net.Conn
	canceled chan struct{}
	ended    chan struct{}
}

// sit opens a session of the console.
func sit(t *testing.T, user string) *desk {
	t.Helper()
	ours, theirs := net.Pipe()
	d := &desk{t: t, fake: &fake{}, Conn: ours, canceled: make(chan struct{}, 1), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	c := New(zap.NewNop(), d.sources(), d.actions())
	go func() {
		defer close(d.ended)
		c.Serve(ctx, Client{Conn: theirs, ID: 1, User: user, Database: "pgseal", PID: 42, Canceled: d.canceled, Audit: func(command, object string, err error) {}})
		theirs.Close()
	}()
	t.Cleanup(func() {
		cancel()
		ours.Close()
		<-d.ended
	})
	ours.SetDeadline(time.Now().Add(20 * time.Second))
	return d
}

// send writes a message.
func (d *desk) send(typ byte, body string) {
	d.t.Helper()
	b := binary.BigEndian.AppendUint32([]byte{typ}, uint32(4+len(body)))
	if _, err := d.Write(append(b, body...)); err != nil {
		d.t.Fatal(err)
	}
}

// reply is what came up to a ReadyForQuery.
type reply struct {
	types  string // of the messages
	names  []string
	rows   [][]string
	tags   []string
	errors []*wire.Error
	status string
}

// hear reads up to the next ReadyForQuery.
func (d *desk) hear() (r reply) {
	d.t.Helper()
	for {
		typ, body, err := wire.ReadMessage(d.Conn, nil, 1<<20)
		if errors.Is(err, io.EOF) {
			return r
		}
		if err != nil {
			d.t.Fatal(err)
		}
		r.types += string(typ)
		switch typ {
		case wire.RowDescription:
			f := &fields{rest: body}
			for range f.int16() {
				r.names = append(r.names, f.string())
				f.skip(18)
			}
		case wire.DataRow:
			f := &fields{rest: body}
			var row []string
			for range f.int16() {
				n := f.int32()
				value := "NULL"
				if n >= 0 {
					value = string(f.take(int(n)))
				}
				row = append(row, value)
			}
			r.rows = append(r.rows, row)
		case wire.CommandComplete:
			r.tags = append(r.tags, strings.TrimSuffix(string(body), "\x00"))
		case wire.ErrorResponse:
			e, err := wire.ParseError(body)
			if err != nil {
				d.t.Fatal(err)
			}
			r.errors = append(r.errors, e)
		case wire.ReadyForQuery:
			r.status = string(body)
			return r
		}
	}
}

// ask runs a simple query.
func (d *desk) ask(sql string) reply {
	d.t.Helper()
	d.send(wire.Query, sql+"\x00")
	return d.hear()
}

// code returns the SQLSTATE of the one error of a reply.
func (r reply) code() string {
	if len(r.errors) != 1 {
		return ""
	}
	return r.errors[0].Code
}
