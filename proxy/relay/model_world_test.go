package relay_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pgseal/pgseal/internal/pgmodel"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// plan is all that makes a run, but for the order of its events.
type plan struct {
	version int
	servers int
	shared  bool
	single  bool
	policy  string
	always  bool
	copies  int
	clients [][]script // what each client does, one session after the other
}

// world is a pooler in memory: what proxy and pool do with sockets and
// goroutines is one event after the other here.
type world struct {
	*plan
	r          *rand.Rand
	cluster    *pgmodel.Cluster
	statements *relay.Statements
	defaults   []wire.Parameter
	players    []*player
	servers    []*backend // that live
	queue      []*player  // in line for a server
	lastID     uint64
	events     []event
	messages   int
	forgiven   int                              // sessions that went wrong as is known
	close      bool                             // it is looked at after each event
	trace      func(format string, args ...any) // nil: nobody looks
	wrong      string                           // what was found
}

// backend is a connection to PostgreSQL.
type backend struct {
	*pgmodel.Backend
	id       int
	state    *relay.Server
	startup  []wire.Parameter
	reported []wire.Parameter
	in, out  []byte  // on their way
	torn     []byte  // what was read of a message that is not whole yet
	player   *player // that holds it
	idle     bool
	used     bool
	broken   bool // the pooler has closed it
	canceler *player
}

// event is something that may happen next.
type event struct {
	does   func(*world, *player, *backend)
	player *player
	server *backend
}

func newWorld(p *plan, schedule uint64) *world {
	w := &world{plan: p, r: rand.New(rand.NewPCG(schedule, 1)), cluster: newCluster(p.version), statements: relay.NewStatements(1 << 20)}
	b, defaults := w.cluster.Connect([]wire.Parameter{{Name: "user", Value: role}})
	b.Disconnect()
	w.defaults = defaults
	for _, scripts := range p.clients {
		w.players = append(w.players, &player{id: len(w.players) + 1, scripts: scripts})
	}
	return w
}

// closely has the world looked at after each event.
func (w *world) closely() *world {
	w.close = true
	return w
}

func (w *world) log(format string, args ...any) {
	if w.trace == nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	w.trace("%s", ownQuery.ReplaceAllString(text, "$1…"))
}

// ownQuery is a long text of the relay's.
var ownQuery = regexp.MustCompile(`(SELECT [^"]*pg_catalog.{60})[^"]*`)

// What differs, with the reason in docs/pooling.md, and is not looked for, but for
// what PGSEAL_LOOK names.
var (
	knownPipeline  = known("Pipeline")  // something of the relay's is executed within a batch, which makes it a pipeline
	knownCopyReset = known("CopyReset") // a Query that copies and resets application_name
	knownResets    = known("Resets")    // RESET among several statements where the client keeps its server
	knownAborted   = known("Aborted")   // a Query that ends a failed transaction and executes
	knownTypes     = known("Types")     // the types of an unnamed statement that are asked for in a later batch
	knownLocal     = known("Local")     // an unnamed statement that was analysed under values of its transaction
	knownLate      = known("Late")      // EXECUTE or DEALLOCATE, parsed before the statement that it names
	knownDiscard   = known("Discard")   // DISCARD ALL in a batch that fails behind it
	knownForgotten = known("Forgotten") // what DO deallocates
)

// known reports whether a difference is left alone.
func known(name string) bool { return !strings.Contains(os.Getenv("PGSEAL_LOOK"), name) }

// fail notes what is wrong. The first counts.
func (w *world) fail(format string, args ...any) {
	if w.wrong == "" {
		w.wrong = fmt.Sprintf(format, args...)
		w.log("WRONG: %s", w.wrong)
	}
}

