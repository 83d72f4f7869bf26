package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgseal/pgseal/internal/auth/hba"
)

// disk lets the parser read the files that PostgreSQL reads.
type disk struct{}

func (disk) ReadFile(path string) ([]byte, error)       { return os.ReadFile(path) }
func (disk) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// hbaLines are lines of pg_hba.conf, good and bad: each is a file of its own.
// A line that begins with "16:" is for the versions from there on.
var hbaLines = []string{
	// Kinds of connections.
	"local all all trust", "host all all all trust", "hostssl all all all trust", "hostnossl all all all trust",
	"LOCAL all all trust", "local,host all all trust", "remote all all all trust", `"local" all all trust`, "local", "host",
	// Databases and roles.
	"local all", "local all all", "local a,b,c x,y trust", "local a, b x trust", "local a ,b trust", "local a,,b x trust",
	`local "a b" "c d" trust`, `local a"b c"d x trust`, `local "a""b" x trust`, `local "" "" trust`, `local ""a x trust`,
	`local "a x trust`, `local a "x trust`, "local sameuser +staff trust", "local samerole,samegroup all trust",
	"local replication all trust", "local @ all trust", "local +a + trust", "local all all trust # why", "local all all#why trust",
	"local all#why all trust", `local "all#" all trust`, "local\tall\tall\ttrust", ", local all all trust", "local all all trust,",
	"local all, all trust", "local all, all all trust",
	"16:local /^db[0-9]+$ /^u trust", `16:local "/^a{1,3}$" all trust`, "16:local /[ all trust", "16:local all /( trust",
	"16:local all /*a trust", `16:local "/a,b" all trust`, "16:local / all trust", "16:local /a/ all trust",
	"16:local all /a++ trust", "16:local all /(a trust", `16:local all /a\ trust`, "16:local all /[[:alpha:]]+ trust",
	"16:local all /[[:nothing:]] trust", `16:local all /\d\w\s\. trust`, "16:local all /(?i)ab trust", "16:local all /(?:ab)|c trust",
	// Addresses.
	"host all all 10.0.0.0/8 trust", "host all all 10.0.0.0/0 trust", "host all all 10.0.0.0/32 trust", "host all all 10.0.0.0/33 trust",
	"host all all 10.0.0.0/-1 trust", "host all all 10.0.0.0/ trust", "host all all 10.0.0.0/8x trust", "host all all 10.0.0.0/08 trust",
	"host all all 10.0.0.0/+8 trust", "host all all 10.0.0.0 255.0.0.0 trust", "host all all 10.0.0.0 255.0.255.0 trust",
	"host all all 10.0.0.0 trust", "host all all 10.0.0.0", "host all all 10.0.0.0 255.0.0 x trust", "host all all 10.0.0.0 ::1 trust",
	"host all all 10.0.0.0 255.0.0.0,1.2.3.4 trust", "host all all 10.0.0.0/8,11.0.0.0/8 trust", "host all all ::1/128 trust",
	"host all all ::/0 trust", "host all all 2001:db8::/129 trust", "host all all 2001:db8:: ffff:: trust", "host all all ::1 trust",
	"host all all ::ffff:1.2.3.4/128 trust", "host all all 2001:db8:::/64 trust", "host all all 1::2::3 ::0 trust",
	"host all all 256.1.1.1/8 trust", "host all all example.org trust", "host all all .example.org trust",
	"host all all example.org/24 trust", "host all all example.org 255.0.0.0 trust", "host all all samehost trust",
	"host all all samenet trust", `host all all "samehost" trust`, `host all all "all" trust`, "host all all ALL trust",
	"host all all 10.0.0.0/8", "host all all", "host all all all", "local all all 10.0.0.0/8 trust", "host all all fe80::1/64 trust",
	// Methods.
	"local all all peer", "local all all ident", "host all all all peer", "local all all reject", "local all all md5",
	"local all all scram-sha-256", "local all all password", "local all all SCRAM-SHA-256", "local all all nothing", "local all all krb5",
	"local all all trust,reject", "host all all all cert", "hostssl all all all cert", "hostnossl all all all cert", "local all all cert",
	`local all all "trust"`, "local all all crypt",
	// Options.
	"local all all peer map=os", "local all all peer map", "local all all trust map=os", "local all all peer map=a,map=b",
	`local all all peer "map=a b"`, "local all all peer map=", "local all all peer =x", "local all all peer nothing=1",
	"hostssl all all all cert map=x", "hostssl all all all cert clientcert=verify-full", "hostssl all all all cert clientcert=verify-ca",
	"hostssl all all all scram-sha-256 clientcert=verify-ca", "hostssl all all all scram-sha-256 clientcert=verify-full",
	"hostssl all all all trust clientcert=1", "hostssl all all all trust clientcert=no-verify", "host all all all trust clientcert=verify-ca",
	"hostssl all all all cert clientname=DN", "hostssl all all all cert clientname=CN", "hostssl all all all cert clientname=cn",
	"host all all all trust clientname=CN", "local all all trust clientname=CN", "hostssl all all all scram-sha-256 clientname=DN",
	"host all all all scram-sha-256 map=x", "host all all all trust trust", "host all all all trust ldapserver=a", "local all all trust ldaptls=1",
	// Several lines.
	"local \\\nall \\\n all \\\n trust", "local all all \\\n\\\n trust\nhost all all all bad", "local all all trust \\", "local all all trust\\\\\n\nbad",
	"# none\n\n  # none\nlocal all all trust\nbad line\n\nlocal all all trust\nhost all all 1.2.3.4/40 trust", "local all all trust\r\nlocal all all reject\r\n",
	"local all all trust # \\\nbad", "\\\nlocal all all trust",
	// Files that are included.
	"local @dbs all trust", "local @dbs,more @dbs trust", `local "@dbs" all trust`, "local @missing all trust", "local all @nested trust",
	"local @empty all trust", "local @empty,a all trust", `local all all @methods`,
	"16:include good.conf", "16:include good.conf\nbad", "16:include missing.conf", "16:include_if_exists missing.conf\nlocal all all trust",
	"16:include_if_exists good.conf", "16:include_dir conf.d", "16:include_dir missing.d", "16:include bad.conf", "16:include good.conf more",
	"16:include", "16:include \"good.conf\"", "16:include loop.conf",
}

