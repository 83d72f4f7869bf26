package login

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// lookups implements hba.Lookups for one login. Its goroutine may block.
type lookups struct {
	ctx    context.Context
	member func(role, group string) (bool, error)
	failed error // what was decided then does not count
	looked bool
	name   string
}

// HostName implements hba.Lookups: the name of the address, if one of the
// addresses of that name is the address.
func (l *lookups) HostName(ip netip.Addr) string {
	if l.looked {
		return l.name
	}
	l.looked = true
	ctx, cancel := context.WithTimeout(l.ctx, lookupTimeout)
	defer cancel()
	names, err := net.DefaultResolver.LookupAddr(ctx, ip.String())
	if err == nil && len(names) > 0 {
		back, err := net.DefaultResolver.LookupNetIP(ctx, "ip", names[0])
		if err == nil && slices.ContainsFunc(back, func(a netip.Addr) bool { return a.Unmap() == ip }) {
			l.name = strings.TrimSuffix(names[0], ".")
		}
	}
	if l.ctx.Err() != nil { // the login ends, and nothing is known of the name
		l.failed = context.Cause(l.ctx)
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

// Member implements hba.Lookups.
func (l *lookups) Member(role, group string) bool {
	if l.failed != nil {
		return false
	}
	is, err := l.member(role, group)
	if err != nil {
		l.failed = err
	}
	return is
}
