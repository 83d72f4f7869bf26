package pgmodel

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/pgmodel/randomsession"
	"github.com/pgseal/pgseal/internal/wire"
)

// That the answers are right is tested against PostgreSQL, in integration/.
// Here are the promises of the package itself.

func TestAnswersDoNotDependOnCuts(t *testing.T) {
	for seed := range uint64(2000) {
		for _, version := range []int{15, 18} {
			whole := play(version, seed, 1<<20)
			cut := play(version, seed, 1+int(seed%7))
			if whole != cut {
				t.Fatalf("seed %d: answers depend on cuts:\n%q\n%q", seed, whole, cut)
			}
		}
	}
}

func play(version int, seed uint64, size int) string {
	b, _ := NewCluster(version).Connect(nil)
	var got []byte
	for _, p := range randomsession.New(rand.New(rand.NewPCG(seed, 0)), "t") {
		for len(p) > 0 {
			n := min(size, len(p))
			b.Feed(p[:n])
			got = append(got, b.Take()...)
			p = p[n:]
		}
	}
	return string(got)
}

// client is a session with its messages in words.
type client struct {
	*Backend
	t *testing.T
}

func connect(t *testing.T, c *Cluster) client {
	b, _ := c.Connect([]wire.Parameter{{Name: "user", Value: "app"}})
	return client{b, t}
}

// types are those of the messages that were flushed.
func (c client) types() string {
	var s strings.Builder
	for p := c.Take(); len(p) > 0; p = p[messageLength(p):] {
		s.WriteByte(p[0])
	}
	return s.String()
}

func (c client) query(text string) { c.Feed(wire.AppendQuery(nil, text)) }

func (c client) want(types string) {
	c.t.Helper()
	if got := c.types(); got != types {
		c.t.Errorf("got %q, want %q", got, types)
	}
}

func TestWhatIsNotFlushedIsKeptBack(t *testing.T) {
	c := connect(t, NewCluster(18))
	c.Feed(wire.AppendBind(wire.AppendParse(nil, "", "SELECT 1\x00\x00\x00"), ""))
	c.want("")
	c.Feed(wire.AppendFlush(nil))
	c.want("12")
	c.Feed([]byte("E\x00\x00\x00\x09\x00\x00\x00\x00\x00"))
	c.want("")
	c.query("SET nothing TO x") // its error flushes
	c.want("DCEZ")
}

func TestLocksMakeOthersWait(t *testing.T) {
	cluster := NewCluster(15)
	one, two := connect(t, cluster), connect(t, cluster)
	one.query("BEGIN; SELECT pg_advisory_lock(1); ALTER TABLE t ALTER a TYPE float4")
	one.want("CTDCCZ")
	two.query("SELECT 1; SELECT pg_advisory_lock(1)")
	if !two.Blocked() {
		t.Fatal("an advisory lock is no lock")
	}
	one.query("SELECT pg_advisory_unlock(1)")
	one.want("TDCZ")
	two.want("TDCTDCZ")

	two.query("SELECT a FROM t")
	two.want("")
	two.Cancel()
	two.want("EZ")
	two.Feed(wire.AppendSync(wire.AppendParse(nil, "", "SELECT a FROM t\x00\x00\x00")))
	one.Disconnect()
	two.want("1Z")
	if two.Blocked() || !one.Closed() {
		t.Error("a session that has left holds a lock")
	}
}

func TestACancelIsSeenWithTheNextDataOfACopy(t *testing.T) {
	c := connect(t, NewCluster(15))
	c.Cancel() // nothing to cancel
	c.query("COPY t FROM STDIN")
	c.want("G")
	c.Cancel()
	c.want("")
	c.Feed([]byte("d\x00\x00\x00\x061\n"))
	c.want("EZ")
}

func TestASessionEndsForGood(t *testing.T) {
	c := connect(t, NewCluster(15))
	c.Terminate()
	c.want("E")
	c.query("SELECT 1")
	c.want("")
	if !c.Closed() {
		t.Error("it is not closed")
	}
}

