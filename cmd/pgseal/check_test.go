package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pgseal/pgseal/internal/doctor"
)

// someSecret is of the right form.
const someSecret = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

// checkSetUp makes a directory with certificates and a configuration, of which
// changes replace words, and returns the path of the configuration.
func checkSetUp(t *testing.T, changes ...string) string {
	t.Helper()
	dir := newCADir(t)
	mustCerts(t, "server", "--ca", dir, "--out", dir, "--name", "tls", "--host", "proxy.internal")
	for name, content := range map[string]string{
		"users.txt": "\"app\" \"" + someSecret + "\"\n", "app.password": "not-shown\n",
		"pgseal.yaml": strings.NewReplacer(changes...).Replace(`listen:
  - address: 0.0.0.0:6432
    tls: {cert_file: DIR/tls.crt, key_file: DIR/tls.key}
databases:
  app: {host: db.internal, sslrootcert: DIR/ca.crt, user: app, password_file: DIR/app.password}
auth: {users_file: DIR/users.txt}
http: {address: ""}
`)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(content, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "pgseal.yaml")
}

func runCLI(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	c := &cli{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	status = c.main(args)
	return status, out.String(), errs.String()
}

func TestCheckTellsByItsStatusHowBadItIs(t *testing.T) {
	for _, test := range []struct {
		name    string
		changes []string
		args    []string
		want    int
		says    string // on standard output
	}{
		{"a good set-up", nil, nil, 0, "0 errors, 0 warnings, 0 notes"},
		{"a warning", []string{"sslrootcert", "sslmode: verify-ca, sslrootcert"}, nil, 0, "0 errors, 1 warning, 0 notes"},
		{"an error", []string{"sslrootcert: DIR/ca.crt", "sslmode: disable"}, nil, 1, "[plaintext-server]"},
		{"a named file that is missing", []string{"tls.crt", "none.crt"}, nil, 1, "[unusable]"},
		{"a name that its certificate does not hold", []string{"tls.key}", "tls.key, certificates: [{server_names: [a.test], cert_file: DIR/tls.crt, key_file: DIR/tls.key}]}"}, nil, 0, "[san-mismatch]"},
		{"a faulty configuration", []string{"host:", "hots:"}, nil, 2, "[config]"},
		{"a faulty configuration as JSON", []string{"host:", "hots:"}, []string{"--format", "json"}, 2, `"id": "config"`},
		{"an unknown format", nil, []string{"--format", "xml"}, 2, ""},
		{"an unknown flag", nil, []string{"--colour"}, 2, ""},
		{"an argument", nil, []string{"more"}, 2, ""},
		{"help", nil, []string{"--help"}, 0, "Usage: pgseal check"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"check", "--config", checkSetUp(t, test.changes...)}, test.args...)
			status, out, errs := runCLI(args...)
			if status != test.want || !strings.Contains(out, test.says) {
				t.Errorf("status %d, want %d, with %q: %s%s", status, test.want, test.says, out, errs)
			}
			if (status == 2) != (errs != "") {
				t.Errorf("standard error holds %q", errs)
			}
			if strings.Contains(out+errs, "not-shown") {
				t.Error("a password is shown")
			}
		})
	}
}

func TestCheckOfAFileThatIsNotThereIsAUsageError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	for _, command := range []string{"check", "serve"} {
		if status, out, errs := runCLI(command, "--config", path); status != 2 || out != "" || !strings.Contains(errs, path) || !strings.Contains(errs, "use --config FILE") {
			t.Errorf("%s: status %d, %q, %q", command, status, out, errs)
		}
		if status, _, errs := runCLI(command, path); status != 2 || !strings.Contains(errs, `see "pgseal `+command+` --help"`) {
			t.Errorf("%s with an argument: status %d, %q", command, status, errs)
		}
	}
}

func TestCheckTellsFileLineAndKeyOfEachFault(t *testing.T) {
	path := checkSetUp(t, "host:", "hots:", "0.0.0.0:6432", "nowhere")
	status, out, _ := runCLI("check", "--config", path, "--format", "json")
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 2 {
		t.Fatalf("status %d, %v: %s", status, err, out)
	}
	if len(r.Findings) == 0 {
		t.Fatal("nothing was found")
	}
	for _, f := range r.Findings {
		if f.File != path || f.Line == 0 || f.Key == "" {
			t.Errorf("no place in %+v", f)
		}
	}
	_, text, _ := runCLI("check", "--config", path)
	// Paths may be broken at no point, so the place is looked for in one piece.
	if want := path + ":5 databases.app.hots"; !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
		t.Errorf("the text does not say %q: %s", want, text)
	}
}

func TestTheReportFitsIntoEightyColumnsAndHasNoColoursWhereNobodyLooks(t *testing.T) {
	r := &doctor.Report{Config: "c.yaml", Checks: 3, Findings: []doctor.Finding{{
		ID: "some-id", Severity: doctor.Error, Subject: "listener a", What: strings.Repeat("wörter ", 40), Why: strings.Repeat("why ", 60),
		File: "c.yaml", Line: 7, Key: "listen[0]", Change: "write that",
	}}, Good: []doctor.Remark{{Subject: "listener a", Text: strings.Repeat("good ", 40)}},
		Unseen: []doctor.Remark{{Subject: "server b", Text: "settings: not allowed"}}}
	var plain, colours bytes.Buffer
	if err := showText(&plain, r, false); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(plain.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > textWidth {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("there are colours")
	}
	for _, want := range []string{"Listener a\n  error    wörter", "    where  c.yaml:7 listen[0]\n", "    change write that\n", "  ok       good", "  unseen   settings", "1 error, 0 warnings, 0 notes from 3 checks."} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("%q is missing in %s", want, plain.String())
		}
	}
	if err := showText(&colours, r, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(colours.String(), "\x1b[31merror") {
		t.Error("an error is not red")
	}
}

func TestTheSampleOfTheDocumentationCountsTodaysChecks(t *testing.T) {
	page, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	_, out, _ := runCLI("check", "--config", checkSetUp(t))
	if _, count, _ := strings.Cut(out, " notes from "); count == "" || !strings.Contains(string(page), " notes from "+count) {
		t.Errorf("docs/check.md does not count them as pgseal does: %s", count)
	}
}