// run lets things happen until nothing does any more. It returns what was wrong.
func (w *world) run() (wrong string) {
	defer func() {
		if r := recover(); r != nil && w.trace == nil {
			wrong = fmt.Sprint("panic: ", r)
		} else if r != nil {
			panic(r)
		}
	}()
	for count := 0; w.wrong == ""; {
		w.events = w.events[:0]
		for _, s := range w.servers {
			w.ofServer(s)
		}
		for _, p := range w.players {
			w.ofPlayer(p)
		}
		if len(w.queue) > 0 && w.serves(w.queue[0]) {
			w.may((*world).grant, w.queue[0], nil)
		}
		if len(w.events) == 0 {
			if w.stuck() {
				break
			}
			continue
		}
		e := w.events[w.r.IntN(len(w.events))]
		e.does(w, e.player, e.server)
		if count > 500_000 {
			w.fail("it goes on for ever")
		}
		if count++; w.close || count%16 == 0 {
			for _, p := range w.players {
				p.check(w)
			}
		}
	}
	return w.wrong
}

func (w *world) may(does func(*world, *player, *backend), p *player, s *backend) {
	w.events = append(w.events, event{does, p, s})
}

// stuck reports whether it is over, where nothing can happen any more.
func (w *world) stuck() bool {
	for _, p := range w.players {
		switch {
		case p.relay == nil || p.forgiven && !p.left:
		case p.left && p.server != nil && p.unsent:
			p.breakServer(w) // its time is over
			return false
		case p.describesFailed(): // what failed in its place had no columns
			p.forgive(w)
			return false
		case (p.mixed || knownPipeline && p.hidden) && !p.left:
			p.forgive(w)
			return false
		}
	}
	for _, p := range w.players {
		if p.relay != nil || len(p.scripts) > 0 {
			w.fail("client %d is stuck: %s", p.id, p.state())
		}
	}
	return true
}

// cut is how many of n bytes come at once.
func (w *world) cut(n int) int {
	if n <= 1 || w.r.IntN(4) > 0 {
		return n
	}
	return 1 + w.r.IntN(n)
}

func (w *world) ofServer(s *backend) {
	switch {
	case s.broken:
		w.may((*world).closed, nil, s)
		return
	case len(s.in) > 0 && !s.Closed():
		w.may((*world).work, nil, s)
	}
	switch {
	case len(s.out) > 0 && s.player != nil:
		w.may((*world).deliver, nil, s)
	case s.Closed() && len(s.out) == 0:
		w.may((*world).closed, nil, s)
	}
	if s.canceler != nil {
		w.may((*world).cancel, nil, s)
	}
	if s.idle && s.canceler == nil && w.r.IntN(60) == 0 {
		w.may((*world).retire, nil, s)
	}
}

// work has a server read what was sent to it.
func (w *world) work(_ *player, s *backend) {
	n := w.cut(len(s.in))
	s.Feed(s.in[:n])
	for s.torn = append(s.torn, s.in[:n]...); len(s.torn) > 0 && announced(s.torn) <= len(s.torn); {
		s.torn = s.torn[max(1, announced(s.torn)):]
	}
	s.in = append([]byte(nil), s.in[n:]...)
	s.out = append(s.out, s.Take()...)
}

// retire closes a server that nobody uses.
func (w *world) retire(_ *player, s *backend) {
	w.log("server %d retires", s.id)
	w.end(s)
}

func (w *world) end(s *backend) {
	s.idle, s.player = false, nil
	s.Disconnect()
	w.servers = slices.DeleteFunc(w.servers, func(o *backend) bool { return o == s })
}

// deliver is ServerBytes.
func (w *world) deliver(_ *player, s *backend) {
	p := s.player
	n := w.cut(len(s.out))
	used, failed := p.fromServer(w, s, s.out[:n])
	s.out = append([]byte(nil), s.out[used:]...)
	if failed != nil {
		w.log("client %d: the server's message is refused: %s", p.id, failed.Message)
		w.fail("client %d: %s", p.id, failed.Message)
		return
	}
	p.settle(w, s)
}

