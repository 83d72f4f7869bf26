package integration

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

const authenticationPage = "../docs/authentication.md"

// recipe returns the blocks of code, by language, below a heading of the page
// about authentication, which the test runs as they stand there.
func recipe(t *testing.T, heading string) (blocks map[string][]string) {
	t.Helper()
	page, err := os.ReadFile(authenticationPage)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", authenticationPage, heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	blocks = map[string][]string{}
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	return blocks
}

// block returns the one block that holds a word.
func block(t *testing.T, blocks []string, word string) string {
	t.Helper()
	for _, b := range blocks {
		if strings.Contains(b, word) {
			return b
		}
	}
	t.Fatalf("no block has %q", word)
	return ""
}

// transpose replaces words of a recipe by what they are here. Each must be
// there.
func transpose(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the recipe does not say %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// kitchen is where a recipe is tried: a PostgreSQL with the recipe's roles, and
// files that stand for those of a real set-up.
type kitchen struct {
	pg  *postgres
	dir string
	ca  *devca.CA
}

func newKitchen(t *testing.T, pg *postgres) *kitchen {
	t.Helper()
	k := &kitchen{pg: pg, dir: shortDir(t)}
	var err error
	if k.ca, err = devca.New("issuer", 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	k.write(t, "password", appPassword+"\n")
	admin := pg.direct(t, "app")
	sql := block(t, recipe(t, "Recipe: mTLS with cert-manager")["sql"], "CREATE ROLE")
	execute(t, admin, transpose(t, sql, "SECRET", appPassword))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := admin.Exec(ctx, "DROP ROLE orders"); err != nil {
			t.Error(err)
		}
	})
	return k
}

func (k *kitchen) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(k.dir, name)
	replace(t, path, []byte(content), 0o600)
	return path
}

// issue writes a certificate to files of these names.
func (k *kitchen) issue(t *testing.T, r devca.Request, cert, key string) []string {
	t.Helper()
	pair, err := k.ca.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(k.dir, cert), filepath.Join(k.dir, key)
	if err := pair.WriteFiles(cert, key); err != nil {
		t.Fatal(err)
	}
	return []string{"PGUSER=orders", "PGPASSWORD=", "PGSSLCERT=" + cert, "PGSSLKEY=" + key}
}

// serve runs pgseal by the recipe's configuration.
func (k *kitchen) serve(t *testing.T, config string) *pgseal {
	t.Helper()
	return start(t, k.pg, options{config: func(p *pgseal) string {
		return transpose(t, config, "0.0.0.0:6432", "127.0.0.1:"+strconv.Itoa(p.port()), "host: db.internal", "host: localhost\n    port: "+strconv.Itoa(k.pg.Port()),
			"/etc/pgseal/upstream/ca.crt", k.pg.root, "/etc/pgseal/upstream/password", filepath.Join(k.dir, "password")) + "http: {address: ''}\nlog: {level: debug}\n"
	}})
}

func TestTheRecipeForCertManagerWorks(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		k := newKitchen(t, pg)
		blocks := recipe(t, "Recipe: mTLS with cert-manager")["yaml"]
		role := regexp.MustCompile(`(?m)^ +commonName: (\S+)$`).FindStringSubmatch(block(t, blocks, "usages: [client auth]"))
		if role == nil || role[1] != "orders" {
			t.Fatalf("the client's certificate is for %q", role)
		}
		k.write(t, "ca.crt", string(k.ca.CertPEM()))
		k.issue(t, serverRequest(), "tls.crt", "tls.key")
		p := k.serve(t, transpose(t, block(t, blocks, "listen:"), "/etc/pgseal/tls", k.dir))
		root := "PGSSLROOTCERT=" + filepath.Join(k.dir, "ca.crt")
		env := append(k.issue(t, devca.Request{CommonName: role[1], Client: true}, "client.crt", "client.key"), root)
		ask := func() result {
			return p.psql(t, "orders", env, "-c", "SELECT current_database(), session_user, current_setting('application_name')")
		}
		if r := ask(); strings.TrimSpace(r.stdout) != "app|orders|psql [cert:CN=orders]" {
			t.Fatalf("psql got %q, status %d: %s", r.stdout, r.status, r.stderr)
		}
		k.issue(t, serverRequest(), "tls.crt", "tls.key")
		if r := p.psql(t, "orders", append(k.issue(t, devca.Request{CommonName: "billing", Client: true}, "billing.crt", "billing.key"), root, "PGUSER=billing"), "-c", "SELECT 1"); r.status != 2 {
			t.Errorf("a role reached the entry of another: psql ended with status %d: %s", r.status, r.stderr)
		}
		eventually(t, patience, "the renewed certificate is taken", func() bool { return p.log.count("certificates reloaded") > 0 })
		env = append(k.issue(t, devca.Request{CommonName: role[1], Client: true}, "client.crt", "client.key"), root)
		if r := ask(); strings.TrimSpace(r.stdout) != "app|orders|psql [cert:CN=orders]" {
			t.Errorf("after the renewal psql got %q, status %d: %s", r.stdout, r.status, r.stderr)
		}
		env = append(k.issue(t, devca.Request{CommonName: "billing", Client: true}, "client.crt", "client.key"), root)
		if r := ask(); r.status != 2 || !strings.Contains(r.stderr, `certificate authentication failed for user "orders"`) {
			t.Errorf("another certificate: psql ended with status %d: %s", r.status, r.stderr)
		}
	})
}

func TestTheRecipeForSPIFFEWorks(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		k := newKitchen(t, pg)
		blocks := recipe(t, "Recipe: SPIFFE")
		ident := k.write(t, "pg_ident.conf", block(t, blocks[""], "spiffe"))
		k.write(t, "svid_bundle.pem", string(k.ca.CertPEM()))
		server := serverRequest()
		server.CommonName, server.URIs = "", []string{"spiffe://corp.example/ns/prod/sa/pgseal"}
		k.issue(t, server, "svid.pem", "svid_key.pem")
		p := k.serve(t, transpose(t, block(t, blocks["yaml"], "listen:"), "/run/spiffe", k.dir, "/etc/pgseal/pg_ident.conf", ident))
		for id, want := range map[string]string{
			"spiffe://corp.example/ns/prod/sa/orders": "app|orders|psql [cert:spiffe://corp.example/ns/prod/sa/orders]", "spiffe://corp.example/ns/test/sa/orders": "",
			"spiffe://corp.example.evil/ns/prod/sa/orders": "", "spiffe://corp.example/ns/prod/sa/app_service": "",
		} {
			env := k.issue(t, devca.Request{URIs: []string{id}, Client: true}, "client.crt", "client.key")
			r := p.psql(t, "orders", append(env, "PGSSLROOTCERT="+filepath.Join(k.dir, "svid_bundle.pem")), "-c", "SELECT current_database(), session_user, current_setting('application_name')")
			if got := strings.TrimSpace(r.stdout); got != want || want == "" && !strings.Contains(r.stderr, "certificate authentication failed") {
				t.Errorf("%s: psql got %q, status %d: %s", id, got, r.status, r.stderr)
			}
		}
	})
}
