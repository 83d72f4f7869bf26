package hba

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/internal/pgconf"
)

// scope is how a rule's address is compared.
type scope uint8

const (
	scopeMask scope = iota
	scopeName
	scopeAll
	scopeSameHost
	scopeSameNet
)

// address is the address field of a rule.
type address struct {
	scope   scope
	ip      netip.Addr // with mask, of the same family
	mask    netip.Addr
	name    string // of a host, or with a leading dot the end of one
	hasMask bool
}

// parseAddress reads the address field of a rule. An address without a mask
// needs the field that follows.
func parseAddress(t pgconf.Token) (address, error) {
	switch {
	case t.Keyword("all"):
		return address{scope: scopeAll}, nil
	case t.Keyword("samehost"):
		return address{scope: scopeSameHost}, nil
	case t.Keyword("samenet"):
		return address{scope: scopeSameNet}, nil
	}
	host, bits, cidr := strings.Cut(t.Text, "/")
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil && looksNumeric(host):
		return address{}, fmt.Errorf("invalid IP address %q%s", host, wholeAddress(host, bits))
	case err != nil && cidr:
		return address{}, fmt.Errorf("specifying both host name and CIDR mask is invalid: %q", t.Text)
	case err != nil:
		return address{scope: scopeName, name: host}, nil
	case !cidr:
		return address{ip: ip.WithZone("")}, nil
	}
	n, err := strconv.Atoi(bits)
	if err != nil || n < 0 || n > ip.BitLen() {
		return address{}, fmt.Errorf("invalid CIDR mask in address %q", t.Text)
	}
	return address{ip: ip.WithZone(""), mask: maskOf(n, ip.BitLen()), hasMask: true}, nil
}

// wholeAddress suggests the address that a beginning of an IPv4 network such as
// 10/8 stands for elsewhere.
func wholeAddress(host, bits string) string {
	whole := host + strings.Repeat(".0", max(3-strings.Count(host, "."), 0))
	if prefix, err := netip.ParsePrefix(whole + "/" + bits); err == nil {
		return "; did you mean " + prefix.String() + "?"
	}
	return ""
}

// looksNumeric reports whether s can't be the name of a host but may be meant
// as an address: PostgreSQL takes 10 for 0.0.0.10, which nobody means.
func looksNumeric(s string) bool {
	last := s[strings.LastIndexByte(s, '.')+1:]
	return strings.ContainsRune(s, ':') || last != "" && (strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x"))
}

// setMask reads the mask that stands in a field of its own.
func (a *address) setMask(t pgconf.Token) error {
	mask, err := netip.ParseAddr(t.Text)
	switch {
	case err != nil:
		return fmt.Errorf("invalid IP mask %q", t.Text)
	case mask.BitLen() != a.ip.BitLen():
		return errors.New("IP address and mask do not match")
	}
	a.mask, a.hasMask = mask, true
	return nil
}

func maskOf(ones, bits int) netip.Addr {
	b := make([]byte, bits/8)
	for i := range ones {
		b[i/8] |= 0x80 >> (i % 8)
	}
	mask, _ := netip.AddrFromSlice(b)
	return mask
}

// match reports whether the rule is for a client at ip.
func (a address) match(ip netip.Addr, look Lookups) bool {
	switch a.scope {
	case scopeAll:
		return true
	case scopeName:
		return hostMatch(a.name, look.HostName(ip))
	case scopeSameHost, scopeSameNet:
		for _, own := range look.Interfaces() {
			if own.Addr().Unmap().WithZone("") == ip || a.scope == scopeSameNet && own.Masked().Contains(ip) {
				return true
			}
		}
		return false
	}
	return within(ip, a.ip, a.mask)
}

// loopback reports whether no other machine has such an address.
func (a address) loopback() bool {
	if a.scope != scopeMask {
		return a.scope == scopeSameHost
	}
	if a.ip.Is4() {
		return a.ip.IsLoopback() && a.mask.As4()[0] == 0xff
	}
	return a.ip.IsLoopback() && a.mask == maskOf(128, 128)
}

// within compares two addresses where the mask has ones, which need not be
// its first bits.
func within(ip, net, mask netip.Addr) bool {
	if ip.BitLen() != net.BitLen() {
		return false
	}
	x, y, m := ip.AsSlice(), net.AsSlice(), mask.AsSlice()
	for i := range x {
		if (x[i]^y[i])&m[i] != 0 {
			return false
		}
	}
	return true
}

// hostMatch compares the name of a host with the one in a rule, whatever its
// letters' case. A rule's name that begins with a dot stands for all hosts
// below it.
func hostMatch(rule, name string) bool {
	if name == "" {
		return false
	}
	if strings.HasPrefix(rule, ".") && len(name) >= len(rule) {
		name = name[len(name)-len(rule):]
	}
	return strings.EqualFold(rule, name)
}