// closed is ServerClosed.
func (w *world) closed(_ *player, s *backend) {
	if s.broken { // what it has got it may still do
		s.Feed(s.in[:w.r.IntN(len(s.in)+1)])
	}
	p := s.player
	w.log("server %d is closed", s.id)
	w.end(s)
	if p == nil || p.server != s {
		return
	}
	if p.end == nil {
		switch p.end = errLost; {
		case p.relay.FatalSeen():
			p.end = errSaid
		case p.relay.Leaving():
			p.end = errGoodbye
		}
	}
	p.server = nil
	p.wake = true
}

// cancel is the end of a request to cancel what a client has left behind.
func (w *world) cancel(_ *player, s *backend) {
	p := s.canceler
	s.canceler = nil
	if w.r.IntN(2) == 0 && !s.Closed() {
		w.log("server %d gets a cancel request", s.id)
		s.Cancel()
		s.out = append(s.out, s.Take()...)
	}
	p.leftServer(w, s)
}

// release takes a server back that owes nothing.
func (w *world) release(s *backend, p *player) {
	w.log("server %d is free", s.id)
	s.player, s.idle = nil, true
	w.clean(s, p)
}

// clean looks for what a client has left.
func (w *world) clean(s *backend, p *player) {
	if len(s.out) > 0 {
		w.fail("server %d is free and says %q", s.id, s.out)
	}
	for in := append(s.torn, s.in...); len(in) > 0; in = in[min(len(in), announced(in)):] {
		if strings.IndexByte("dcfH", in[0]) < 0 { // what is left of a COPY means nothing
			w.fail("server %d is free and was not read to its end: %s", s.id, pgmodel.Describe(in))
			return
		}
	}
	st := s.Session().Inspect()
	switch {
	case st.Status != wire.StatusIdle, len(st.Portals) > 0 && w.policy != relay.Ignore, len(st.Temp) > 0, len(st.Locks) > 0, len(st.Listening) > 0,
		len(st.FromSQL) > 0 && p.shared(w), st.User != role:
		w.fail("server %d is free with %+v", s.id, st)
	}
	if set, more := s.state.IsSet(); !more {
		if diff := differs(st, set, s.startup); diff != "" {
			w.fail("server %d is free with what the relay does not know: %s", s.id, diff)
		}
	}
}

// differs compares what is set with what the relay takes for set.
func differs(st pgmodel.State, set, startup []wire.Parameter) string {
	is, known := map[string]string{}, map[string]string{"role": "none"}
	for name, v := range st.Settings {
		is[strings.ToLower(name)] = baseUnits(v)
	}
	is["role"] = st.Role
	for _, p := range set {
		if slices.ContainsFunc(startup, func(q wire.Parameter) bool { return strings.EqualFold(p.Name, q.Name) && p.Value == q.Value }) {
			if _, there := is[strings.ToLower(p.Name)]; !there {
				continue // it was opened with that
			}
		}
		known[strings.ToLower(p.Name)] = canonical(p)
	}
	for name, v := range is {
		if known[name] != v && !(strings.Contains(name, ".") && v == "") {
			return fmt.Sprintf("%s is %q, the relay thinks %q", name, v, known[name])
		}
	}
	for name, v := range known {
		if _, there := is[name]; !there && !(strings.Contains(name, ".") && v == "") {
			return fmt.Sprintf("%s is not set, the relay thinks %q", name, v)
		}
	}
	return ""
}

var canonicals sync.Map // from wire.Parameter

// canonical is a value as a server shows it.
func canonical(p wire.Parameter) string {
	if v, known := canonicals.Load(p); known {
		return v.(string)
	}
	b, _ := newCluster(18).Connect(nil)
	b.Session().Set(p.Name, p.Value, false)
	v, _ := b.Session().Get(p.Name)
	v = baseUnits(v)
	canonicals.Store(p, v)
	return v
}
