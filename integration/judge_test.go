package integration

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// quiet is how long PostgreSQL is silent, and waits for its client, before it
// is taken to owe nothing although fewer ReadyForQuery came than may have.
const quiet = 10 * time.Millisecond

// judge plays dialogues on connections of their own and through pgseal, on twin
// databases, and compares what each client reads.
type judge struct {
	pg       *postgres
	own      stage
	pooled   stage
	pending  time.Duration // how long a step through pgseal may hold up others
	patience time.Duration // how long an answer through pgseal may take, waiting for a server included
	lenient  bool          // which of two errors comes first does not count
	late     bool          // nor does when a parameter is reported
}

// judges are how many dialogues are played at the same time, each on stages of
// its own: most of the time they wait.
const judges = 3

// newJudges is newJudge for so many of them.
func newJudges(t *testing.T, pg *postgres, name string) (list []*judge) {
	t.Helper()
	for i := range judges {
		list = append(list, newJudge(t, pg, fmt.Sprintf("%s%d", name, i)))
	}
	return list
}

// shareOut has the judges take one case after the other until there are no more
// or judge says so.
func shareOut(list []*judge, cases int, judge func(j *judge, i int) (more bool)) {
	var taken atomic.Int64
	next := func() int { return int(taken.Add(1)) - 1 }
	var all sync.WaitGroup
	for _, j := range list {
		all.Go(func() {
			for i := next(); i < cases && judge(j, i); i = next() {
			}
		})
	}
	all.Wait()
}

// stage is a database that dialogues are played on.
type stage struct {
	name  string
	super *pgx.Conn
	mu    *sync.Mutex // of super
	dsn   func(more string) string
}

// newJudge creates the twin databases. Where pgseal's are is said by p.
func newJudge(t *testing.T, pg *postgres, name string) *judge {
	t.Helper()
	j := &judge{pg: pg, pending: answerLimit, patience: patience}
	execute(t, pg.direct(t, "postgres"), `DO $$ BEGIN
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scenario_role') THEN CREATE ROLE scenario_role; GRANT scenario_role TO app; END IF; END $$`)
	for s, twin := range map[*stage]string{&j.own: name + "_own", &j.pooled: name + "_pooled"} {
		pg.database(t, twin)
		*s = stage{name: twin, super: pg.direct(t, twin), mu: &sync.Mutex{}}
		s.dsn = func(more string) string { return pg.dsnOfApp() + " dbname=" + twin + " " + more }
	}
	return j
}

// through has the judge's dialogues played through an entry of pgseal's.
func (j *judge) through(p *pgseal, entry string, pending time.Duration) *judge {
	copied := *j
	copied.pending = pending
	copied.pooled.dsn = func(more string) string { return p.dsn(entry, more) }
	return &copied
}

// sweep ends what a dialogue left on the stage.
func (s *stage) sweep(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// pgseal may still open a server for a client that has gone. Given a timeout,
	// pg_terminate_backend would look whether each has ended every 100 ms.
	_, err := s.super.Exec(ctx, `DO $$ BEGIN
		LOOP
			PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
			EXIT WHEN NOT FOUND;
			PERFORM pg_sleep(0.002);
			PERFORM pg_stat_clear_snapshot();
		END LOOP; END $$`)
	if err != nil {
		return err
	}
	_, err = s.super.Exec(ctx, `DO $$ DECLARE s name; BEGIN
		FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP;
		EXECUTE format('ALTER DATABASE %I RESET ALL', current_database()); EXECUTE format('ALTER ROLE app IN DATABASE %I RESET ALL', current_database());
		CREATE SCHEMA public AUTHORIZATION app; GRANT ALL ON SCHEMA public TO app;
		GRANT ALL ON SCHEMA public TO scenario_role;
		PERFORM lo_unlink(oid) FROM pg_largeobject_metadata; END $$`)
	return err
}

// steady is ctx without its end, which would cost the superuser's connection.
func steady(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// holds polls until a query of the superuser's yields true.
func (s *stage) holds(ctx context.Context, limit time.Duration, sql string, args ...any) bool {
	return poll(limit, func() (ok bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.super.QueryRow(steady(ctx), sql, args...).Scan(&ok) == nil && ok
	})
}

func (s *stage) command(ctx context.Context, sql string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.super.Exec(steady(ctx), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		return "super: " + err.Error()
	}
	return "super"
}

// rest waits until nothing that a client left behind is still locked, or
// limit is over, where others hold it.
func (s *stage) rest(ctx context.Context, client string, limit time.Duration) {
	s.holds(ctx, limit, `SELECT NOT EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
		WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', $1)))`, client)
}

// player plays the parts of a dialogue on one stage.
type player struct {
	stage
	patience time.Duration // for an answer that is compared; none where a client is alone
	lenient  bool
	late     bool
	room     int // of each caller
	mu       sync.Mutex
	callers  map[string]*caller
}

func newPlayer(s stage, d dialogue) *player {
	return &player{stage: s, room: d.room(), callers: map[string]*caller{}}
}

// roomForMany is for the answers to messages that are repeated thousands of
// times. It takes 2 MiB.
const roomForMany = 1 << 17

// room is how many answers may come before the first is heard.
func (d dialogue) room() int {
	if slices.ContainsFunc(d, func(st turn) bool { return repeats.MatchString(st.text) }) {
		return roomForMany
	}
	return 1 << 10
}

var repeats = regexp.MustCompile(`\d{3} times `)

func (p *player) caller(name string) *caller {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.callers[name]
}

// drop has a client vanish.
func (p *player) drop(client string, breaks bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.callers[client].vanish(breaks)
	delete(p.callers, client)
}

func (p *player) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.callers {
		c.vanish(false)
	}
}