// hbaFiles are what the lines include.
var hbaFiles = map[string]string{
	"dbs": "one, two\n\"three four\" # five\n", "nested": "x @dbs y\n", "empty": "# nobody\n", "methods": "trust\n",
	"good.conf": "local good all trust\n\nhost good all all reject\n", "bad.conf": "local good all trust\nlocal bad\n",
	"conf.d/2.conf": "local two all trust\n", "conf.d/1.conf": "local one all trust\n", "conf.d/.3.conf": "bad\n", "conf.d/4": "bad\n",
	"loop.conf": "include loop.conf\n",
}

// hbaDiffers are the lines that PostgreSQL takes and pgseal refuses, and why.
var hbaDiffers = map[string]string{
	"host all all 10/8 trust":                                 "an address in an old form: 10 means 0.0.0.10",
	"host all all 127.1/32 trust":                             "an address in an old form",
	"host all all all ident":                                  "the method is not spoken",
	"local all all pam":                                       "the method is not spoken",
	"host all all all radius radiusservers=a radiussecrets=b": "the method is not spoken",
	`16:local all /a\mb trust`:                                "Go has no such escape",
	`16:local all "/\yword" trust`:                            "Go has no such escape",
	`16:local all /(?=a) trust`:                               "Go has no lookahead",
	`16:local all /(a)\1 trust`:                               "Go has no back references",
	`16:local all /[[=a=]] trust`:                             "Go has no equivalence classes",
}

// verdict is what came of one line of a file.
type verdict struct {
	Place  string // file:line
	Result string // "error", or kind of connection and method
}

// ours reads a file as pgseal does.
func ours(path string) (list []verdict, ok bool) {
	rules, err := hba.ParseRules(disk{}, path)
	if err == nil {
		for _, r := range rules.List() {
			list = append(list, verdict{fmt.Sprintf("%s:%d", filepath.Base(r.File), r.Line), r.Connection + " " + r.Method})
		}
		return list, true
	}
	var walk func(error)
	walk = func(err error) {
		var fault *hba.Error
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				walk(e)
			}
		} else if errors.As(err, &fault) && fault.Line > 0 {
			list = append(list, verdict{fmt.Sprintf("%s:%d", filepath.Base(fault.File), fault.Line), "error"})
		}
	}
	walk(err)
	return list, false
}

