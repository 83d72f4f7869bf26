package status

import (
	"crypto/tls"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// fakePools is what a manager tells, as a test says.
type fakePools struct {
	list      []stats.Pool
	databases []stats.Database
	servers   []stats.Server
	paused    bool
	asked     int
	shakes    stats.Handshakes
}

func (f *fakePools) Snapshots() []stats.Pool           { f.asked++; return f.list }
func (f *fakePools) Databases() []stats.Database       { return f.databases }
func (f *fakePools) Servers() []stats.Server           { return f.servers }
func (f *fakePools) Paused() bool                      { return f.paused }
func (f *fakePools) Handshakes() stats.HandshakeTotals { return f.shakes.Read() }

// fakeClients is what a server of clients tells.
type fakeClients struct {
	busy, limit int
	list        []stats.Client
	pins        []stats.Pin
	pinCounts   map[string]uint64
	errors      []stats.Error
	counts      map[stats.ErrorClass]uint64
	shakes      stats.Handshakes
}

func (f *fakeClients) Busy() (int, int)                         { return f.busy, f.limit }
func (f *fakeClients) ClientList() ([]stats.Client, int)        { return f.list, 0 }
func (f *fakeClients) Handshakes() stats.HandshakeTotals        { return f.shakes.Read() }
func (f *fakeClients) Pins() []stats.Pin                        { return f.pins }
func (f *fakeClients) LastErrors() []stats.Error                { return f.errors }
func (f *fakeClients) ErrorCounts() map[stats.ErrorClass]uint64 { return f.counts }
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
	certs   []stats.Certificate
	files   []stats.Files
	missing []string
}

func newFake() *fake {
	f := &fake{pools: &fakePools{}, clients: &fakeClients{limit: 100}}
	f.clients.shakes.Done(tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}, time.Millisecond)
	f.clients.shakes.Failed(stats.HandshakeFailed)
	f.Page = New(Sources{
		Version: "test", Pools: f.pools, Clients: f.clients,
		Certificates: func() []stats.Certificate { return f.certs }, Files: func() []stats.Files { return f.files }, Missing: func() []string { return f.missing },
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
