package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jackc/pgx/v5"

	"github.com/pgseal/pgseal/internal/devca"
)

// markup is a name that a careless page would take for markup.
const markup = `"><img src=x onerror=window.taken=1>`

// statusPgseal starts a pgseal with the page, and load on database app until the
// end of the test.
func statusPgseal(t *testing.T, o options) (*pgseal, string) {
	t.Helper()
	if o.databases == nil {
		o.databases = map[string]settings{"app": {"pool_size": "5"}, "tight": {"pool_size": "1"}}
	}
	o, url := withHTTP(t, o)
	p := start(t, sharedPostgres(t, versionsSince(0)[len(versions)-1]), o)
	for range 3 {
		p.busy(t, "app")
	}
	return p, url
}

// busy has a client run short queries, one after the other, until the end of
// the test.
func (p *pgseal) busy(t *testing.T, database string) {
	conn := p.pgx(t, database, simpleMode)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil && !conn.IsClosed() {
			conn.Exec(ctx, "SELECT pg_sleep(0.005)")
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
}

// crowd has a client hold the only server of database tight, and another wait
// for it, until free is called.
func (p *pgseal) crowd(t *testing.T) (free func()) {
	t.Helper()
	holder, waiter := p.pgx(t, "tight", simpleMode), p.pgx(t, "tight", simpleMode)
	execute(t, holder, "BEGIN")
	done := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(context.Background(), "SELECT 1")
		done <- err
	}()
	return func() {
		t.Helper()
		execute(t, holder, "COMMIT")
		if err := receive(t, done, "the waiting client's answer"); err != nil {
			t.Error(err)
		}
	}
}

func TestTheStatusPageShowsWhatHappensWithoutAReload(t *testing.T) {
	t.Parallel()
	p, url := statusPgseal(t, options{})
	b := browse(t, url, look{})
	b.shows("#headline", "All is well")
	b.shows("#pools", "app/app")
	b.shows("#tls-clients", "TLSv1.3")
	b.shows("#tls-servers", "verify-full")
	b.shows("#certificates", "CN=localhost")
	b.shows("#contact", "live")
	eval[bool](b, `window.here = true`)
	row := func(column int) string {
		return eval[string](b, fmt.Sprintf(`[...document.querySelectorAll("#pools tbody tr")].find((tr) => tr.innerText.includes("app/app"))?.cells[%d].innerText ?? ""`, column))
	}
	eventually(t, patience, "the pool shows its clients, rate and times", func() bool {
		return row(1) == "3" && row(5) != "–" && row(5) != "0" && strings.HasSuffix(row(7), " ms")
	})
	eventually(t, patience, "a chart has a curve", func() bool { return eval[int](b, `document.querySelectorAll("#charts .curve").length`) >= 2 })
	free := p.crowd(t)
	b.shows("#headline", "1 client waits in tight/app, the longest for")
	eventually(t, patience, "it becomes trouble", func() bool { return eval[string](b, `document.getElementById("verdict").dataset.state`) == "trouble" })
	if word := b.text("#grade"); word != "problem" {
		t.Errorf("in words it is a %q", word)
	}
	if told := b.text("[role=status]"); !strings.Contains(told, "1 client waits in tight/app") {
		t.Errorf("a screen reader is told %q", told)
	}
	if first := b.text("#pools tbody tr"); !strings.Contains(first, "tight") {
		t.Errorf("the pool in trouble is not the first: %s", first)
	}
	free()
	b.shows("#headline", "All is well")
	if _, err := p.tryPgx(soon(t), "nowhere", ""); err == nil {
		t.Fatal("there is a database nowhere")
	}
	b.shows("#errors", "nowhere")
	execute(t, p.pgx(t, "app", simpleMode), "CREATE TEMP TABLE mine (x int)")
	b.shows("#pins", "temp")
	eval[bool](b, `(() => {
		const which = document.getElementById("which");
		which.value = [...which.options].find((o) => o.text === "tight/app").value;
		return which.dispatchEvent(new Event("change"));
	})()`)
	eventually(t, patience, "the charts are those of the quiet pool", func() bool { return eval[bool](b, `document.querySelector("#charts strong").innerText === "0"`) })
	if !eval[bool](b, `window.here && performance.getEntriesByType("navigation").length === 1`) {
		t.Error("the page was loaded again")
	}
	b.quiet()
}

