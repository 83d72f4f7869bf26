package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"text/template"
	"time"

	"github.com/pgseal/pgseal/internal/app"
	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgcluster"
	"github.com/pgseal/pgseal/pool/backend"
	"github.com/pgseal/pgseal/tlsconf"
)

const (
	demoPort     = 6432
	demoPoolSize = 5
	demoLife     = 30 * 24 * time.Hour
)

const demoHelp = `Creates a throwaway PostgreSQL that accepts only TLS and SCRAM, certificates for it
and for pgseal, and starts pgseal in front of it. Demonstrates what that provides,
then keeps running for you to try until Ctrl-C. Everything it created is removed.
`

func runDemo(c *cli, args []string) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	once := flags.Bool("once", false, "exit after the demonstration; status 1 if any step failed")
	dir := flags.String("dir", "", "keep certificates, configuration and log in this `DIR`")
	port := flags.Int("port", 0, "the `PORT` pgseal listens on (default 6432, or a free one)")
	if err := c.parse(flags, args, "pgseal demo [--once] [--dir DIR] [--port N]", demoHelp); err != nil {
		return err
	}
	if *port < 0 || *port > 65535 {
		return usagef("invalid --port %d", *port)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{cli: c, dir: *dir, port: *port}
	defer d.close()
	if err := d.setUp(ctx); err != nil {
		return interrupted(ctx, err)
	}
	if err := d.show(ctx); err != nil || *once {
		return interrupted(ctx, err)
	}
	fmt.Fprintf(c.stdout, "\nTry it:\n  psql %q\n\nCtrl-C stops it and removes everything it created.\n", d.dsn())
	<-ctx.Done()
	fmt.Fprintln(c.stdout)
	return nil
}

// interrupted hides the errors that Ctrl-C brought about.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// demo is what the show needs and what has to be cleaned up after it.
type demo struct {
	cli      *cli
	dir      string
	port     int
	password string
	ownDir   bool

	clientCA, serverCA *devca.CA
	cluster            *pgcluster.Cluster
	app                *app.App
	log                *os.File
	trust              *tlsconf.Upstream // what a client of pgseal trusts
}

func (d *demo) file(name string) string { return filepath.Join(d.dir, name) }

func (d *demo) dsn() string {
	return fmt.Sprintf("postgresql://demo:%s@localhost:%d/demo?sslmode=verify-full&sslrootcert=%s", d.password, d.port, d.file("ca.crt"))
}

// setUp makes directory, certificates, PostgreSQL and pgseal.
func (d *demo) setUp(ctx context.Context) error {
	d.password = rand.Text()
	if err := d.makeDir(); err != nil {
		return err
	}
	if err := d.makeCertificates(); err != nil {
		return err
	}
	if err := d.startPostgres(ctx); err != nil {
		return err
	}
	return d.startProxy()
}

func (d *demo) makeDir() (err error) {
	if d.dir == "" {
		d.dir, err = os.MkdirTemp("", "pgseal-demo-")
		d.ownDir = err == nil
		return err
	}
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return err
	}
	return os.MkdirAll(d.dir, 0o700)
}

