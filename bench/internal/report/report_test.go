package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/resulttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func terminal(run *result.Run) string {
	var b strings.Builder
	Terminal(&b, run)
	return b.String()
}

func markdown(t *testing.T, run *result.Run) string {
	t.Helper()
	var b strings.Builder
	if err := WriteMarkdown(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func html(t *testing.T, run *result.Run) string {
	t.Helper()
	var b strings.Builder
	if err := WriteHTML(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// everywhere gives all three forms of a run.
func everywhere(t *testing.T, run *result.Run) map[string]string {
	t.Helper()
	return map[string]string{"terminal": terminal(run), "markdown": markdown(t, run), "html": html(t, run)}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from its golden file; look at it, then run with -update:\n%s", name, got)
	}
}

func TestMarkdownIsAsItWasLookedAt(t *testing.T) {
	golden(t, "report.md", markdown(t, resulttest.Run(7, 5)))
}

func TestTheTerminalIsAsItWasLookedAt(t *testing.T) {
	golden(t, "terminal.txt", terminal(resulttest.Run(7, 5)))
}

func TestTheSameRunGivesTheSameBytes(t *testing.T) {
	a, b := everywhere(t, resulttest.Run(3, 3)), everywhere(t, resulttest.Run(3, 3))
	for form := range a {
		if a[form] != b[form] {
			t.Errorf("%s differs", form)
		}
	}
}

func TestErrorsStandAboveEveryFigure(t *testing.T) {
	run := resulttest.Run(1, 3)
	run.Errors = []string{"haproxy died"}
	run.Cases[0].Rounds[1].Samples[1].Error = "connection refused"
	for form, text := range everywhere(t, run) {
		for _, want := range []string{"haproxy died", "round 2, pgseal: connection refused"} {
			at, figures := strings.Index(text, want), strings.Index(strings.ToLower(text), "cpu per transaction")
			if at < 0 || figures < at {
				t.Errorf("%s: %q stands at %d, the figures at %d", form, want, at, figures)
			}
		}
		if !strings.Contains(strings.ToLower(text), "do not quote") {
			t.Errorf("%s does not warn", form)
		}
		if !strings.Contains(text, "1 failed") {
			t.Errorf("%s: the cell that failed does not say so", form)
		}
	}
}

func TestARunWithoutErrorsDoesNotWarn(t *testing.T) {
	for form, text := range everywhere(t, resulttest.Run(1, 3)) {
		if strings.Contains(strings.ToLower(text), "do not quote") {
			t.Errorf("%s warns", form)
		}
	}
}

func TestTargetsLeftOutAreNamedWithTheReason(t *testing.T) {
	for form, text := range everywhere(t, resulttest.Run(1, 3)) {
		if !strings.Contains(text, "odyssey") || !strings.Contains(text, "not installed") {
			t.Errorf("%s is silent", form)
		}
	}
}

func TestTheCostOfTheLoadGeneratorIsTold(t *testing.T) {
	run := resulttest.Run(1, 3)
	run.Meta.LoadCPU, run.Meta.Seconds, run.Meta.Cores = 100, 400, 2
	for form, text := range everywhere(t, run) {
		if !strings.Contains(text, "100 s of CPU over 6m40s, 0.25 cores on average of the 2") {
			t.Errorf("%s does not tell", form)
		}
	}
	run.Meta.LoadCPU = 0
	if !strings.Contains(markdown(t, run), "not measured") {
		t.Error("an unknown cost is passed over")
	}
}

// small is a run of one case with these figures of CPU per transaction.
func small(targets []string, rounds ...[]float64) *result.Run {
	run := &result.Run{Version: result.Version}
	for _, name := range targets {
		run.Targets = append(run.Targets, result.Target{Name: name})
	}
	c := result.Case{Scenario: "throughput", Name: "one case", Clients: 4}
	for _, figures := range rounds {
		var round result.Round
		for i, v := range figures {
			round.Samples = append(round.Samples, result.Sample{Target: targets[i], Metrics: map[string]float64{"cpu_us_per_tx": v}})
		}
		c.Rounds = append(c.Rounds, round)
	}
	run.Cases = []result.Case{c}
	return run
}

func TestRatiosAreTakenToPgBouncerRoundByRound(t *testing.T) {
	run := small([]string{"pgseal", "pgbouncer"}, []float64{8, 10}, []float64{16, 20}, []float64{31, 40})
	if text := markdown(t, run); !strings.Contains(text, "| one case | 16 [8–31] 0.80× better | 20 [10–40] |") {
		t.Errorf("got\n%s", text)
	}
}

func TestPgBouncerIsSaidToBeBetterWhereItIs(t *testing.T) {
	run := small([]string{"pgseal", "pgbouncer"}, []float64{12, 10}, []float64{24, 20}, []float64{12.2, 10})
	for form, text := range everywhere(t, run) {
		if !strings.Contains(text, "1.20×") || form != "terminal" && !strings.Contains(text, "worse") {
			t.Errorf("%s hides it:\n%s", form, text)
		}
	}
}

func TestARatioWhoseIntervalHoldsOneIsCalledTheSame(t *testing.T) {
	run := small([]string{"pgseal", "pgbouncer"}, []float64{9, 10}, []float64{11, 10}, []float64{10, 10})
	if text := markdown(t, run); !strings.Contains(text, "1.00× same") {
		t.Errorf("got\n%s", text)
	}
	if text := terminal(run); !strings.Contains(text, "1.00×~") {
		t.Errorf("got\n%s", text)
	}
}

func TestOneRoundIsShownButNotJudged(t *testing.T) {
	run := small([]string{"pgseal", "pgbouncer"}, []float64{5, 10})
	if text := markdown(t, run); !strings.Contains(text, "| 5 0.50× too few rounds | 10 |") {
		t.Errorf("got\n%s", text)
	}
	if text := terminal(run); !strings.Contains(text, "0.50×?") {
		t.Errorf("got\n%s", text)
	}
}

func TestWithoutPgBouncerTheFirstTargetIsTheBaseline(t *testing.T) {
	run := small([]string{"mine", "yours"}, []float64{10, 5}, []float64{10, 5}, []float64{10, 5})
	for form, text := range everywhere(t, run) {
		if !strings.Contains(text, "mine") || !strings.Contains(text, "0.50×") {
			t.Errorf("%s:\n%s", form, text)
		}
	}
}

func TestARunOfAlmostNothingIsStillShown(t *testing.T) {
	for name, run := range map[string]*result.Run{
		"nothing":         {},
		"no cases":        {Targets: []result.Target{{Name: "a"}}},
		"no rounds":       {Targets: []result.Target{{Name: "a"}}, Cases: []result.Case{{Scenario: "idle", Name: "x"}}},
		"one target":      small([]string{"a"}, []float64{1}),
		"zeros":           small([]string{"pgseal", "pgbouncer"}, []float64{0, 0}, []float64{0, 0}, []float64{0, 0}),
		"no numbers":      small([]string{"pgseal", "pgbouncer"}, []float64{math.NaN(), math.Inf(1)}),
		"beyond all size": small([]string{"pgseal", "pgbouncer"}, []float64{math.MaxFloat64, 5e-324}),
		"negative":        small([]string{"pgseal", "pgbouncer"}, []float64{-3, -2}),
	} {
		for form, text := range everywhere(t, run) {
			if text == "" || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Errorf("%s, %s:\n%s", name, form, text)
			}
		}
	}
}

func TestAScenarioThatIsNotOursIsShownBare(t *testing.T) {
	run := small([]string{"a", "b"}, []float64{1, 2})
	run.Cases[0].Scenario = "moonwalk"
	run.Cases[0].Rounds[0].Samples[0].Metrics["steps"] = 42
	for form, text := range everywhere(t, run) {
		if !strings.Contains(strings.ToLower(text), "moonwalk") || !strings.Contains(text, "42") || !strings.Contains(text, "neither is better") {
			t.Errorf("%s:\n%s", form, text)
		}
	}
}

const hostile = "<script>alert(1)</script>\"'`|*\x1b[2J\u202e\n```\n</svg></style>"

func hostileRun() *result.Run {
	run := resulttest.Run(1, 3)
	for i := range run.Targets {
		old := run.Targets[i].Name
		name := old + hostile
		run.Targets[i] = result.Target{Name: name, Version: hostile, Settings: hostile, TLS: hostile, Cipher: hostile, Certificate: hostile}
		for _, c := range run.Cases {
			for _, round := range c.Rounds {
				round.Samples[i].Target = name
			}
		}
	}
	run.Meta.Command, run.Meta.CPU, run.Meta.Kernel = hostile, hostile, hostile
	run.Meta.LeftOut = []result.LeftOut{{Name: hostile, Why: hostile}}
	run.Errors = []string{hostile}
	for i := range run.Cases {
		run.Cases[i].Name += hostile
		run.Cases[i].Workload += hostile
	}
	run.Cases[0].Scenario = hostile
	return run
}

func TestHostileStringsStayText(t *testing.T) {
	page := html(t, hostileRun())
	if strings.Contains(page, "<script") || strings.Contains(page, "ZgotmplZ") {
		t.Error("markup got into the page")
	}
	if strings.Count(page, "</style>") != 1 {
		t.Error("the style sheet was left")
	}
	text := terminal(hostileRun())
	if strings.ContainsAny(text, "\x1b\u202e") {
		t.Error("a control character got into the terminal")
	}
	md := markdown(t, hostileRun())
	if strings.Contains(strings.ReplaceAll(md, fenced(hostile), ""), "<script") {
		if outside := regexp.MustCompile("(?s)````.*?````").ReplaceAllString(md, ""); strings.Contains(outside, "<script") {
			t.Error("markup got into the Markdown outside of code")
		}
	}
	if strings.ContainsAny(md, "\x1b") {
		t.Error("a control character got into the Markdown")
	}
}

func TestHostileNamesDoNotBreakAMarkdownTable(t *testing.T) {
	md := markdown(t, hostileRun())
	pipe := regexp.MustCompile(`(^|[^\\])\|`)
	for line := range strings.Lines(md) {
		if strings.HasPrefix(line, "| TPC-B") {
			if n := len(pipe.FindAllString(line, -1)); n != 6 {
				t.Fatalf("%d cells in %q", n-1, line)
			}
		}
	}
}

func TestThePageLoadsNothingAndRunsNothing(t *testing.T) {
	page := html(t, resulttest.Run(1, 3))
	for _, banned := range []string{"<script", "<link", "<img", "<iframe", "src=", "href=", "url(", "@import", "http://", "https://", "onload"} {
		if strings.Contains(page, banned) {
			t.Errorf("%q is in the page", banned)
		}
	}
	if !strings.Contains(page, "default-src 'none'") || !strings.Contains(page, "prefers-color-scheme: dark") {
		t.Error("policy or dark colours are missing")
	}
}

func TestThePageIsWellFormed(t *testing.T) {
	for name, run := range map[string]*result.Run{"sample": resulttest.Run(1, 3), "hostile": hostileRun()} {
		d := xml.NewDecoder(strings.NewReader(html(t, run)))
		d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
}

func TestEveryPlotHasATitleANoteAndItsFiguresInWords(t *testing.T) {
	v := newView(resulttest.Run(1, 5))
	all := v.overview()
	for _, sec := range v.sections {
		all = append(all, v.figures(sec)...)
	}
	if len(all) < 30 {
		t.Fatalf("only %d plots", len(all))
	}
	digit := regexp.MustCompile(`\d`)
	for _, f := range all {
		if f.Title == "" || !digit.MatchString(f.Plot.Alt) || !strings.Contains(f.Plot.Alt, "pgseal") && !strings.Contains(f.Title, "against") {
			t.Errorf("%q says %q", f.Title, f.Plot.Alt)
		}
		if !strings.Contains(f.Note, "better") {
			t.Errorf("%q does not say what is better: %q", f.Title, f.Note)
		}
	}
}

func TestAPageOfARunHasThePlotsThatWerePromised(t *testing.T) {
	page := html(t, resulttest.Run(1, 5))
	for _, title := range []string{
		"Throughput: select-only, simple", "CPU per transaction: TPC-B, prepared", "Latency: 25 % of the slowest maximum",
		"Resident memory per idle client", "pgseal against pgbouncer", "Time until all are served: 500 logins at once",
	} {
		if !strings.Contains(page, "<h3>"+title) {
			t.Errorf("no plot %q", title)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAReportThatCannotBeWrittenSaysSo(t *testing.T) {
	run := resulttest.Run(1, 1)
	for name, write := range map[string]func(io.Writer, *result.Run) error{"markdown": WriteMarkdown, "html": WriteHTML} {
		if err := write(brokenPipe{}, run); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzARunFromAnyFileCanBeShown(f *testing.F) {
	var b bytes.Buffer
	if err := result.WriteJSON(&b, small([]string{"pgseal", "pgbouncer"}, []float64{1, 2})); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"version":1,"targets":[{"name":"a"},{"name":"a"}],"cases":[{"scenario":"latency","clients":-1,"rate":1e308,"rounds":[{"samples":[{"target":"a","metrics":{"p50_ms":1e-320,"p99_ms":1e308}}]}]}]}`))
	f.Add([]byte(`{"version":1,"targets":[{"name":"\u0000"}],"cases":[{"scenario":"idle","clients":1,"rounds":[{},{"samples":[{"target":"\u0000","metrics":{"rss_kib_per_client":-5}}]}]},{"scenario":"idle","clients":9223372036854775807}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := result.ReadJSON(bytes.NewReader(data))
		if err != nil {
			return
		}
		for form, text := range everywhere(t, run) {
			if !utf8.ValidString(text) {
				t.Errorf("%s is not UTF-8", form)
			}
		}
	})
}