func TestTheStatusPageSaysThatItLostContactAndSinceWhen(t *testing.T) {
	t.Parallel()
	p, url := statusPgseal(t, options{})
	b := browse(t, url, look{})
	b.shows("#contact", "live")
	if b.text("#lost") != "" {
		t.Error("contact is said to be lost")
	}
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.shows("#lost", "No contact with pgseal since ")
	b.shows("#lost", "it does not answer")
	b.shows("#contact", "no contact")
	if told := b.text("[role=status]"); !strings.HasPrefix(told, "No contact") {
		t.Errorf("a screen reader is told %q", told)
	}
	if before := eval[string](b, `getComputedStyle(document.querySelector("#verdict h2"), "::before").content`); !strings.Contains(before, "Last known") {
		t.Errorf("the headline is shown as if it were of now: %s", before)
	}
	if title := eval[string](b, "document.title"); !strings.Contains(title, "No contact") {
		t.Errorf("the title is %q", title)
	}
	for _, dark := range []bool{false, true} {
		b.see(look{dark: dark})
		b.readable(fmt.Sprintf("lost contact, dark %v", dark))
		b.picture(fmt.Sprintf("lost-dark-%v", dark))
	}
	p.signal(syscall.SIGCONT)
	b.shows("#contact", "live")
	eventually(t, patience, "the page says so no longer", func() bool { return b.text("#lost") == "" })
	b.quiet()
}

func TestTheStatusPageIsPausedOnDemand(t *testing.T) {
	t.Parallel()
	_, url := statusPgseal(t, options{})
	b := browse(t, url, look{})
	b.shows("#contact", "live")
	b.run(chromedp.Click(chromedp.CSS("#pause")))
	b.shows("#contact", "paused")
	b.shows("#pause", "Go on")
	b.run(chromedp.Click(chromedp.CSS("#pause")))
	b.shows("#contact", "live")
}