func (d *demo) makeCertificates() (err error) {
	if d.clientCA, err = devca.New("pgseal demo CA", demoLife); err != nil {
		return err
	}
	if d.serverCA, err = devca.New("PostgreSQL demo CA", demoLife); err != nil {
		return err
	}
	if err := os.WriteFile(d.file("ca.crt"), d.clientCA.CertPEM(), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(d.file("upstream-ca.crt"), d.serverCA.CertPEM(), 0o644); err != nil {
		return err
	}
	_, err = d.replaceListenerPair()
	return err
}

var demoHosts = []string{"localhost", "127.0.0.1"}

// replaceListenerPair puts a new certificate under pgseal's listener and
// returns it.
func (d *demo) replaceListenerPair() (devca.Pair, error) {
	pair, err := d.clientCA.Issue(devca.Request{CommonName: "pgseal demo", Hosts: demoHosts, Life: demoLife})
	if err != nil {
		return pair, err
	}
	return pair, pair.WriteFiles(d.file("tls.crt"), d.file("tls.key"))
}

func (d *demo) startPostgres(ctx context.Context) error {
	bin, err := pgcluster.Find("")
	if err != nil {
		return err
	}
	pair, err := d.serverCA.Issue(devca.Request{CommonName: "PostgreSQL demo", Hosts: demoHosts, Life: demoLife})
	if err != nil {
		return err
	}
	d.cluster, err = pgcluster.Start(ctx, pgcluster.Options{
		BinDir: bin, ServerCert: pair.CertPEM, ServerKey: pair.KeyPEM, Password: d.password,
	})
	if err != nil {
		return err
	}
	trust, err := d.trustIn("upstream-ca.crt")
	if err != nil {
		return err
	}
	admin, err := backend.Dial(ctx, "localhost", d.cluster.Port(), backend.Target{Trust: trust, Login: backend.Login{User: "postgres", Password: d.password}, Database: "postgres"})
	if err != nil {
		return err
	}
	defer admin.Close()
	for _, sql := range []string{
		"CREATE ROLE demo LOGIN PASSWORD '" + d.password + "'",
		"CREATE DATABASE demo OWNER demo",
	} {
		if _, err := admin.Query(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) trustIn(ca string) (*tlsconf.Upstream, error) {
	c := tlsconf.DefaultUpstreamConfig()
	c.SSLRootCert = d.file(ca)
	store, err := tlsconf.NewUpstreamStore(ca, c)
	if err != nil {
		return nil, err
	}
	return store.Load(), nil
}

// demoConfig is the configuration of the demo. The database "impostor" leads
// to a server whose certificate its trust does not cover. Servers live for
// two seconds only, so that the show sees new ones.
var demoConfig = template.Must(template.New("config").Parse(`# The configuration that pgseal demo runs with.
listen:
  - address: 127.0.0.1:{{.Port}}
    tls:
      cert_file: {{.Dir}}/tls.crt
      key_file: {{.Dir}}/tls.key
databases:
  demo:
    host: localhost
    port: {{.ServerPort}}
    sslrootcert: {{.Dir}}/upstream-ca.crt
    pool_size: {{.PoolSize}}
  impostor:
    host: localhost
    port: {{.ServerPort}}
    sslrootcert: {{.Dir}}/ca.crt
pool:
  server_lifetime: 2s
auth:
  users_file: {{.Dir}}/users.txt
http:
  address: 127.0.0.1:0
log:
  format: json
`))

func (d *demo) startProxy() error {
	if err := d.choosePort(); err != nil {
		return err
	}
	users := fmt.Sprintf("%q %q\n", "demo", d.password)
	if err := os.WriteFile(d.file("users.txt"), []byte(users), 0o600); err != nil {
		return err
	}
	path := d.file("config.yaml")
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	err = errors.Join(demoConfig.Execute(out, map[string]any{
		"Dir": d.dir, "Port": d.port, "ServerPort": d.cluster.Port(), "PoolSize": demoPoolSize,
	}), out.Close())
	if err != nil {
		return err
	}
	f, err := config.Load(path)
	if err != nil {
		return err
	}
	if d.log, err = os.Create(d.file("pgseal.log")); err != nil {
		return err
	}
	if d.app, err = app.Load(f, version(), d.log); err != nil {
		return err
	}
	if err := d.app.Start(); err != nil {
		return err
	}
	d.trust, err = d.trustIn("ca.crt")
	return err
}

// choosePort takes the port that was asked for, else the usual one, else a
// free one.
func (d *demo) choosePort() error {
	tries := []int{d.port}
	if d.port == 0 {
		tries = []int{demoPort, 0}
	}
	var err error
	for _, port := range tries {
		var ln net.Listener
		if ln, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			d.port = ln.Addr().(*net.TCPAddr).Port
			return ln.Close()
		}
	}
	return err
}

// close stops and removes everything.
func (d *demo) close() {
	if d.app != nil {
		d.app.Close() // nobody's transaction is worth waiting for
	}
	if d.cluster != nil {
		if err := d.cluster.Stop(); err != nil {
			fmt.Fprintf(d.cli.stderr, "pgseal: %v\n", err)
		}
	}
	if d.log != nil {
		d.log.Close()
	}
	if d.ownDir {
		os.RemoveAll(d.dir)
	}
}
