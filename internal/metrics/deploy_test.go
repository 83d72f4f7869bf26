package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var (
	nameInQuery = regexp.MustCompile(`\bpgseal_[a-z0-9_]+`)
	selector    = regexp.MustCompile(`\b(pgseal_[a-z0-9_]+)\{([^}]*)\}`)
	matcher     = regexp.MustCompile(`^\s*([a-z_]+)(=~|=|!=|!~)"[^"]*"\s*$`)
	grouping    = regexp.MustCompile(`\b(?:by|without) \(([^)]*)\)`)
)

// fromPrometheus are labels that each series has besides ours.
var fromPrometheus = []string{"instance", "job", "le"}

// find returns the metric that a name in a query stands for.
func find(name string) *metric {
	for _, s := range all {
		for _, m := range s.metrics {
			if m.kind != histogram && m.name == name || m.kind == histogram && slices.Contains([]string{m.name + "_bucket", m.name + "_sum", m.name + "_count"}, name) {
				return m
			}
		}
	}
	return nil
}

// checkQuery asserts that a query names metrics and labels that there are, and
// closes what it opens.
func checkQuery(t *testing.T, query string) {
	t.Helper()
	known := slices.Clone(fromPrometheus)
	for _, name := range nameInQuery.FindAllString(query, -1) {
		m := find(name)
		if m == nil {
			t.Errorf("%s: there is no %s", query, name)
			continue
		}
		known = append(known, m.labels...)
	}
	for _, s := range selector.FindAllStringSubmatch(query, -1) {
		m := find(s[1])
		for _, part := range strings.Split(s[2], ",") {
			match := matcher.FindStringSubmatch(part)
			if match == nil || m != nil && !slices.Contains(append(slices.Clone(fromPrometheus), m.labels...), match[1]) {
				t.Errorf("%s: %s has no such label: %q", query, s[1], part)
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for _, label := range strings.Split(g[1], ",") {
			if !slices.Contains(known, strings.TrimSpace(label)) {
				t.Errorf("%s: nothing has label %q", query, label)
			}
		}
	}
	open := ""
	for _, c := range query {
		switch c {
		case '(', '{', '[':
			open += string(c)
		case ')', '}', ']':
			if !strings.HasSuffix(open, map[rune]string{')': "(", '}': "{", ']': "["}[c]) {
				t.Fatalf("%s: %c closes nothing", query, c)
			}
			open = open[:len(open)-1]
		}
	}
	if open != "" || strings.Count(query, `"`)%2 != 0 {
		t.Errorf("%s: something is left open", query)
	}
}

func TestTheAlertsAskForWhatThereIs(t *testing.T) {
	content, err := os.ReadFile("../../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	inBraces := regexp.MustCompile(`\{\{ \$(labels\.([a-z]+)|value)[^}]*\}\}`)
	names := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			checkQuery(t, r.Expr)
			if names[r.Alert] || !strings.HasPrefix(r.Alert, "Pgseal") || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s lacks something, or is there twice", r.Alert)
			}
			names[r.Alert] = true
			labels := slices.Clone(fromPrometheus)
			for _, name := range nameInQuery.FindAllString(r.Expr, -1) {
				if m := find(name); m != nil && !strings.Contains(r.Expr, " by (") {
					labels = append(labels, m.labels...)
				}
			}
			for _, text := range r.Annotations {
				for _, m := range inBraces.FindAllStringSubmatch(text, -1) {
					if m[2] != "" && !slices.Contains(labels, m[2]) {
						t.Errorf("%s says %s, which its series have not", r.Alert, m[0])
					}
				}
				if strings.Count(text, "{{") != len(inBraces.FindAllString(text, -1)) {
					t.Errorf("%s: %q has braces that are no template", r.Alert, text)
				}
			}
		}
	}
	for _, want := range []string{"CertificateExpiring", "ReloadFailing", "ClientsWaiting", "NoServer", "LoginFailures"} {
		if !names["Pgseal"+want] {
			t.Errorf("there is no alert for %s", want)
		}
	}
}

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	content, err := os.ReadFile("../../deploy/grafana/pgseal.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		UID, Title string
		Panels     []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	if err := json.Unmarshal(content, &board); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	queries := 0
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d (%s) lacks something, or is there twice", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			queries++
			if strings.Contains(target.Expr, "process_") {
				continue
			}
			checkQuery(t, strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
		}
	}
	if queries < 20 {
		t.Errorf("only %d queries were found", queries)
	}
	for _, v := range board.Templating.List {
		if text, _ := json.Marshal(v.Query); strings.Contains(string(text), "label_values") {
			if m := nameInQuery.FindString(string(text)); find(m) == nil {
				t.Errorf("variable %s asks for %s", v.Name, text)
			}
		}
	}
}
