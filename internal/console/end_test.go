package console

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
)

// ends waits for the session to end by itself, while its client stays.
func (d *desk) ends(after string) {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(10 * time.Second):
		d.t.Fatalf("after %s the session lives on", after)
	}
}

// PostgreSQL looks at a message's type and length also where it skips up to the
// next Sync.
func TestAMessageThatIsNoneEndsTheSessionWhateverIsSkipped(t *testing.T) {
	for name, m := range map[string]string{
		"a message beyond 64 KiB": "Q\x00\x01\x00\x05", "a negative length": "B\xff\xff\xff\xff", "a length that is too short": "P\x00\x00\x00\x03",
		"a type that there is not": "!\x00\x00\x00\x04", "no type at all": "\x00\x00\x00\x00\x04",
	} {
		for _, skips := range []bool{false, true} {
			d := sit(t, "admin")
			want := 1
			if skips {
				d.bind("no such statement", 0)
				want++
			}
			d.Write([]byte(m))
			r := d.hear()
			if len(r.errors) != want || r.errors[want-1].Code != wire.CodeProtocolViolation || r.errors[want-1].Severity != "FATAL" {
				t.Errorf("%s: told %v", name, r.errors)
			}
			d.ends(name)
		}
	}
}

func TestTheSessionEndsWithItsClientWhateverIsSkipped(t *testing.T) {
	for _, goodbye := range []bool{true, false} {
		d := sit(t, "admin")
		d.bind("no such statement", 0)
		d.send(wire.Execute, allRows)
		if goodbye {
			d.send(wire.Terminate, "")
			d.hear()
		}
		d.Close()
		d.ends("its client")
	}
}

func TestWhoSendsMuchBehindACommandThatWaitsIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sit(t, "admin")
		d.SetDeadline(time.Time{})
		d.blocks = make(chan struct{})
		d.send(wire.Query, "PAUSE\x00")
		<-d.blocks
		for range readAhead + 1 {
			d.send(wire.Sync, "")
		}
		if r := d.hear(); r.code() != wire.CodeQueryCanceled {
			t.Errorf("PAUSE ends with %v", r.errors)
		}
		r := d.hear()
		for r.status != "" { // some of what stands behind it may be answered
			r = d.hear()
		}
		if r.code() != wire.CodeProgramLimit || r.errors[0].Severity != "FATAL" {
			t.Errorf("the session ends with %v", r.errors)
		}
		d.ends("too much")
	})
}

// broken is a connection of which nothing can be read.
type broken struct{ net.Conn }

func (broken) Read([]byte) (int, error) { panic("a mistake in the connection") }

func TestAPanicOfWhoReadsEndsTheSessionAndNotTheProcess(t *testing.T) {
	_, theirs := net.Pipe()
	f := &fake{}
	c := New(zap.NewNop(), f.sources(), f.actions())
	defer func() {
		if recover() == nil {
			t.Error("the panic is nobody's")
		}
		if c.sessions.Load() != 0 {
			t.Error("the session is still counted")
		}
	}()
	c.Serve(context.Background(), Client{Conn: broken{theirs}, User: "admin"})
}
