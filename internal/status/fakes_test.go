package status

import (
	"crypto/tls"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy"
)

// fakePools is what a manager tells, as a test says.
type fakePools struct {
	list      []pool.Snapshot
	databases []pool.DatabaseView
	servers   []pool.ServerView
	paused    bool
	asked     int
	shakes    stats.Handshakes
}

func (f *fakePools) Snapshots() []pool.Snapshot     { f.asked++; return f.list }
func (f *fakePools) Databases() []pool.DatabaseView { return f.databases }
func (f *fakePools) Servers() []pool.ServerView     { return f.servers }
func (f *fakePools) Paused() bool                   { return f.paused }
func (f *fakePools) Handshakes() *stats.Handshakes  { return &f.shakes }

// fakeClients is what a server of clients tells.
type fakeClients struct {
	busy, limit int
	list        []proxy.ClientView
	pins        []proxy.Pin
	pinCounts   map[string]uint64
	errors      []proxy.ErrorEvent
	counts      map[proxy.ErrorClass]uint64
	shakes      stats.Handshakes
}

func (f *fakeClients) Busy() (int, int)                         { return f.busy, f.limit }
func (f *fakeClients) ClientList() ([]proxy.ClientView, int)    { return f.list, 0 }
func (f *fakeClients) ClientHandshakes() *stats.Handshakes      { return &f.shakes }
func (f *fakeClients) Pins() []proxy.Pin                        { return f.pins }
func (f *fakeClients) LastErrors() []proxy.ErrorEvent           { return f.errors }
func (f *fakeClients) ErrorCounts() map[proxy.ErrorClass]uint64 { return f.counts }
func (f *fakeClients) PinCounts() map[string]uint64 {
	all := map[string]uint64{}
	for reason, n := range f.pinCounts {
		all[reason] = n
	}
	return all
}

// fake is a page whose sources a test sets.
type fake struct {
	*Page
	pools   *fakePools
	clients *fakeClients
	certs   []Loaded
	files   []File
	missing []string
}

func newFake() *fake {
	f := &fake{pools: &fakePools{}, clients: &fakeClients{limit: 100}}
	f.clients.shakes.Done(tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}, time.Millisecond)
	f.clients.shakes.Failed(stats.HandshakeFailed)
	f.Page = New(Sources{
		Version: "test", Pools: f.pools, Clients: f.clients,
		Certificates: func() []Loaded { return f.certs }, Files: func() []File { return f.files }, Missing: func() []string { return f.missing },
	})
	return f
}

// times returns the distribution of n times.
func times(d time.Duration, n uint64) stats.Distribution {
	var h stats.Histogram
	h.AddSome(d*time.Duration(n), n)
	return h.Read()
}

func (f *fake) get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	w := httptest.NewRecorder()
	for pattern, h := range f.Handlers() {
		if pattern == r.URL.Path || pattern == "/{$}" && r.URL.Path == "/" {
			h.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Fatalf("%s is answered with %d", path, w.Code)
			}
			return w
		}
	}
	t.Fatalf("there is no %s", path)
	return nil
}
