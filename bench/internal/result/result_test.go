package result_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/resulttest"
)

func TestARunSurvivesBeingWrittenAndRead(t *testing.T) {
	run := resulttest.Run(1, 3)
	run.Errors = []string{"a & b < c"}
	var buf bytes.Buffer
	if err := result.WriteJSON(&buf, run); err != nil {
		t.Fatal(err)
	}
	got, err := result.ReadJSON(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, run) {
		t.Error("what was read is not what was written")
	}
}

func TestTheSameRunIsWrittenAsTheSameBytes(t *testing.T) {
	var a, b bytes.Buffer
	if err := errors.Join(result.WriteJSON(&a, resulttest.Run(1, 3)), result.WriteJSON(&b, resulttest.Run(1, 3))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two writes of one run differ")
	}
}

func TestAFigureThatIsNoNumberIsWrittenAsMissingAndCostsNothingElse(t *testing.T) {
	run := resulttest.Run(1, 1)
	metrics := run.Cases[0].Rounds[0].Samples[1].Metrics
	metrics["tps"], metrics["cpu_us_per_tx"] = math.NaN(), math.Inf(1)
	var buf bytes.Buffer
	if err := result.WriteJSON(&buf, run); err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(metrics["tps"]) {
		t.Error("writing changed the run")
	}
	got, err := result.ReadJSON(&buf)
	if err != nil {
		t.Fatal(err)
	}
	read := got.Cases[0].Rounds[0].Samples[1].Metrics
	if _, ok := read["tps"]; ok || len(read) != len(metrics)-2 {
		t.Errorf("read %v", read)
	}
}

// endless is a string of a JSON file that never ends.
type endless struct{ head *strings.Reader }

