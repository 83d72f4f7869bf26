package hba

import (
	"net/netip"
	"slices"
)

// Lookups answers what a decision may depend on beyond the connection itself.
// A method is called only where a rule asks for it, and may block.
type Lookups interface {
	// HostName returns the name of the host at ip, confirmed by a lookup of that
	// name leading back to ip, without a dot at the end. Empty: there is none.
	HostName(ip netip.Addr) string
	// Interfaces returns the addresses of this machine with their networks.
	Interfaces() []netip.Prefix
	// Member reports whether role is group, or a member of it directly or
	// through other roles.
	Member(role, group string) bool
}

// A Request is a connection that asks for a database in the name of a role.
type Request struct {
	Addr     netip.Addr // not valid for a unix socket
	TLS      bool
	Database string
	Role     string
	// Replication is set for physical replication, which has no database.
	Replication bool
}

// Match returns the first rule for the request, and false if there is none.
func (r *Rules) Match(q Request, look Lookups) (Rule, bool) {
	q.Addr = q.Addr.Unmap().WithZone("")
	for _, rule := range r.list {
		if rule.match(q, look) {
			return rule, true
		}
	}
	return Rule{}, false
}

func (rule *Rule) match(q Request, look Lookups) bool {
	if (rule.Connection == Local) == q.Addr.IsValid() {
		return false
	}
	if rule.Connection == HostSSL && !q.TLS || rule.Connection == HostNoSSL && q.TLS {
		return false
	}
	if rule.Connection != Local && !rule.address.match(q.Addr, look) {
		return false
	}
	return matchDatabase(rule.databases, q, look) && matchRole(rule.roles, q.Role, look)
}

func matchDatabase(tokens []token, q Request, look Lookups) bool {
	return slices.ContainsFunc(tokens, func(t token) bool {
		switch {
		case q.Replication, t.Keyword("replication"):
			// Physical replication fits the keyword only, and only that fits it.
			return q.Replication && t.Keyword("replication")
		case t.Keyword("all"):
			return true
		case t.Keyword("sameuser"):
			return q.Database == q.Role
		case t.Keyword("samerole"), t.Keyword("samegroup"):
			return look.Member(q.Role, q.Database)
		}
		return t.names(q.Database)
	})
}

func matchRole(tokens []token, role string, look Lookups) bool {
	return slices.ContainsFunc(tokens, func(t token) bool {
		if group, isGroup := t.group(); isGroup {
			return look.Member(role, group)
		}
		return t.Keyword("all") || t.names(role)
	})
}

// OnThisMachine reports whether the rule fits nobody from another machine.
func (rule *Rule) OnThisMachine() bool {
	return rule.Connection == Local || rule.address.loopback()
}

// ForDatabase reports whether the rule may let a client into a database, if its
// role and all else fit.
func (rule *Rule) ForDatabase(name string) bool {
	return slices.ContainsFunc(rule.databases, func(t token) bool {
		switch {
		case t.Keyword("all"), t.Keyword("sameuser"):
			return true
		case t.Keyword("replication"):
			return false
		}
		return t.names(name)
	})
}

// ForRole reports whether the rule may be for a role: members of groups are not
// known here, so a rule for a group may match every role.
func (rule *Rule) ForRole(name string) bool {
	return matchRole(rule.roles, name, anyGroup{})
}

// anyGroup treats every role as a member of every group.
type anyGroup struct{ Lookups }

func (anyGroup) Member(string, string) bool { return true }

// AsksForGroups reports whether the rule's decision depends on [Lookups.Member].
func (rule *Rule) AsksForGroups() bool {
	ofMembers := func(t token) bool { return t.Keyword("samerole") || t.Keyword("samegroup") }
	isGroup := func(t token) bool { _, ok := t.group(); return ok }
	return slices.ContainsFunc(rule.databases, ofMembers) || slices.ContainsFunc(rule.roles, isGroup)
}
