package integration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/pgmodel"
	"github.com/pgseal/pgseal/internal/wire"
)

// watched are settings of all kinds: reported or not, and one that is reported
// by PostgreSQL 18 only.
var watched = []string{"work_mem", "TimeZone", "DateStyle", "application_name", "search_path", "statement_timeout"}

// TestTheModelKnowsWhereSettingsComeFrom compares what a new session starts
// with, and what it has after a reload and after a RESET.
func TestTheModelKnowsWhereSettingsComeFrom(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			j := newModelJudge(t, version)
			cluster := pgmodel.NewCluster(j.version)
			s := settingsJudge{j, cluster, t}
			s.configure("work_mem", "5MB", "TimeZone", "Asia/Tokyo", "statement_timeout", "80s")
			s.role("statement_timeout", "70s")
			s.role("DateStyle", "SQL, DMY")
			s.role("search_path", "public")

			startups := [][]wire.Parameter{
				nil,
				{{Name: "options", Value: "-c work_mem=2MB -cstatement_timeout=60s"}, {Name: "timezone", Value: "Europe/Berlin"}},
				{{Name: "DateStyle", Value: "German"}, {Name: "app.tenant", Value: "x"}},
			}
			var sides []*side
			for i, startup := range startups {
				side := s.connect(fmt.Sprint(i), startup)
				sides = append(sides, side)
				if i == 1 {
					s.both(side, "SET statement_timeout = '50s'", "BEGIN", "SET work_mem = '3MB'", "SET LOCAL TimeZone = 'UTC'")
				}
			}
			s.role("work_mem", "9MB") // for sessions to come
			s.configure("work_mem", "6MB", "TimeZone", "America/New_York", "DateStyle", "German", "deadlock_timeout", "2s")
			for _, side := range sides {
				s.wait(side, "2s")
				s.both(side, "COMMIT")
				s.show(side)
				s.both(side, "RESET work_mem", "RESET TimeZone")
				s.show(side)
				s.both(side, "RESET ALL")
				s.show(side)
				s.both(side, "DISCARD ALL")
				s.show(side)
			}
			s.show(s.connect("last", nil))
		})
	}
}

type settingsJudge struct {
	*modelJudge
	cluster *pgmodel.Cluster
	t       *testing.T
}

// configure changes the configuration of both, TimeZone with it, which new sessions
// report.
func (s settingsJudge) configure(pairs ...string) {
	s.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		s.run(s.t, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", pairs[i], pairs[i+1]))
		s.cluster.Configure(pairs[i], pairs[i+1])
	}
	s.run(s.t, "SELECT pg_reload_conf()")
	want := wire.Parameter{Name: "TimeZone", Value: pairs[slices.Index(pairs, "TimeZone")+1]}
	eventually(s.t, patience, "the postmaster has read it, from which new sessions inherit", func() bool {
		c, params, err := s.dial(startupOfModel...)
		if err != nil {
			s.t.Fatal(err)
		}
		defer c.conn.Close()
		return slices.Contains(params, want)
	})
}

func (s settingsJudge) role(name, value string) {
	s.t.Helper()
	s.run(s.t, fmt.Sprintf("ALTER ROLE postgres SET %s = '%s'", name, value))
	s.cluster.AlterRole("postgres", name, value)
}

// connect compares the parameters that are reported first.
func (s settingsJudge) connect(name string, startup []wire.Parameter) *side {
	s.t.Helper()
	startup = append(startup, startupOfModel...)
	real, params, err := s.dial(startup...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { real.conn.Close() })
	model, greeting := s.cluster.Connect(startup)
	want, got := byName(params), byName(greeting)
	delete(want, "server_version")
	delete(got, "server_version")
	if !maps.Equal(got, want) {
		s.t.Errorf("%s: PostgreSQL reports %v, the model %v", name, want, got)
	}
	return &side{name: name, real: real, model: model}
}

func byName(list []wire.Parameter) map[string]string {
	m := map[string]string{}
	for _, p := range list {
		m[p.Name] = p.Value
	}
	return m
}

// both runs statements on either side and compares.
func (s settingsJudge) both(side *side, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		var log strings.Builder
		p := wire.AppendQuery(nil, text)
		side.model.Feed(p)
		if _, err := side.real.conn.Write(p); err != nil {
			s.t.Fatal(err)
		}
		if _, err := s.compare(side, &log); err != nil {
			s.t.Fatalf("%s: %v", text, err)
		}
	}
}

func (s settingsJudge) show(side *side) {
	s.t.Helper()
	for _, name := range watched {
		s.both(side, "SHOW "+name)
	}
}

// wait lets a session read messages until it has seen the reload, and compares
// what it has reported with what the model reports with one message.
func (s settingsJudge) wait(side *side, timeout string) {
	s.t.Helper()
	show := wire.AppendQuery(nil, "SHOW deadlock_timeout")
	side.model.Feed(show)
	want := reports(modelReadings(side.model.Take()))
	var got []string
	for end, seen := time.Now().Add(patience), false; !seen; {
		if time.Now().After(end) {
			s.t.Fatal("the reload has not come")
		}
		if _, err := side.real.conn.Write(show); err != nil {
			s.t.Fatal(err)
		}
		for typ := byte(0); typ != wire.ReadyForQuery; {
			var body []byte
			var err error
			if typ, body, err = side.real.read(); err != nil {
				s.t.Fatal(err)
			}
			seen = seen || typ == wire.DataRow && strings.HasSuffix(string(body), timeout)
			got = append(got, modelReading(typ, body))
		}
	}
	if got := reports(got); got != want {
		s.t.Errorf("%s: after the reload PostgreSQL reports %s, the model %s", side.name, got, want)
	}
}

func reports(list []string) string {
	var s []string
	for _, m := range list {
		if strings.HasPrefix(m, "S ") {
			s = append(s, m)
		}
	}
	return sorted(s)
}
