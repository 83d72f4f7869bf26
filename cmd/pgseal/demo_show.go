package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
	"github.com/pgseal/pgseal/tlsconf"
)

const (
	demoClients   = 100
	demoQueries   = 20 // per client
	demoRotations = 5
	demoLoad      = 16 // clients while certificates are replaced
)

// show runs the steps in their order and prints a line for each. It goes on
// after one that failed, and returns an error then.
func (d *demo) show(ctx context.Context) error {
	versions, err := d.query(ctx, "SHOW server_version")
	if err != nil {
		return err
	}
	fmt.Fprintf(d.cli.stdout, "PostgreSQL %s on 127.0.0.1:%d accepts TLS and SCRAM only; pgseal in front of it listens on 127.0.0.1:%d.\n\n",
		versions[0][0].Text, d.cluster.Port(), d.port)
	failed := 0
	for _, step := range []func(context.Context) (string, error){
		d.manyClients, d.serverView, d.plaintextRefused, d.unverifiedRefused, d.certificatesReplaced,
	} {
		text, err := step(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed++
			fmt.Fprintf(d.cli.stdout, "  FAILED  %v\n", err)
			continue
		}
		fmt.Fprintf(d.cli.stdout, "  ok  %s\n", text)
	}
	if failed > 0 {
		return fmt.Errorf("%d steps of the demo failed", failed)
	}
	return nil
}

// dial logs in at a database of pgseal's, over TLS where trust says so.
func (d *demo) dial(ctx context.Context, trust *tlsconf.Upstream, database string) (*backend.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return backend.Dial(ctx, "localhost", d.port, backend.Target{Trust: trust, Login: backend.Login{User: "demo", Password: d.password}, Database: database})
}

// refusal returns how such a login is refused, or an error that says otherwise.
func (d *demo) refusal(ctx context.Context, trust *tlsconf.Upstream, database, otherwise string) (*wire.Error, error) {
	c, err := d.dial(ctx, trust, database)
	if err == nil {
		c.Close()
		return nil, errors.New(otherwise)
	}
	if refused, ok := errors.AsType[*wire.Error](err); ok {
		return refused, nil
	}
	return nil, err
}

// query runs one statement on a connection of its own.
func (d *demo) query(ctx context.Context, sql string) ([]wire.Row, error) {
	c, err := d.dial(ctx, d.trust, "demo")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Query(ctx, sql)
}

// manyClients has many clients at once, each on a TLS connection of its own,
// run queries on few servers.
func (d *demo) manyClients(ctx context.Context) (string, error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	backends := map[string]bool{}
	var errs []error
	began := time.Now()
	for range demoClients {
		wg.Go(func() {
			err := d.oneClient(ctx, func(pid string) {
				mu.Lock()
				backends[pid] = true
				mu.Unlock()
			})
			if err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return "", fmt.Errorf("%d of %d clients failed, the first with: %w", len(errs), demoClients, errs[0])
	}
	if len(backends) > 2*demoPoolSize { // they live for two seconds
		return "", fmt.Errorf("%d clients used %d server connections", demoClients, len(backends))
	}
	return fmt.Sprintf("%d clients, each over TLS 1.3, ran %d queries on %d server connections in %.1f s.",
		demoClients, demoClients*demoQueries, len(backends), time.Since(began).Seconds()), nil
}

// oneClient logs in, runs its queries and tells of each the server that ran it.
func (d *demo) oneClient(ctx context.Context, seen func(pid string)) error {
	c, err := d.dial(ctx, d.trust, "demo")
	if err != nil {
		return err
	}
	defer c.Close()
	for range demoQueries {
		rows, err := c.Query(ctx, "SELECT pg_backend_pid()")
		if err != nil {
			return err
		}
		seen(rows[0][0].Text)
	}
	return nil
}

// serverView asks PostgreSQL how it sees pgseal's connections.
func (d *demo) serverView(ctx context.Context) (string, error) {
	rows, err := d.query(ctx, "SELECT DISTINCT ssl, version, cipher FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'demo'")
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || rows[0][0].Text != "t" {
		return "", fmt.Errorf("pg_stat_ssl shows connections without TLS: %v", rows)
	}
	return fmt.Sprintf("PostgreSQL sees %s, %s on all of them (pg_stat_ssl).", rows[0][1].Text, rows[0][2].Text), nil
}

// plaintextRefused connects without TLS.
func (d *demo) plaintextRefused(ctx context.Context) (string, error) {
	without := tlsconf.DefaultUpstreamConfig()
	without.SSLMode = "disable"
	plain, err := tlsconf.NewUpstreamStore("plaintext", without)
	if err != nil {
		return "", err
	}
	refused, err := d.refusal(ctx, plain.Load(), "demo", "a client without TLS was accepted")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("A client without TLS is refused: %s, %s.", refused.Code, refused.Message), nil
}

// unverifiedRefused connects to a database whose server cannot prove that it is
// the right one.
func (d *demo) unverifiedRefused(ctx context.Context) (string, error) {
	refused, err := d.refusal(ctx, d.trust, "impostor", "an untrusted server was accepted")
	if err != nil {
		return "", err
	}
	if refused.Code != wire.CodeConnectionFailure {
		return "", refused
	}
	return fmt.Sprintf("An impostor server is rejected before any password is sent: %s, %s.", refused.Code, refused.Message), nil
}

// certificatesReplaced replaces the certificates of both legs several times
// while clients run queries and log in.
func (d *demo) certificatesReplaced(ctx context.Context) (string, error) {
	load, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var queries, logins atomic.Int64
	failure := make(chan error, demoLoad)
	for range demoLoad {
		wg.Go(func() {
			for load.Err() == nil {
				if err := d.oneClient(load, func(string) { queries.Add(1) }); err != nil && load.Err() == nil {
					failure <- err
					return
				}
				logins.Add(1)
			}
		})
	}
	err := d.rotate(ctx)
	stop()
	wg.Wait()
	select {
	case failed := <-failure:
		return "", fmt.Errorf("a query failed while certificates were replaced: %w", failed)
	default:
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Both certificates were replaced %d times under load: %d logins, %d queries, none failed.",
		demoRotations, logins.Load(), queries.Load()), nil
}

// rotate replaces both pairs and waits each time until both are served.
func (d *demo) rotate(ctx context.Context) error {
	for range demoRotations {
		pair, err := d.replaceListenerPair()
		if err != nil {
			return err
		}
		upstream, err := d.serverCA.Issue(devca.Request{CommonName: "PostgreSQL demo", Hosts: demoHosts, Life: demoLife})
		if err != nil {
			return err
		}
		if err := d.cluster.WriteServerCert(upstream.CertPEM, upstream.KeyPEM); err != nil {
			return err
		}
		if err := d.cluster.Reload(ctx); err != nil {
			return err
		}
		if err := d.waitForSerial(ctx, pair.Cert.SerialNumber); err != nil {
			return err
		}
	}
	return nil
}

// waitForSerial waits until new clients are shown the certificate with this
// serial number.
func (d *demo) waitForSerial(ctx context.Context, serial *big.Int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		seen, err := d.servedSerial(ctx)
		if err == nil && seen.Cmp(serial) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("a new certificate was not served within 10 s")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// servedSerial returns the serial number of the certificate that a new client is
// shown.
func (d *demo) servedSerial(ctx context.Context) (*big.Int, error) {
	c, err := d.dial(ctx, d.trust, "demo")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Facts.Peer.SerialNumber, nil
}
