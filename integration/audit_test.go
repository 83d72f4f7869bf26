package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// auditLines returns the events in an audit file, which holds nothing else and
// no secret.
func auditLines(t *testing.T, path string) (events []map[string]any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			continue // it is being written
		}
		var event map[string]any
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if found := indiscretion(string(line)); found != "" {
			t.Errorf("the audit file holds %s: %s", found, line)
		}
		events = append(events, event)
	}
	return events
}

// findEvent waits for an event with these values and returns it.
func findEvent(t *testing.T, path string, want map[string]string) (found map[string]any) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%v is in %s", want, filepath.Base(path)), func() bool {
	events:
		for _, event := range auditLines(t, path) {
			for key, value := range want {
				if fmt.Sprint(event[key]) != value {
					continue events
				}
			}
			found = event
			return true
		}
		return false
	})
	return found
}

func TestTheAuditFileTellsOfLoginsRefusalsAndReloadsAndIsRotated(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := filepath.Join(dir, "audit.log")
	hba := filepath.Join(dir, "pg_hba.conf")
	replace(t, hba, []byte("hostssl all nobody all reject\nhostssl all all all scram-sha-256\n"), 0o600)
	p := start(t, sharedPostgres(t, "18"), options{
		logs: settings{"audit_file": path}, auth: settings{"hba_file": hba, "auth_delay": "10ms"},
		errors: []string{configRefused, "reload failed, keeping the version in force", fileRefused},
	})
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	p.psql(t, "app", nil, "-c", "SELECT 1")
	p.psql(t, "app", []string{"PGPASSWORD=" + wrongPassword}, "-c", "SELECT 1")
	p.psql(t, "app", []string{"PGUSER=stranger"}, "-c", "SELECT 1")
	p.psql(t, "app", []string{"PGUSER=nobody"}, "-c", "SELECT 1")
	login := findEvent(t, path, map[string]string{
		"event": "login", "user": "app", "database": "app", "method": "scram-sha-256", "rule": hba + ":2", "tls": "TLS 1.3"})
	if addr, _ := login["addr"].(string); !strings.HasPrefix(addr, "127.0.0.1:") || login["ts"] == nil || login["client"] == nil {
		t.Errorf("the login is told as %v", login)
	}
	findEvent(t, path, map[string]string{"event": "refusal", "user": "app", "reason": "wrong_password", "sqlstate": "28P01"})
	findEvent(t, path, map[string]string{"event": "refusal", "user": "stranger", "reason": "unknown_role", "sqlstate": "28P01"})
	findEvent(t, path, map[string]string{"event": "refusal", "user": "nobody", "reason": "rule", "rule": hba + ":1"})

	rotated := path + ".1"
	if err := os.Rename(path, rotated); err != nil {
		t.Fatal(err)
	}
	p.psql(t, "app", nil, "-c", "SELECT 2")
	eventually(t, patience, "the second login is in the old file", func() bool {
		n := 0
		for _, event := range auditLines(t, rotated) {
			if event["event"] == "login" {
				n++
			}
		}
		return n == 2
	})
	p.reload()
	findEvent(t, path, map[string]string{"event": "reload", "name": "configuration", "outcome": "applied"})
	old := len(auditLines(t, rotated))
	p.psql(t, "app", nil, "-c", "SELECT 3")
	findEvent(t, path, map[string]string{"event": "login", "user": "app"})
	if now := len(auditLines(t, rotated)); now != old {
		t.Errorf("the old file went from %d to %d lines", old, now)
	}

	replace(t, hba, []byte("nonsense\n"), 0o600)
	findEvent(t, path, map[string]string{"event": "reload", "name": "access rules", "outcome": "refused"})
	replace(t, hba, []byte("hostssl all all all scram-sha-256\n"), 0o600)
	findEvent(t, path, map[string]string{"event": "reload", "name": "access rules", "outcome": "applied"})
	p.writeFile(p.configFile(), "listen: nonsense\n")
	p.signal(syscall.SIGHUP)
	if event := findEvent(t, path, map[string]string{"event": "reload", "name": "configuration", "outcome": "refused"}); event["cause"] == nil {
		t.Error("the audit file does not say why")
	}
	for _, word := range []string{"login", "refusal"} {
		for _, e := range p.log.all() {
			if e.Message == word {
				t.Errorf("the log holds what the audit file does: %s", e.line)
			}
		}
	}
}

func TestWithoutAnAuditFileTheStreamIsInTheLogAtAnyLevel(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{})
	p.psql(t, "app", nil, "-c", "SELECT 1")
	eventually(t, patience, "the login is in the log", func() bool {
		return p.log.count("login", `"logger":"audit"`, `"method":"scram-sha-256"`) == 1
	})
}

func TestAnApplicationIsNotLockedOutByGuessesFromItsHost(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{auth: settings{
		"auth_delay": "1ms", "max_failed_logins_per_source": "3", "max_failed_logins_per_role": "3",
	}, users: map[string]string{"never_seen": "long ago"}})
	ask := func(env ...string) string { return p.psql(t, "app", env, "-c", "SELECT 1").stderr }
	if told := ask(); told != "" {
		t.Fatalf("psql says %s", told)
	}
	for range 5 {
		ask("PGPASSWORD=" + wrongPassword)
	}
	if told := ask(); told != "" {
		t.Errorf("who came in before is told %s", told)
	}
	told := ask("PGUSER=never_seen", "PGPASSWORD=long ago")
	if !strings.Contains(told, `password authentication failed for user "never_seen"`) {
		t.Errorf("beyond the limit psql says %q", told)
	}
	p.pgx(t, "app", execMode) // statistics are told while there are clients
	eventually(t, patience, "the log tells the true reason, and counts", func() bool {
		return p.log.count("refusal", `"reason":"source_capped"`) == 1 &&
			p.log.count("statistics", `"wrong_password":5`, `"source_capped":1`, `"role_capped":0`, `"audit_lost":0`) > 0
	})
}

func TestTheSaltOfARoleIsTheSameInEveryReplicaThatHasTheKey(t *testing.T) {
	t.Parallel()
	key := filepath.Join(shortDir(t), "mock.key")
	replace(t, key, []byte("0123456789abcdef0123456789abcdef\n"), 0o600)
	pg := sharedPostgres(t, "18")
	first := start(t, pg, options{auth: settings{"mock_secret_file": key}})
	second := start(t, pg, options{auth: settings{"mock_secret_file": key}})
	third := start(t, pg, options{})
	for _, role := range []string{"app", "stranger"} {
		if a, b, c := saltOf(t, first, role), saltOf(t, second, role), saltOf(t, third, role); a != b || a == c {
			t.Errorf("%s: with one key %s and %s, with another %s", role, a, b, c)
		}
	}
	before := saltOf(t, first, "stranger")
	first.options.users["stranger"] = "now known"
	first.writeConfig()
	first.reload()
	if now := saltOf(t, first, "stranger"); now != before {
		t.Error("the salt tells that the role was added")
	}
	replace(t, key, []byte("another key of 16 bytes\n"), 0o600)
	first.reload()
	if now := saltOf(t, first, "app"); now == saltOf(t, second, "app") {
		t.Error("a new key changes nothing")
	}
	if r := first.psql(t, "app", []string{"PGUSER=app"}, "-c", "SELECT 1"); r.status != 0 {
		t.Errorf("with the new key psql ended with status %d: %s", r.status, r.stderr)
	}
}
