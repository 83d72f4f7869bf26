package integration

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// knownDifferences are those of docs/pooling.md, "What differs", which no
// dialogue is kept from: what stands there in bold, and how to tell them.
var knownDifferences = []struct {
	name string
	is   func(f *sight) bool
}{
	{"messages of the extended-query protocol and then a Query without a Sync", func(f *sight) bool {
		// PostgreSQL 18 fails so behind a Query in a batch; pgseal mostly spares its clients that.
		lost := func(answer []string) bool { return strings.Contains(inWords(answer), "unexpected state STARTED") }
		return f.late && (slices.ContainsFunc(f.answers, lost) ||
			strings.Contains(f.want, "ready T") && strings.Contains(f.got, "transaction blocks not allowed in statement pooling mode"))
	}},
	{"RESET among several statements", func(f *sight) bool { return strings.Contains(f.want, "RESET; columns ") }},
	{"A plan that PostgreSQL has thrown away", func(f *sight) bool {
		return strings.Contains(f.want, "2200M") || strings.Contains(f.want, `42501 "permission denied for schema`) &&
			(strings.HasPrefix(f.gotHere, "columns ") || f.gotHere == "BindComplete")
	}},
	{"Warnings that a statement is alone", func(f *sight) bool {
		return strings.HasPrefix(f.wantHere, "N WARNING 25P01") && f.gotHere == f.wantNext
	}},
	{"A Query of several statements, one of them an EXECUTE", (*sight).failsEarly},
	{"PREPARE, EXECUTE and DEALLOCATE in the extended-query protocol", func(f *sight) bool {
		description := func(answer string) bool { return strings.HasPrefix(answer, "columns ") || answer == "NoData" }
		stale := strings.HasPrefix(f.gotHere, "E ERROR 0A000")
		return f.parses("execute ") && (description(f.wantHere) && (description(f.gotHere) || stale) || f.wantHere == "ParseComplete" && stale)
	}},
	{"BEGIN or SET TRANSACTION with an isolation level, in one Query with an EXECUTE", func(f *sight) bool {
		return strings.HasPrefix(f.gotHere, `E ERROR 25001 "SET TRANSACTION ISOLATION LEVEL must be called`) && strings.Contains(f.texts[len(f.texts)-1], "execute ")
	}},
	{"A client that leaves while its query runs", func(f *sight) bool { // and which of several queries a CancelRequest meets is chance
		return strings.Contains(f.got, canceledError) && strings.Contains(f.want, canceledError)
	}},
	{"`SET temp_buffers`", func(f *sight) bool { return strings.Contains(f.got, "cannot be changed after any temporary tables") }},
}

const canceledError = "57014"

// sight is what knownDifferences look at of a difference.
type sight struct {
	late      bool // PostgreSQL 18 and later
	got, want string
	// gotHere and wantHere are the answers that differ, wantNext is the one behind.
	gotHere, wantHere, wantNext string
	gotList, wantList           []string
	answers                     [][]string
	texts                       []string // what the client has sent so far
}

// known reports whether a difference is one of knownDifferences.
func (j *judge) known(d *difference, s dialogue, answers [][]string) bool {
	f := &sight{
		late: j.late, got: inWords(d.got), want: inWords(d.want), gotList: d.got, wantList: d.want, answers: answers[:d.step+1],
	}
	if last := len(d.got) - 1; last >= 0 && last < len(d.want) {
		f.gotHere, f.wantHere = d.got[last], d.want[last]
		if last+1 < len(d.want) {
			f.wantNext = d.want[last+1]
		}
	}
	for _, st := range s[:d.step+1] {
		if st.client == d.client {
			f.texts = append(f.texts, st.text)
		}
	}
	for _, k := range knownDifferences {
		if k.is(f) {
			return true
		}
	}
	return false
}

// parses reports whether the client has sent a Parse of a text that begins so.
func (f *sight) parses(text string) bool {
	return slices.ContainsFunc(f.texts, func(sent string) bool {
		return slices.ContainsFunc(strings.Split(sent, " ;; "), func(message string) bool {
			_, sql, ok := strings.Cut(message, ": ")
			return ok && strings.HasPrefix(message, "parse ") && strings.HasPrefix(sql, text)
		})
	})
}

// failsEarly reports whether the first answer that differs is an error that
// comes later, too, behind what was completed in front of it.
func (f *sight) failsEarly() bool {
	if !strings.HasPrefix(f.gotHere, `E ERROR 42P01 "relation `) {
		return false
	}
	here := f.wantList[len(f.gotList)-1:]
	behind := slices.Index(here, f.gotHere)
	return behind > 0 && !slices.ContainsFunc(here[:behind], func(a string) bool { return strings.HasPrefix(a, "ready") })
}

// What the judge forgives a user has been told of.
func TestEachKnownDifferenceIsNamedInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/pooling.md")
	if err != nil {
		t.Fatal(err)
	}
	_, differs, _ := strings.Cut(string(page), "\n## What differs from a connection of its own\n")
	differs, _, _ = strings.Cut(differs, "\n## ")
	for _, k := range knownDifferences {
		item := strings.Join(strings.Fields(differs), " ")
		at := strings.Index(item, k.name)
		if at < 0 {
			t.Errorf("docs/pooling.md does not say: %s", k.name)
		} else if bold := item[:at]; strings.Count(bold, "**")%2 == 0 {
			t.Errorf("docs/pooling.md has %q, but not as a difference of its own", k.name)
		}
	}
}