func TestExtraStatements(t *testing.T) {
	cluster := NewCluster(18)
	cluster.Extra = func(s *Session, text string, args []string) (Result, bool) {
		switch text {
		case "SELECT settings":
			v, _ := s.Get("work_mem")
			return Result{Columns: []Column{{"work_mem", typeText}}, Rows: [][][]byte{{[]byte(v)}}}, true
		case "CHANGE $1":
			if err := s.Set("work_mem", args[0], false); err != nil {
				return Result{Err: &wire.Error{Code: "22023", Message: err.Error()}}, true
			}
			return Result{Tag: "CHANGED"}, true
		}
		return Result{}, false
	}
	c := connect(t, cluster)
	c.query("BEGIN; SELECT settings; ROLLBACK; WHATEVER")
	c.want("CTDCCEZ")
	c.Feed(wire.AppendExtendedQuery(nil, "CHANGE $1", 0, "1MB"))
	c.want("12CZ")
	if v, _ := c.Session().Get("work_mem"); v != "1MB" {
		t.Error("work_mem is", v)
	}
	c.Feed(wire.AppendExtendedQuery(nil, "CHANGE $1", 0, "much"))
	c.want("12EZ")
}

func TestInspect(t *testing.T) {
	cluster := NewCluster(15)
	c := connect(t, cluster)
	for _, text := range []string{
		"SET work_mem = '1MB'", "SET ROLE a", "PREPARE p AS SELECT 1", "CREATE TEMP TABLE tt (a int4)", "LISTEN x",
		"SELECT pg_advisory_lock(7)", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "BEGIN", "SAVEPOINT s", "SET LOCAL work_mem = '2MB'", "SELEC 1",
	} {
		c.query(text)
	}
	want := State{
		Status: 'E', Settings: map[string]string{"work_mem": "1MB"}, User: "app", Role: "a", Statements: []string{"p"}, FromSQL: []string{"p"},
		Portals: []string{"c"}, Held: []string{"c"}, Temp: []string{"tt"}, Locks: []int64{7}, Listening: []string{"x"},
	}
	if got := c.Session().Inspect(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	c.query("ROLLBACK")
	c.query("DISCARD ALL")
	if got := c.Session().Inspect(); !reflect.DeepEqual(got, State{Status: 'I', Settings: map[string]string{}, User: "app", Role: "none"}) {
		t.Errorf("DISCARD ALL leaves %+v", got)
	}
}

func TestNotificationsReachIdleSessionsOnly(t *testing.T) {
	cluster := NewCluster(18)
	one, two := connect(t, cluster), connect(t, cluster)
	two.query("LISTEN x")
	two.query("BEGIN")
	two.Take()
	one.query("NOTIFY x, 'y'")
	two.want("")
	two.query("COMMIT")
	two.want("CAZ")
	one.query("NOTIFY x")
	two.want("A")
}

func TestDescribeNamesEachMessage(t *testing.T) {
	p := wire.AppendParse(wire.AppendQuery(nil, "SELECT 1"), "s", "SELECT $1\x00\x00\x00")
	p = append(p, "B\x00\x00\x00\x16\x00s\x00\x00\x00\x00\x02\xff\xff\xff\xff\x00\x00\x00\x01x\x00\x00"...)
	p = append(p, "E\x00\x00\x00\x09\x00\x00\x00\x00\x02"...)
	p = wire.AppendSync(p)
	want := `Query "SELECT 1"  Parse s "SELECT $1"  Bind - s ["NULL" "x"]  Execute - 2  Sync  … "Q\x00"`
	if got := Describe(append(p, "Q\x00"...)); got != want {
		t.Errorf("got %s", got)
	}
}

func BenchmarkMessages(b *testing.B) {
	var sessions [][][]byte
	messages := 0
	for seed := range uint64(500) {
		s := randomsession.New(rand.New(rand.NewPCG(seed, 0)), "t")
		sessions = append(sessions, s)
		for _, p := range s {
			messages += 1 + strings.Count(Describe(p), "  ")
		}
	}
	for b.Loop() {
		c := NewCluster(18)
		for i, s := range sessions {
			name := fmt.Sprintf("t%d", i)
			c.CreateTable(name)
			backend, _ := c.Connect(nil)
			for _, p := range s {
				backend.Feed(p)
				backend.Take()
			}
			backend.Disconnect()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*messages), "ns/message")
}

func TestGarbageIsNoReasonToPanic(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		b, _ := NewCluster(18).Connect(nil)
		for _, typ := range []byte("PBDEQFCd") {
			body := make([]byte, r.IntN(12))
			for i := range body {
				body[i] = byte(r.IntN(8) * r.IntN(30)) // many of them zero
			}
			b.Feed(append([]byte{typ, 0, 0, 0, byte(4 + len(body))}, body...))
		}
	}
}
