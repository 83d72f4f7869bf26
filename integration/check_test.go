package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgcluster"
)

// checkup is what pgseal check --connect says, in short.
type checkup struct {
	ids    map[string]string // what was found, by the ids of the findings
	unseen []string
	good   []string
	text   string // all of it
}

// checkUp checks a set-up with this one database, in whose entry DIR stands for
// the directory of files.
func checkUp(t *testing.T, database string, files map[string]string) checkup {
	t.Helper()
	dir := shortDir(t)
	ca, err := devca.New("authority of the listener", 1000*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(devca.Request{CommonName: "localhost", Hosts: []string{"localhost"}, Life: 999 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.WriteFiles(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"users.txt": `"app" "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="` + "\n",
		"pgseal.yaml": strings.ReplaceAll("listen:\n  - {address: 127.0.0.1:6432, tls: {cert_file: DIR/tls.crt, key_file: DIR/tls.key}}\n"+
			"databases:\n  postgres: {"+database+"}\nauth: {users_file: DIR/users.txt}\n", "DIR", dir),
	}
	maps.Copy(all, files)
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(soon(t), plainBinary, "check", "--connect", "--format", "json", "--config", filepath.Join(dir, "pgseal.yaml"))
	cmd.Stderr = os.Stderr
	text, _ := cmd.Output() // the status tells of findings, and the report is judged
	var report struct {
		Findings     []struct{ ID, What string }
		Good, Unseen []struct{ Text string }
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if password := files["password"]; password != "" && strings.Contains(string(text), password) {
		t.Error("the report shows a password")
	}
	c := checkup{ids: map[string]string{}, text: string(text)}
	for _, f := range report.Findings {
		c.ids[f.ID] += f.What
	}
	for _, g := range report.Good {
		c.good = append(c.good, g.Text)
	}
	for _, u := range report.Unseen {
		c.unseen = append(c.unseen, u.Text)
	}
	return c
}

// checked is what the check says of a server when it logs in as its superuser.
func checked(t *testing.T, pg *pgcluster.Cluster, host, sslmode string, root []byte) checkup {
	t.Helper()
	return checkUp(t, fmt.Sprintf("host: %s, port: %d, sslmode: %s, sslrootcert: DIR/root.crt, user: postgres, password_file: DIR/password", host, pg.Port(), sslmode),
		map[string]string{"root.crt": string(root), "password": superPassword})
}

func TestCheckFindsMistakesOfServers(t *testing.T) {
	t.Parallel()
	const own = "hostssl all all 127.0.0.1/32 scram-sha-256"
	ca, err := devca.New("authority of PostgreSQL", 1000*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other, err := devca.New("another authority", 1000*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		hba      []string
		settings map[string]string
		plain    bool
		host     string
		root     []byte
		want     []string
	}{
		{name: "a good server", hba: []string{own}},
		{name: "weak rules", hba: []string{own, "host all all 10.0.0.0/8 trust", "hostssl all all 10.0.0.0/8 password", "hostssl all all all md5"},
			settings: map[string]string{"password_encryption": "md5", "ssl_min_protocol_version": "TLSv1"},
			want:     []string{"server-hba-plaintext", "server-hba-trust", "server-hba-password", "server-hba-md5", "server-min-tls", "server-password-encryption"}},
		{name: "no TLS", hba: []string{"host all all 127.0.0.1/32 scram-sha-256"}, plain: true, want: []string{"server-no-tls"}},
		{name: "the wrong name", host: "127.0.0.1", want: []string{"server-unverified"}},
		{name: "the wrong authority", root: other.CertPEM(), want: []string{"server-unverified"}},
	}
	for _, version := range versions {
		bin, err := findPrograms(version)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range tests {
			t.Run(test.name+" of PostgreSQL "+version, func(t *testing.T) {
				pair, err := ca.Issue(devca.Request{CommonName: "localhost", Hosts: []string{"localhost"}, Life: 999 * time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				o := pgcluster.Options{BinDir: bin, Password: superPassword, HBA: test.hba, Settings: test.settings}
				if !test.plain {
					o.ServerCert, o.ServerKey = pair.CertPEM, pair.KeyPEM
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				pg, err := pgcluster.Start(ctx, o)
				if err != nil {
					t.Fatal(err)
				}
				defer pg.Stop()
				host, root := "localhost", ca.CertPEM()
				if test.host != "" {
					host = test.host
				}
				if test.root != nil {
					root = test.root
				}
				c := checked(t, pg, host, "verify-full", root)
				ids, out := c.ids, c.text
				for _, id := range test.want {
					if ids[id] == "" {
						t.Errorf("%s not found in %s", id, out)
					}
				}
				if len(test.want) == 0 && len(ids) > 0 {
					t.Errorf("found %v on a good server", ids)
				}
			})
		}
	}
}

// spoiled starts a cluster with a role of an md5 secret, a role limited that
// may do little, and a session without TLS of role plain.
func spoiled(t *testing.T, version string) *postgres {
	t.Helper()
	bin, err := findPrograms(version)
	if err != nil {
		t.Fatal(err)
	}
	pg := &postgres{version: version, dir: shortDir(t)}
	if pg.ca, err = devca.New("authority of PostgreSQL", 1000*time.Hour); err != nil {
		t.Fatal(err)
	}
	pair, err := pg.ca.Issue(devca.Request{CommonName: "localhost", Hosts: []string{"localhost"}, Life: 999 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	pg.Cluster, err = pgcluster.Start(soon(t), pgcluster.Options{
		BinDir: bin, Password: superPassword, ServerCert: pair.CertPEM, ServerKey: pair.KeyPEM,
		HBA: []string{"local all all scram-sha-256", "hostssl all postgres,limited 127.0.0.1/32 scram-sha-256", "hostnossl all plain 127.0.0.1/32 scram-sha-256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Stop(); err != nil {
			t.Error(err)
		}
	})
	pg.root = filepath.Join(pg.dir, "root.crt")
	if err := os.WriteFile(pg.root, pg.ca.CertPEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	super := pg.direct(t, "postgres")
	for _, sql := range []string{
		"CREATE ROLE limited LOGIN PASSWORD '" + appPassword + "'", "CREATE ROLE plain LOGIN PASSWORD '" + appPassword + "'",
		"SET password_encryption = md5", "CREATE ROLE weak LOGIN PASSWORD '" + appPassword + "'",
	} {
		if _, err := super.Exec(soon(t), sql); err != nil {
			t.Fatal(err)
		}
	}
	plain, err := pgx.Connect(soon(t), fmt.Sprintf("host=127.0.0.1 port=%d user=plain password=%s dbname=postgres sslmode=disable", pg.Port(), appPassword))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close(context.Background()) })
	return pg
}

func TestCheckSeesRolesAndSessionsAndSaysWhatItMayNotSee(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg := spoiled(t, version)
			var socket string
			if err := pg.direct(t, "postgres").QueryRow(soon(t), "SHOW unix_socket_directories").Scan(&socket); err != nil {
				t.Fatal(err)
			}
			over := func(host, user, password string) checkup {
				return checkUp(t, fmt.Sprintf("host: %s, port: %d, user: %s, password_file: DIR/password", host, pg.Port(), user),
					map[string]string{"password": password, "root.crt": string(pg.ca.CertPEM())})
			}
			const tls = "localhost, sslrootcert: DIR/root.crt"
			wants := func(t *testing.T, c checkup, what map[string]string) {
				t.Helper()
				for id, word := range what {
					if !strings.Contains(c.ids[id], word) {
						t.Errorf("%s with %q not found in %s", id, word, c.text)
					}
				}
				if len(c.ids) != len(what) {
					t.Errorf("found %v, want %v", c.ids, what)
				}
			}
			t.Run("as superuser", func(t *testing.T) {
				wants(t, over(tls, "postgres", superPassword), map[string]string{"server-md5-roles": "weak", "server-sessions-plaintext": "plain"})
			})
			t.Run("by the socket", func(t *testing.T) {
				c := over(socket+", sslmode: disable", "postgres", superPassword)
				wants(t, c, map[string]string{"server-md5-roles": "weak", "server-sessions-plaintext": "plain"})
				if !slices.Contains(c.good, "role postgres can log in") {
					t.Errorf("good: %v", c.good)
				}
			})
			t.Run("without privileges", func(t *testing.T) {
				c := over(tls, "limited", appPassword)
				wants(t, c, nil)
				all := strings.Join(c.unseen, "; ")
				for _, want := range []string{"access rules: permission denied", "secrets of roles: permission denied", "ssl_min_protocol_version: permission denied", "sessions without TLS: permission denied"} {
					if !strings.Contains(all, want) {
						t.Errorf("%q is not among what is unseen: %s", want, all)
					}
				}
			})
			t.Run("with a wrong password", func(t *testing.T) {
				wants(t, over(tls, "limited", wrongPassword), map[string]string{"server-login": "28P01"})
			})
			t.Run("with a role that no rule lets in", func(t *testing.T) {
				wants(t, over(tls, "weak", appPassword), map[string]string{"server-login": "28000"})
			})
		})
	}
}