// begin does a step, as far as it is the client's to do, and returns what is
// to be read before the server's answers.
func (p *player) begin(ctx context.Context, st turn) (said []string) {
	if st.client == "super" {
		return []string{p.command(ctx, strings.ReplaceAll(st.text, "{db}", p.name))}
	}
	c := p.caller(st.client)
	action, more, _ := strings.Cut(expand(st.text), " ")
	if action == "pause" {
		time.Sleep(time.Duration(number(more)) * time.Millisecond)
		return nil
	}
	if c == nil || st.wire == nil && action == "join" {
		if action != "join" {
			more = ""
		}
		if c != nil {
			p.drop(st.client, false)
			p.rest(ctx, st.client, time.Second)
		}
		called, err := call(ctx, p.dsn(more), p.room)
		if err != nil {
			return []string{"refused " + sqlState(err) + " " + messageOf(err)}
		}
		p.mu.Lock()
		p.callers[st.client] = called
		p.mu.Unlock()
		if c = called; action == "join" {
			said = []string{called.greeting}
		}
	}
	switch {
	case st.wire != nil:
		c.owed += st.owed
		c.hijacked.Conn.Write(st.wire)
	case action == "leave" || action == "rst":
		p.drop(st.client, action == "rst")
		p.rest(ctx, st.client, time.Second)
	case action == "cancel":
		p.cancellable(ctx, c, st.client)
		c.cancel()
	}
	return said
}

// cancellable waits until the client's pg_sleep runs, or it is clear that it
// does not.
func (p *player) cancellable(ctx context.Context, c *caller, client string) {
	poll(patience, func() bool {
		return p.patience == 0 && p.waits(ctx, c) ||
			p.holds(ctx, 0, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep' AND query LIKE $1)", "%pg_sleep(%), '"+client+"'%")
	})
}

// cancel sends a CancelRequest and waits until it is dealt with.
func (c *caller) cancel() {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", c.port), patience)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	conn.Write(cancelRequest(c.hijacked.PID, c.hijacked.SecretKey))
	conn.Read(make([]byte, 1))
}

// settle reads what PostgreSQL says until it owes nothing.
func (p *player) settle(ctx context.Context, st turn) (said []string) {
	c := p.caller(st.client)
	if c == nil || st.hasty || !st.asks && !st.ends && st.text != "cancel" {
		return nil
	}
	silent := 0 // how often in a row nothing came and the server waited
	for c.owed > 0 || st.ends || st.owed == 0 {
		select {
		case m, ok := <-c.heard:
			if !ok {
				return said
			}
			said, c.last, silent = append(said, m), m, 0
			if strings.HasPrefix(m, "ready") {
				c.owed--
				if c.owed == 0 && !st.ends {
					return said
				}
			}
		case <-time.After(quiet):
			if !p.waits(ctx, c) {
				silent = 0
				continue
			}
			if silent++; silent > 2 && !st.ends || silent > 50 {
				if c.owed = 0; c.last == "CopyInResponse" {
					c.owed = 1
				}
				return said
			}
		}
	}
	return said
}

// waits reports whether the server process has read all that was sent, and
// waits for more.
func (p *player) waits(ctx context.Context, c *caller) (ok bool) {
	if c.unread() {
		return false
	}
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	err := p.super.QueryRow(steady(ctx), "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event IS DISTINCT FROM 'ClientRead')", int(c.hijacked.PID)).Scan(&ok)
	return err == nil && ok && !c.unread()
}

// alone plays a dialogue on connections of their own and returns what is read
// at each step.
func (j *judge) alone(ctx context.Context, s dialogue) [][]string {
	p := newPlayer(j.own, s)
	defer p.close()
	answers := make([][]string, len(s))
	for i, st := range s {
		answers[i] = append(p.begin(ctx, st), p.settle(ctx, st)...)
	}
	return answers
}

// difference is where a client read something else than on a connection of its
// own.
type difference struct {
	step      int
	client    string
	got, want []string
}

func (d *difference) describe(s dialogue, answers [][]string) string {
	var b strings.Builder
	for i, st := range s[:d.step+1] {
		fmt.Fprintf(&b, "\t%s\n", st)
		if st.client == d.client {
			fmt.Fprintf(&b, "\t\t\t-> %s\n", inWords(answers[i]))
		}
	}
	return fmt.Sprintf("client %s reads something else at the last step of:\n%sgot  %s\nwant %s", d.client, &b, inWords(d.got), inWords(d.want))
}

// inWords is a list of messages, equal ones in a row counted.
func inWords(list []string) string {
	var b strings.Builder
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && list[i+n] == list[i] {
			n++
		}
		if b.WriteString(list[i]); n > 1 {
			fmt.Fprintf(&b, " (%d times)", n)
		}
		if i += n; i < len(list) {
			b.WriteString("; ")
		}
	}
	return b.String()
}

