package status

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// fresh is for how long a report is shown to others too.
const fresh = time.Second

// Sources is where a Page looks. All may be asked by any goroutine.
type Sources struct {
	Version      string
	Pools        PoolSource
	Clients      ClientSource
	Certificates func() []stats.Certificate
	Files        func() []stats.Files // what is reloaded by itself
	Missing      func() []string      // why pgseal should get no new clients
}

// PoolSource is what is known of databases, pools and servers.
type PoolSource interface {
	Snapshots() []stats.Pool
	Databases() []stats.Database
	Servers() []stats.Server
	Paused() bool
	Handshakes() stats.HandshakeTotals
}

// ClientSource is what is known of clients.
type ClientSource interface {
	Busy() (clients, limit int)
	ClientList() (list []stats.Client, logins int)
	Handshakes() stats.HandshakeTotals
	Pins() []stats.Pin
	PinCounts() map[string]uint64
	LastErrors() []stats.Error
	ErrorCounts() map[stats.ErrorClass]uint64
}

// Page is the status page. Its handlers may be called by any goroutine.
type Page struct {
	Sources
	started time.Time
	history *history

	mu   sync.Mutex // one report at a time
	last *Report    // never changed once it is here
}

// New returns a Page whose history is empty until Run.
func New(s Sources) *Page { return &Page{Sources: s, started: time.Now(), history: newHistory()} }

// Run keeps the history until ctx ends.
func (p *Page) Run(ctx context.Context) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		p.history.sample(time.Now(), p.Pools.Snapshots())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Report returns how it goes, as of a second ago at the most, with the charts
// of all pools.
func (p *Page) Report() Report {
	p.mu.Lock()
	if now := time.Now(); p.last == nil || now.Sub(p.last.Now) >= fresh {
		p.last = p.report(now)
	}
	r := *p.last
	p.mu.Unlock()
	r.Charts = p.history.charts("")
	return r
}

// Handlers returns the page and its JSON, by pattern of http.ServeMux.
func (p *Page) Handlers() map[string]http.Handler {
	return map[string]http.Handler{"/{$}": http.HandlerFunc(p.servePage), "/status.json": http.HandlerFunc(p.serveJSON)}
}

// serveJSON answers with a Report. The parameter pool, an id, chooses what the
// charts are of.
func (p *Page) serveJSON(w http.ResponseWriter, r *http.Request) {
	report := p.Report()
	if id := r.URL.Query().Get("pool"); id != "" {
		report.Charts = p.history.charts(id)
	}
	w.Header().Set("Content-Type", "application/json")
	secure(w.Header(), "default-src 'none'; frame-ancestors 'none'; sandbox")
	json.NewEncoder(w).Encode(report)
}

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string

	// The templates of html/template escape what they are given, by its place.
	page = template.Must(template.New("page").Parse(pageHTML))

	// Only the page's own script and style run, and it reaches only pgseal. No
	// text becomes markup: trusted-types leaves no way (CSP level 3).
	policy = strings.Join([]string{
		"default-src 'none'", "script-src '" + sha(pageJS) + "'", "style-src '" + sha(pageCSS) + "'", "connect-src 'self'", "img-src data:",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	}, "; ")
)

// sha is a hash as a Content-Security-Policy has it.
func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func secure(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// servePage answers with the page. What it shows without a script is in it.
func (p *Page) servePage(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	err := page.Execute(&b, struct {
		Report
		CSS template.CSS
		JS  template.JS
	}{p.Report(), template.CSS(pageCSS), template.JS(pageJS)})
	if err != nil {
		http.Error(w, "could not render the page", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	secure(w.Header(), policy)
	w.Write(b.Bytes())
}
