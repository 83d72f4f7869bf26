package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgcluster"
)

// checked is what pgseal check --connect says of a server, by ids of findings.
func checked(t *testing.T, pg *pgcluster.Cluster, host, sslmode string, root []byte) (ids map[string]string, out string) {
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
	for name, text := range map[string]string{
		"root.crt": string(root), "users.txt": "# nobody\n", "password": superPassword,
		"pgseal.yaml": fmt.Sprintf("listen:\n  - {address: 127.0.0.1:6432, tls: {cert_file: %[1]s/tls.crt, key_file: %[1]s/tls.key}}\n"+
			"databases:\n  postgres: {host: %[2]s, port: %[3]d, sslmode: %[4]s, sslrootcert: %[1]s/root.crt, user: postgres, password_file: %[1]s/password}\n"+
			"auth: {users_file: %[1]s/users.txt}\n", dir, host, pg.Port(), sslmode),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(soon(t), plainBinary, "check", "--connect", "--format", "json", "--config", filepath.Join(dir, "pgseal.yaml"))
	cmd.Stderr = os.Stderr
	text, _ := cmd.Output() // the status tells of findings, and the report is judged
	var report struct {
		Findings []struct{ ID, What string }
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if strings.Contains(string(text), superPassword) {
		t.Error("the report shows a password")
	}
	ids = map[string]string{}
	for _, f := range report.Findings {
		ids[f.ID] = f.What
	}
	return ids, string(text)
}

func TestCheckFindsMistakesOfServers(t *testing.T) {
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
			want:     []string{"server-hba-plaintext", "server-hba-trust", "server-hba-password", "server-hba-md5", "server-min-tls"}},
		{name: "no TLS", hba: []string{"host all all 127.0.0.1/32 scram-sha-256"}, plain: true, want: []string{"server-no-tls"}},
		{name: "the wrong name", host: "127.0.0.1", want: []string{"server-unverified"}},
		{name: "the wrong authority", root: other.CertPEM(), want: []string{"server-unverified"}},
	}
	for _, version := range versions {
		bin, err := pgcluster.Find(version)
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
				ids, out := checked(t, pg, host, "verify-full", root)
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