// troubled is a pgseal with as much on its page as can be, and hostile names in
// each place.
func troubled(t *testing.T) (*pgseal, string) {
	t.Helper()
	ca, err := devca.New(markup, 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(t.TempDir(), "roots.crt")
	pg := sharedPostgres(t, versionsSince(0)[len(versions)-1])
	ours, err := os.ReadFile(pg.root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(roots, append(ours, ca.CertPEM()...), 0o644); err != nil {
		t.Fatal(err)
	}
	p, url := statusPgseal(t, options{errors: []string{"server connection could not be opened"}, databases: map[string]settings{
		"app": {"pool_size": "5"}, "tight": {"pool_size": "1"}, markup: {"sslrootcert": roots}, "gone": {"port": fmt.Sprint(freePort(t))},
	}})
	config, err := pgx.ParseConfig(p.dsn("app", simpleMode))
	if err != nil {
		t.Fatal(err)
	}
	config.Database, config.RuntimeParams["application_name"] = markup, markup
	conn, err := pgx.ConnectConfig(soon(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	execute(t, conn, "CREATE TEMP TABLE mine (x int)")
	config.User, config.Password = markup+"\u202e\x07", wrongPassword
	if _, err := pgx.ConnectConfig(soon(t), config); err == nil {
		t.Fatal("a stranger was let in")
	}
	if _, err := p.tryPgx(soon(t), "gone", simpleMode); err == nil {
		t.Fatal("a database that is not there was reached")
	}
	if _, err := conn.Exec(soon(t), "SELECT 1/0"); err == nil {
		t.Fatal("a division by zero succeeded")
	}
	return p, url
}

func TestHostileNamesAreTextOnTheStatusPage(t *testing.T) {
	t.Parallel()
	_, url := troubled(t)
	b := browse(t, url, look{})
	for _, table := range []string{"#pools", "#certificates", "#errors", "#charts-title + p"} {
		b.shows(table, markup)
	}
	b.shows("#errors", markup+"<U+202E><U+0007>")
	if eval[bool](b, `window.taken !== undefined || document.images.length > 0 || document.scripts.length !== 1`) {
		t.Error("a name became markup")
	}
	b.see(look{noScript: true})
	b.run(chromedp.Reload())
	b.shows("noscript table", markup)
	if eval[bool](b, `window.taken !== undefined || document.images.length > 0`) {
		t.Error("a name became markup where there is no script")
	}
	b.quiet()
}

func TestTheStatusPageFitsAndIsReadableOnEachScreen(t *testing.T) {
	t.Parallel()
	p, url := troubled(t)
	free := p.crowd(t)
	b := browse(t, url, look{})
	b.shows("#verdict", "waits in tight/app, the longest for")
	b.shows("#charts", "Query p99")
	for _, width := range []int64{1280, 800, 400, 320} {
		for _, dark := range []bool{false, true} {
			b.see(look{width: width, dark: dark})
			state := fmt.Sprintf("%d pixels, dark %v", width, dark)
			if wide := eval[int64](b, `document.documentElement.scrollWidth`); wide > width {
				t.Errorf("%s: the page is %d wide: %v", state, wide, eval[[]string](b, fmt.Sprintf(
					`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > %d && e.checkVisibility()).map((e) => e.tagName + "#" + e.id + "." + e.className)`, width)))
			}
			b.readable(state)
			b.picture(fmt.Sprintf("%d-dark-%v", width, dark))
		}
	}
	b.see(look{width: 400, noScript: true})
	b.run(chromedp.Reload())
	b.shows("noscript table", "tight/app")
	if wide := eval[int64](b, `document.documentElement.scrollWidth`); wide > 400 {
		t.Errorf("without a script the page is %d wide", wide)
	}
	b.readable("without a script")
	b.picture("noscript")
	free()
	b.quiet()
}

func TestTheStatusPageIsUsedByKeyboardAndReadByItsStructure(t *testing.T) {
	t.Parallel()
	_, url := statusPgseal(t, options{})
	b := browse(t, url, look{})
	b.shows("#pools", "app/app")
	const describe = `(e) => e.tagName + "#" + e.id + ":" + e.textContent.slice(0, 20)`
	want := eval[[]string](b, `[...document.querySelectorAll("a[href], button, select, input, [tabindex='0']")].filter((e) => e.checkVisibility()).map(`+describe+`)`)
	if len(want) < 5 {
		t.Fatalf("only %v are interactive", want)
	}
	var reached []string
	for range len(want) {
		b.run(chromedp.KeyEvent(kb.Tab))
		reached = append(reached, eval[string](b, `(`+describe+`)(document.activeElement)`))
		if !eval[bool](b, `(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2; })()`) {
			t.Errorf("that %s has the focus does not show", reached[len(reached)-1])
		}
	}
	if !slices.Equal(reached, want) {
		t.Errorf("the Tab key reaches %v, not %v", reached, want)
	}
	for what, js := range map[string]string{
		"a table without a caption":              `[...document.querySelectorAll("#app table")].filter((t) => !t.caption?.textContent.trim()).map((t) => t.id)`,
		"a heading cell without a scope":         `[...document.querySelectorAll("#app th")].filter((t) => !t.scope).map((t) => t.textContent)`,
		"a section without a name":               `[...document.querySelectorAll("#app section")].filter((s) => !s.ariaLabel && !document.getElementById(s.getAttribute("aria-labelledby"))?.textContent).map((s) => s.id)`,
		"a picture without words":                `[...document.querySelectorAll("#app svg")].filter((s) => s.getAttribute("role") !== "img" && !s.ariaHidden || s.role === "img" && !s.ariaLabel).map((s) => s.outerHTML)`,
		"a heading that leaves a level out":      `[...document.querySelectorAll("h1, h2, h3")].filter((h) => h.checkVisibility()).map((h) => +h.tagName[1]).filter((n, i, all) => n > (all[i - 1] ?? 0) + 1).map(String)`,
		"an empty name of something interactive": `[...document.querySelectorAll("button, a, select")].filter((e) => !(e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)`,
	} {
		if found := eval[[]string](b, js); len(found) > 0 {
			t.Errorf("%s: %v", what, found)
		}
	}
	moves := func() int { return eval[int](b, `document.getAnimations().length`) }
	b.shows("#contact", "live")
	if moves() == 0 {
		t.Error("nothing shows that the page lives")
	}
	b.see(look{still: true})
	if moves() != 0 {
		t.Error("something moves for who wants that nothing does")
	}
	b.quiet()
}

func TestTheStatusPageAsksBrowsersForTheToken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	replace(t, path, []byte("0123456789abcdef"), 0o600)
	o, url := withHTTP(t, options{})
	o.http["bearer_token_file"] = path
	start(t, sharedPostgres(t, versionsSince(0)[len(versions)-1]), o)
	for _, path := range []string{"/", "/status.json"} {
		if code, body := get(t, url+path); code != http.StatusUnauthorized || strings.Contains(body, "pools") {
			t.Errorf("%s is answered with %d %s", path, code, body)
		}
	}
	b := browse(t, strings.Replace(url, "http://", "http://me:0123456789abcdef@", 1), look{})
	b.shows("#contact", "live")
	b.quiet()
}
