package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/tlsconf"
)

const (
	day = 24 * time.Hour
	// maxDays keeps a life far from where time.Duration overflows.
	maxDays = 36500
	// maxRoleName is the longest name a role can have: PostgreSQL's
	// NAMEDATALEN less its closing zero.
	maxRoleName = 63
	// maxCommonName is RFC 5280's ub-common-name.
	maxCommonName = 64
)

const certsHelp = `A small certificate authority for development. Not for production.

Usage:
  pgseal certs ca      [--out DIR] [--name CN] [--days N] [--force]
  pgseal certs server  --host NAME[,NAME...] [--ca DIR] [--out DIR] [--name BASENAME] [--days N]
  pgseal certs client  --user ROLE           [--ca DIR] [--out DIR] [--name BASENAME] [--days N]

Example:
  pgseal certs ca --out certs
  pgseal certs server --ca certs --host localhost,127.0.0.1
  pgseal certs client --ca certs --user app

Run server or client again to rotate: the pair is replaced by rename, key first.
`

func runCerts(c *cli, args []string) error {
	if len(args) == 0 {
		return usagef("certs: missing subcommand: ca, server or client (see \"pgseal certs --help\")")
	}
	switch args[0] {
	case "ca":
		return runCertsCA(c, args[1:])
	case "server":
		return runCertsServer(c, args[1:])
	case "client":
		return runCertsClient(c, args[1:])
	case "help", "--help", "-help", "-h":
		fmt.Fprint(c.stdout, certsHelp)
		return errHelp
	}
	return usagef("certs: unknown subcommand %q (ca, server or client)", args[0])
}

func runCertsCA(c *cli, args []string) error {
	f := newCertFlags("ca", "Creates a CA: ca.crt and ca.key.", 3650)
	f.StringVar(&f.out, "out", ".", "write to `DIR`, created if missing")
	name := newAuthorityName()
	f.Func("name", "common `name` of the CA (default \"pgseal development CA\" and random digits)", func(s string) error {
		if s == "" {
			return errors.New("must not be empty")
		}
		name = s
		return nil
	})
	force := f.Bool("force", false, "replace an existing CA: certificates it issued are no longer trusted")
	if err := f.parse(c, args); err != nil {
		return err
	}
	crt, key := pairFiles(f.out, "ca")
	if !*force {
		if err := mustBeFree(key, crt); err != nil {
			return err
		}
	}
	ca, err := devca.New(name, f.life())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.out, 0o700); err != nil {
		return err
	}
	if err := ca.WriteFiles(crt, key); err != nil {
		return err
	}
	describe(c.stdout, crt, key, ca.Cert())
	return nil
}

// newAuthorityName returns a name that no other authority has: chains are built
// by name, and of two with the same one the wrong one may be tried, with an
// error that speaks of a bad signature.
func newAuthorityName() string {
	var random [3]byte
	rand.Read(random[:])
	return fmt.Sprintf("pgseal development CA %x", random)
}

func runCertsServer(c *cli, args []string) error {
	f := newCertFlags("server", "Issues a server certificate: server.crt (the certificate alone) and server.key.", 90)
	f.leafFlags("server")
	var hosts []string
	f.Func("host", "DNS `name`, *.name or IP address clients connect to; repeatable, or comma-separated", func(s string) error {
		for host := range strings.SplitSeq(s, ",") {
			hosts = append(hosts, strings.TrimSpace(host))
		}
		return nil
	})
	if err := f.parseLeaf(c, args); err != nil {
		return err
	}
	if len(hosts) == 0 {
		return usagef("certs server: --host is required")
	}
	req := devca.Request{Hosts: hosts}
	if len(hosts[0]) <= maxCommonName {
		req.CommonName = hosts[0]
	}
	return f.issue(c, req)
}

func runCertsClient(c *cli, args []string) error {
	f := newCertFlags("client", "Issues a client certificate for a role: client.crt and client.key.", 90)
	f.leafFlags("client")
	role := f.String("user", "", "`role` the certificate logs in as; becomes its common name")
	if err := f.parseLeaf(c, args); err != nil {
		return err
	}
	if err := checkRole(*role); err != nil {
		return err
	}
	return f.issue(c, devca.Request{CommonName: *role, Client: true})
}

