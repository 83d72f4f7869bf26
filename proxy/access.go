package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
)

// lookupTimeout bounds how long the names of a client's host are looked for.
const lookupTimeout = 5 * time.Second

// defaultRules hold where none are given. Whether a client may come without TLS
// is the listener's to say.
var defaultRules = []string{
	"local all,replication all scram-sha-256",
	"host all,replication all all scram-sha-256",
}

// Access says who may come in and how they have to prove who they are. It never
// changes once made.
type Access struct {
	rules         *hba.Rules
	maps          *hba.Maps
	trustAnywhere bool
}

// defaultAccess returns what holds where the settings say nothing.
var defaultAccess = sync.OnceValue(func() *Access {
	a, err := ParseAccess(nil, "default rules", AuthConfig{})
	if err != nil {
		panic(err) // a mistake of ours
	}
	return a
})

// ParseAccess reads the rules and user name maps that c names, through source.
// name is the file that c stands in. All faults are reported together, with
// file and line.
func ParseAccess(source hba.Source, name string, c AuthConfig) (*Access, error) {
	a := &Access{trustAnywhere: c.TrustAnywhere}
	var err1, err2 error
	switch {
	case c.HBAFile != "":
		a.rules, err1 = hba.ParseRules(source, c.HBAFile)
	case len(c.Rules) > 0:
		a.rules, err1 = hba.ParseLines(source, name+": auth.rules", c.Rules)
	default:
		a.rules, err1 = hba.ParseLines(source, name, defaultRules)
	}
	if c.IdentFile != "" {
		a.maps, err2 = hba.ParseMaps(source, c.IdentFile)
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return a, a.check()
}

// Rules returns the rules in the order in which they are tried. The caller must
// not change them.
func (a *Access) Rules() []hba.Rule { return a.rules.List() }

// check refuses what can be written and not be followed.
func (a *Access) check() error {
	noGroups := errors.New("members of groups can't be told")
	var errs []error
	for _, rule := range a.rules.List() {
		bad := func(err error) { errs = append(errs, &hba.Error{File: rule.File, Line: rule.Line, Err: err}) }
		if rule.AsksForGroups() {
			bad(noGroups)
		}
		if rule.Method == hba.LDAP {
			bad(errors.New(`authentication method "ldap" is not supported by pgseal`))
		}
		if rule.Method == hba.MD5 {
			if err := auth.CheckMD5(); err != nil {
				bad(err)
			}
		}
		if rule.Method == hba.Password && rule.Connection == hba.HostNoSSL {
			bad(errors.New("a password is never asked for without TLS: use hostssl, or scram-sha-256"))
		}
	}
	if a.maps != nil {
		for _, place := range a.maps.Groups() {
			place.Err = noGroups
			errs = append(errs, &place)
		}
	}
	return errors.Join(errs...)
}

// Warnings tell of rules that are weaker than they should be.
func (a *Access) Warnings() (list []string) {
	for _, rule := range a.rules.List() {
		var what string
		switch rule.Method {
		case hba.Trust:
			what = "lets clients in without any proof"
		case hba.MD5:
			what = "asks roles with an md5 secret by md5, which is broken: scram-sha-256 asks nobody so"
		case hba.Password:
			what = "has clients tell their password: scram-sha-256 does not"
		default:
			continue
		}
		list = append(list, fmt.Sprintf("%s:%d: the method %s %s", rule.File, rule.Line, rule.Method, what))
	}
	return list
}

// lookups answers what a rule asks, for one login. Its goroutine may block.
type lookups struct {
	deadline time.Time
	looked   bool
	name     string
}

// HostName implements hba.Lookups: the name of the address, if one of the
// addresses of that name is the address.
func (l *lookups) HostName(ip netip.Addr) string {
	if l.looked {
		return l.name
	}
	l.looked = true
	ctx, cancel := context.WithDeadline(context.Background(), l.deadline)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	names, err := net.DefaultResolver.LookupAddr(ctx, ip.String())
	if err != nil || len(names) == 0 {
		return ""
	}
	back, err := net.DefaultResolver.LookupNetIP(ctx, "ip", names[0])
	if err == nil && slices.ContainsFunc(back, func(a netip.Addr) bool { return a.Unmap() == ip }) {
		l.name = strings.TrimSuffix(names[0], ".")
	}
	return l.name
}

// Interfaces implements hba.Lookups.
func (l *lookups) Interfaces() (list []netip.Prefix) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, prefix)
		}
	}
	return list
}

// Member implements hba.Lookups. Nobody tells us of groups, so rules that ask
// for them are refused when they are read.
func (l *lookups) Member(role, group string) bool { return false }
