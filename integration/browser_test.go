package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browserLimit is how long a test may use its browser.
const browserLimit = 3 * time.Minute

// tab is a page in a headless Chromium that belongs to one test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // exceptions, refusals by a policy
}

// look describes who looks at a page, and on what. The zero value is a wide
// and light screen.
type look struct {
	width    int64
	dark     bool
	still    bool // prefers-reduced-motion
	noScript bool
}

// browse starts a browser and loads the page.
func browse(t *testing.T, url string, l look) *tab {
	t.Helper()
	flags := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.NoSandbox, // which root can't have
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(browserLimit))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(func() { chromedp.Cancel(ctx); cancel() })
	late := time.AfterFunc(browserLimit, cancel)
	t.Cleanup(func() { late.Stop() })
	b := &tab{t: t, ctx: ctx}
	b.run(b.listen)
	b.see(l)
	b.run(chromedp.Navigate(url))
	return b
}

// listen notes complaints until the test ends.
func (b *tab) listen(_ context.Context, target *chromedp.Target) (chromedp.Void, error) {
	thrown, entries := cdp.Events(b.ctx, target, runtime.ExceptionThrown), cdp.Events(b.ctx, target, log.EntryAdded)
	go func() {
		for e, err := range thrown {
			if err == nil {
				b.complain(e.ExceptionDetails.Text)
			}
		}
	}()
	go func() {
		for e, err := range entries {
			if err == nil && e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
				b.complain(e.Entry.Text)
			}
		}
	}()
	if _, err := cdp.Call(b.ctx, target, runtime.Enable, cdp.Empty{}); err != nil {
		return chromedp.Void{}, err
	}
	_, err := cdp.Call(b.ctx, target, log.Enable, cdp.Empty{})
	return chromedp.Void{}, err
}

func (b *tab) complain(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, text)
}

// quiet fails the test where the browser complained of the page.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("the browser complains: %s", c)
	}
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// see changes who looks at the page.
func (b *tab) see(l look) {
	b.t.Helper()
	if l.width == 0 {
		l.width = 1280
	}
	scheme, motion := "light", "no-preference"
	if l.dark {
		scheme = "dark"
	}
	if l.still {
		motion = "reduce"
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}}
	b.run(
		command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: 900, DeviceScaleFactor: 1}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}),
		command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.noScript}),
	)
}

// command is one of the browser's protocol.
func command[P any](c cdp.Command[P, cdp.Empty], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, c, params)
		return chromedp.Void{}, err
	}
}

// eval returns what an expression of JavaScript yields.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js))
	if err != nil {
		b.t.Fatalf("%v in %s", err, js)
	}
	return v
}

// text returns what is to be read in an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`((e) => e?.checkVisibility() ? e.innerText : "")(document.querySelector(%q))`, selector))
}

// shows waits until an element has a text in it.
func (b *tab) shows(selector, part string) {
	b.t.Helper()
	var last string
	if !poll(patience, func() bool { last = b.text(selector); return strings.Contains(last, part) }) {
		b.t.Fatalf("%s does not come to show %q, but %q", selector, part, last)
	}
}

// picture keeps a picture of the whole page with the test's artifacts (go test
// -artifacts), for people.
func (b *tab) picture(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// dim lists the texts of the page whose contrast is below what WCAG 2.2 wants
// at level AA (success criterion 1.4.3). It counts how many it looked at.
const dim = `(() => {
	const light = (c) => {
		const [r, g, b] = c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const parse = (s) => { const n = s.match(/[\d.]+/g).map(Number); return n.length === 3 ? [...n, 1] : n; };
	const over = (top, low) => [0, 1, 2].map((i) => top[i] * top[3] + low[i] * (1 - top[3])).concat(1);
	const ground = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
		return layers.reverse().reduce((low, top) => over(top, low), [255, 255, 255, 1]);
	};
	let looked = 0;
	const bad = [];
	const judge = (e, style, text) => {
		looked++;
		const back = ground(e), front = over(parse(style.color), back);
		const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
		const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && parseInt(style.fontWeight) >= 700;
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < (large ? 3 : 4.5)) bad.push(text.trim().slice(0, 40) + ": " + ratio.toFixed(2) + " of " + style.color);
	};
	for (const e of document.body.querySelectorAll("*")) {
		if (["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(e.tagName) || !e.checkVisibility()) continue;
		for (const n of e.childNodes) if (n.nodeType === 3 && n.data.trim()) { judge(e, getComputedStyle(e), n.data); break; }
		const before = getComputedStyle(e, "::before");
		if (before.content.length > 2 && before.content !== "none" && before.content !== "normal") judge(e, before, before.content);
	}
	return {looked, bad};
})()`

// readable fails the test where a text has too little contrast.
func (b *tab) readable(state string) {
	b.t.Helper()
	found := eval[struct {
		Looked int
		Bad    []string
	}](b, dim)
	if found.Looked < 30 {
		b.t.Errorf("%s: only %d texts were looked at", state, found.Looked)
	}
	for _, text := range slices.Compact(found.Bad) {
		b.t.Errorf("%s: too little contrast: %s", state, text)
	}
}