// certFlags are the flags that the kinds of certificate share.
type certFlags struct {
	*flag.FlagSet
	about   string
	ca, out string
	base    string
	days    int
}

func newCertFlags(kind, about string, days int) *certFlags {
	f := &certFlags{FlagSet: flag.NewFlagSet("certs "+kind, flag.ContinueOnError), about: about}
	f.IntVar(&f.days, "days", days, "valid for `N` days from now")
	return f
}

func (f *certFlags) leafFlags(base string) {
	f.StringVar(&f.ca, "ca", ".", "`DIR` that holds ca.crt and ca.key")
	f.StringVar(&f.out, "out", "", "write to `DIR`, created if missing (default the --ca directory)")
	f.StringVar(&f.base, "name", base, "`basename` of the two files")
}

// parse reads the flags and checks those that the kinds share.
func (f *certFlags) parse(c *cli, args []string) error {
	about := f.about + "\n\n\"pgseal certs --help\" shows an example."
	if err := c.parse(f.FlagSet, args, "pgseal "+f.Name()+" [flags]", about); err != nil {
		return err
	}
	if f.days < 1 || f.days > maxDays {
		return usagef("%s: --days must be between 1 and %d", f.Name(), maxDays)
	}
	if f.out == "" {
		f.out = f.ca
	}
	f.out = filepath.Clean(f.out)
	return nil
}

// parseLeaf is parse for the kinds that have leafFlags.
func (f *certFlags) parseLeaf(c *cli, args []string) error {
	if err := f.parse(c, args); err != nil {
		return err
	}
	switch {
	case f.base != filepath.Base(f.base) || f.base == "." || f.base == "..":
		return usagef("%s: --name must be a file name without directory or extension", f.Name())
	case strings.EqualFold(f.base, "ca"):
		// In the authority's own directory this would replace its key.
		return usagef("%s: --name ca is reserved for the CA", f.Name())
	}
	return nil
}

func (f *certFlags) life() time.Duration { return time.Duration(f.days) * day }

// issue makes one pair, writes it and tells about it.
func (f *certFlags) issue(c *cli, req devca.Request) error {
	ca, err := devca.Load(pairFiles(f.ca, "ca"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (create one with: pgseal certs ca --out %s)", err, f.ca)
	}
	if err != nil {
		return err
	}
	req.Life = f.life()
	pair, err := ca.Issue(req)
	if errors.Is(err, devca.ErrHost) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.out, 0o700); err != nil {
		return err
	}
	crt, key := pairFiles(f.out, f.base)
	if err := pair.WriteFiles(crt, key); err != nil {
		return err
	}
	describe(c.stdout, crt, key, pair.Cert)
	return nil
}

func checkRole(role string) error {
	switch {
	case role == "":
		return usagef("certs client: --user is required")
	case len(role) > maxRoleName:
		return usagef("certs client: --user is longer than %d bytes, the limit of role names", maxRoleName)
	case !utf8.ValidString(role) || strings.ContainsFunc(role, unicode.IsControl):
		return usagef("certs client: --user is not valid UTF-8")
	}
	return nil
}

func pairFiles(dir, base string) (crt, key string) {
	return filepath.Join(dir, base+".crt"), filepath.Join(dir, base+".key")
}

func mustBeFree(files ...string) error {
	for _, name := range files {
		_, err := os.Lstat(name)
		if err == nil {
			return fmt.Errorf("%s exists; --force replaces it, and certificates it issued are no longer trusted", name)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// describe prints what a person wants to know of a new pair.
func describe(w io.Writer, crt, key string, cert *x509.Certificate) {
	row := func(label, value string) { fmt.Fprintf(w, "%-12s %s\n", label, value) }
	row("certificate", crt)
	row("key", key)
	row("subject", cert.Subject.String())
	if sans := tlsconf.HostNames(cert); len(sans) > 0 {
		row("names", strings.Join(sans, ", "))
	}
	left := time.Until(cert.NotAfter).Round(day) / day
	row("not after", fmt.Sprintf("%s (%d days)", cert.NotAfter.UTC().Format("2006-01-02 15:04 MST"), left))
	row("sha256", fmt.Sprintf("%x", sha256.Sum256(cert.Raw)))
}