// theirs reads the file that is in place as PostgreSQL does.
func theirs(t *testing.T, conn *pgx.Conn, version string) (list []verdict, ok bool) {
	t.Helper()
	file := "'pg_hba.conf'"
	if version != "15" {
		file = "regexp_replace(file_name, '.*/', '')"
	}
	rows, err := conn.Query(soon(t), "SELECT "+file+" || ':' || coalesce(line_number, 0), coalesce(left(error, 0) || 'error', type || ' ' || auth_method, 'error') FROM pg_hba_file_rules")
	if err != nil {
		t.Fatal(err)
	}
	list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[verdict])
	if err != nil {
		t.Fatal(err)
	}
	return list, !slices.ContainsFunc(list, func(v verdict) bool { return v.Result == "error" }) && len(list) > 0
}

// writeHBA puts files into a server's data directory.
func writeHBA(t *testing.T, pg *postgres, name, content string) string {
	t.Helper()
	path := filepath.Join(pg.DataDir(), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

// since splits the version off a line, and reports whether it is for that one.
func since(line, version string) (string, bool) {
	rest, newer := strings.CutPrefix(line, "16:")
	return rest, !newer || version != "15"
}

func TestPostgreSQLReadsAccessRulesAsWeDo(t *testing.T) {
	t.Parallel()
	if n := len(hbaLines); n < 150 {
		t.Errorf("the corpus has %d files", n)
	}
	for _, version := range versionsSince(15) {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg := ownPostgres(t, version)
			conn := pg.direct(t, "postgres")
			for name, content := range hbaFiles {
				writeHBA(t, pg, name, content)
			}
			for _, text := range hbaLines {
				if text, ok := since(text, version); ok {
					path := writeHBA(t, pg, "pg_hba.conf", text+"\n")
					compareRules(t, text, path, conn, version)
				}
			}
			for text, why := range hbaDiffers {
				text, ok := since(text, version)
				if !ok {
					continue
				}
				path := writeHBA(t, pg, "pg_hba.conf", text+"\n")
				_, taken := ours(path)
				list, _ := theirs(t, conn, version)
				// A build of PostgreSQL without the method refuses it as well.
				if taken {
					t.Errorf("%q is taken, though %s (PostgreSQL: %v)", text, why, list)
				}
			}
		})
	}
}

// compareRules fails the test unless both read the file in the same way: the
// same rules, or faults in the same lines.
func compareRules(t *testing.T, text, path string, conn *pgx.Conn, version string) {
	t.Helper()
	we, weOK := ours(path)
	they, theyOK := theirs(t, conn, version)
	if !theyOK {
		they = slices.DeleteFunc(they, func(v verdict) bool { return v.Result != "error" })
	}
	if weOK != theyOK || !slices.Equal(we, they) {
		t.Errorf("%q:\nwe   %t %v\nthey %t %v", text, weOK, we, theyOK, they)
	}
}

// identLines are files of pg_ident.conf, good and bad.
var identLines = []string{
	"m root app", "m root", "m", "m root app more", "m a,b app", "m root a,b", "m,n root app", `"m n" "Mr X" "a b"`,
	`m /^(.*)@x$ \1`, "m /[ app", "16:m root /[", "m / app", "16:m root +staff", "16:m root all", "m root app\nbad\n\nm root app",
	"m @dbs app", "16:include maps.conf", "16:include missing.conf", "m root \\\n app", "# none", "m /(a app", `m "/^a b$" app`,
}

func TestPostgreSQLReadsUserNameMapsAsWeDo(t *testing.T) {
	t.Parallel()
	onEachSince(t, 15, func(t *testing.T, pg *postgres) {
		conn := pg.direct(t, "postgres")
		writeHBA(t, pg, "dbs", hbaFiles["dbs"])
		writeHBA(t, pg, "maps.conf", "m root app\nbad\n")
		for _, text := range identLines {
			text, ok := since(text, pg.version)
			if !ok {
				continue
			}
			path := writeHBA(t, pg, "pg_ident.conf", text+"\n")
			_, err := hba.ParseMaps(disk{}, path)
			var broken bool
			if err := conn.QueryRow(soon(t), "SELECT count(error) > 0 FROM pg_ident_file_mappings").Scan(&broken); err != nil {
				t.Fatal(err)
			}
			if broken != (err != nil) {
				t.Errorf("%q: we say %v, PostgreSQL finds a fault: %t", text, err, broken)
			}
		}
		writeHBA(t, pg, "pg_ident.conf", "\n")
	})
}