// nothingMore stands for an answer that did not come.
const nothingMore = "nothing more in time"

// compare plays a dialogue through pgseal and looks whether each client reads
// what it read on a connection of its own. Steps begin in the order of the
// dialogue; one that has to wait for a server is overtaken after a while.
func (j *judge) compare(ctx context.Context, s dialogue, answers [][]string) *difference {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := newPlayer(j.pooled, s)
	p.patience, p.lenient, p.late = j.patience, j.lenient, j.late
	found := make(chan *difference, len(s))
	parts := map[string]chan int{}
	done := make([]chan struct{}, len(s))
	var playing sync.WaitGroup
	part := func(steps <-chan int) {
		for i := range steps {
			if d := p.check(ctx, s[i], answers[i]); d != nil {
				d.step = i
				found <- d
				cancel()
			}
			close(done[i])
		}
	}
	for i, st := range s {
		if parts[st.client] == nil {
			steps := make(chan int, len(s))
			parts[st.client] = steps
			playing.Go(func() { part(steps) })
		}
		done[i] = make(chan struct{})
		parts[st.client] <- i
		overtaken := time.After(j.pending)
		if st.client == "super" {
			overtaken = nil
		}
		select {
		case <-done[i]:
		case <-overtaken:
		case <-ctx.Done():
		}
	}
	for _, steps := range parts {
		close(steps)
	}
	playing.Wait()
	p.close()
	select {
	case d := <-found:
		return d
	default:
		return nil
	}
}

// check does a step and compares what is read.
func (p *player) check(ctx context.Context, st turn, want []string) *difference {
	if ctx.Err() != nil {
		return nil
	}
	var got []string
	if st.text != "cancel" || strings.Contains(inWords(want), "57014") {
		got = p.begin(ctx, st)
	}
	wrong := func() *difference {
		if ctx.Err() != nil && len(got) == 0 {
			return nil // another was first
		}
		return &difference{client: st.client, got: got, want: want}
	}
	if p.late {
		want = slices.DeleteFunc(slices.Clone(want), isReport)
	}
	next := 0 // of want
	matches := func(m string) bool {
		if p.late && isReport(m) {
			return true
		}
		n := p.matches(m, want[next:])
		next += n
		return n > 0
	}
	for _, m := range got {
		if !matches(m) {
			return wrong()
		}
	}
	c := p.caller(st.client)
	limit := time.After(p.patience)
	for next < len(want) {
		if c == nil {
			return wrong()
		}
		select {
		case m, ok := <-c.heard:
			if !ok {
				m = "nothing more"
			}
			if got = append(got, m); !matches(m) {
				return wrong()
			}
		case <-limit:
			got = append(got, nothingMore)
			return wrong()
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func isReport(m string) bool { return strings.HasPrefix(m, "report ") }

// firstErrors are what is found of a statement that is parsed anew, before what is
// wrong with the values for it: a table that is gone or not to be read, columns
// that have changed, a transaction that has failed.
var firstErrors = regexp.MustCompile(`^E ERROR (42P01|42703|42883|42501|0A000|25P02) `)

// matches returns how many of the answers that are wanted next one that came
// stands for; 0: it is another. Which of two errors comes first may differ where
// a statement is parsed anew (docs/pooling.md).
func (p *player) matches(m string, want []string) int {
	switch {
	case len(want) == 0:
		return 0
	case m == want[0]:
		return 1
	case !p.lenient || !firstErrors.MatchString(m):
		return 0
	case strings.HasPrefix(want[0], "E ERROR "):
		return 1
	case len(want) > 1 && strings.HasPrefix(want[0], "parameters ") && strings.HasPrefix(want[1], "E ERROR "):
		return 2
	}
	return 0
}

// answerLimit is how long an answer through pgseal is waited for before others go
// on.
const answerLimit = 5 * time.Second

// hears plays the dialogue on connections of its clients' own, and fails the
// test where PostgreSQL does not answer as it says.
func (j *judge) hears(t *testing.T, s dialogue) [][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := j.own.sweep(ctx); err != nil {
		t.Fatal(err)
	}
	answers := j.alone(ctx, s)
	for i, st := range s {
		for _, want := range st.want {
			if !strings.Contains(inWords(answers[i]), want) {
				t.Fatalf("PostgreSQL itself answers %s\nto %s\nand not with %q", inWords(answers[i]), st, want)
			}
		}
	}
	return answers
}

// judges plays the dialogue on the other stage, and fails the test where a
// client reads something else.
func (j *judge) judges(t *testing.T, s dialogue, answers [][]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := j.pooled.sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if d := j.compare(ctx, s, answers); d != nil {
		t.Error(d.describe(s, answers))
	}
}