func (e endless) Read(p []byte) (int, error) {
	if e.head.Len() > 0 {
		return e.head.Read(p)
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAFileThatIsNoRunIsRefusedWithAReason(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "unexpected end"},
		{"cut short", `{"version":1,"targets":[`, "unexpected end"},
		{"no JSON", "hello", "invalid character"},
		{"an array", "[]", "cannot unmarshal"},
		{"no version", `{"targets":[{"name":"a"}]}`, "another version: 0"},
		{"a later version", `{"version":2,"targets":[{"name":"a"}]}`, "another version: 2, this program reads 1"},
		{"no targets", `{"version":1}`, "no targets"},
		{"two runs", `{"version":1,"targets":[{"name":"a"}]} {}`, "after top-level value"},
		{"garbage behind", `{"version":1,"targets":[{"name":"a"}]} x`, "invalid character"},
	} {
		_, err := result.ReadJSON(strings.NewReader(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q in it", tc.name, err, tc.want)
		}
	}
}

func TestAnotherVersionCanBeToldFromABrokenFile(t *testing.T) {
	_, err := result.ReadJSON(strings.NewReader(`{"version":99,"targets":[{"name":"a"}]}`))
	if !errors.Is(err, result.ErrVersion) {
		t.Errorf("got %v", err)
	}
}

func TestAnEndlessFileEndsInAnError(t *testing.T) {
	_, err := result.ReadJSON(endless{strings.NewReader(`{"version":1,"targets":[{"name":"a"}]}`)})
	if err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestFieldsOfANewerProgramAreIgnored(t *testing.T) {
	_, err := result.ReadJSON(strings.NewReader(`{"version":1,"targets":[{"name":"a","moon":"full"}],"weather":"fine"}`))
	if err != nil {
		t.Error(err)
	}
}

func TestPgBouncerIsTheBaselineWhereItTookPart(t *testing.T) {
	run := resulttest.Run(1, 1)
	if got := run.Baseline(); got != "pgbouncer" {
		t.Errorf("got %q", got)
	}
	run.Targets = run.Targets[:2]
	if got := run.Baseline(); got != "direct" {
		t.Errorf("without it: got %q, want the first", got)
	}
	run.Targets = nil
	if got := run.Baseline(); got != "" {
		t.Errorf("without any: got %q", got)
	}
}

func TestASampleThatFailedHasNoFigureButItsFailures(t *testing.T) {
	c := result.Case{Rounds: []result.Round{
		{Samples: []result.Sample{{Target: "a", Metrics: map[string]float64{"tps": 5, "failures": 0}}}},
		{Samples: []result.Sample{{Target: "a", Error: "died", Metrics: map[string]float64{"tps": 900, "failures": 3}}}},
		{Samples: []result.Sample{{Target: "b", Metrics: map[string]float64{"tps": 7}}}},
		{},
	}}
	tps, failures := c.Values("a", "tps"), c.Values("a", "failures")
	if tps[0] != 5 || !math.IsNaN(tps[1]) || !math.IsNaN(tps[2]) || !math.IsNaN(tps[3]) || len(tps) != 4 {
		t.Errorf("tps: %v", tps)
	}
	if failures[0] != 0 || failures[1] != 3 || !math.IsNaN(failures[2]) {
		t.Errorf("failures: %v", failures)
	}
}

func TestEveryProblemIsListedOnceAndWithItsPlace(t *testing.T) {
	run := &result.Run{
		Errors: []string{"pgseal: connection refused"},
		Cases: []result.Case{{Scenario: "storm", Name: "500 at once", Rounds: []result.Round{
			{Samples: []result.Sample{{Target: "pgseal", Error: "connection refused"}}},
			{Samples: []result.Sample{{Target: "direct", Error: "too many clients"}, {Target: "pgseal"}}},
		}}},
	}
	want := []string{"pgseal: connection refused", "storm, 500 at once, round 2, direct: too many clients"}
	if got := run.Problems(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if len(run.Errors) != 1 {
		t.Error("listing changed the run")
	}
}

func TestMetricsComeInTheOrderOfTheCatalogueThenTheUnknownByName(t *testing.T) {
	c := result.Case{Rounds: []result.Round{{Samples: []result.Sample{
		{Metrics: map[string]float64{"zebra": 1, "p50_ms": 1, "apple": 1}},
		{Metrics: map[string]float64{"tps": 1}},
	}}}}
	var names []string
	for _, m := range c.MetricsOf() {
		names = append(names, m.Name)
	}
	if want := []string{"tps", "p50_ms", "apple", "zebra"}; !slices.Equal(names, want) {
		t.Errorf("got %v", names)
	}
}

func TestTheCatalogueNamesEachMetricOnceAndInFull(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range result.Metrics {
		if seen[m.Name] || m.Name == "" || m.Title == "" {
			t.Errorf("%+v is repeated or incomplete", m)
		}
		seen[m.Name] = true
		if got, ok := result.Lookup(m.Name); !ok || got != m {
			t.Errorf("looked up %s, got %+v", m.Name, got)
		}
	}
	if _, ok := result.Lookup("no such"); ok {
		t.Error("found what is not there")
	}
	if m, _ := result.Lookup("reloads"); m.Judged() {
		t.Error("to replace more certificates is neither good nor bad")
	}
	if m, _ := result.Lookup("failures"); !m.Judged() {
		t.Error("failures must count")
	}
}

func FuzzReadJSON(f *testing.F) {
	var buf bytes.Buffer
	if err := result.WriteJSON(&buf, resulttest.Run(1, 1)); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte(`{"version":1,"targets":[{"name":"a"}],"cases":[{"rounds":[{"samples":[{"metrics":{"tps":1e308}}]}]}]}`))
	f.Add([]byte(`{"version":1,"targets":[null],"cases":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := result.ReadJSON(bytes.NewReader(data))
		if err != nil {
			return
		}
		var once bytes.Buffer
		if err := result.WriteJSON(&once, run); err != nil {
			t.Fatal(err)
		}
		again, err := result.ReadJSON(bytes.NewReader(once.Bytes()))
		if err != nil {
			t.Fatalf("our own words refused: %v", err)
		}
		var twice bytes.Buffer
		if err := result.WriteJSON(&twice, again); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Errorf("changed on the way:\n%s\n%s", once.Bytes(), twice.Bytes())
		}
	})
}
