package params

import (
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// Server is what is known of the parameters of a server's session.
type Server struct {
	Reported []wire.Parameter // what it reports now
	Startup  []wire.Parameter // what it was opened with
	Set      []wire.Parameter // what was set in its session and not taken back
	Unlisted bool             // more may have been set, under names that nobody read
}

// Grants reports whether the server may grant parameters to roles: PostgreSQL 15
// or later.
func (s *Server) Grants() bool {
	i := Find(s.Reported, "server_version")
	if i < 0 {
		return false
	}
	major := 0
	for _, c := range s.Reported[i].Value {
		if c < '0' || c > '9' {
			break
		}
		major = 10*major + int(c-'0')
	}
	return major >= 15
}

// meets reports whether a wish is met: it was set in the server's session, or
// the server was opened with it. That a default happens to equal it is not
// enough.
func (s *Server) meets(w wire.Parameter) bool {
	if i := FindFold(s.Set, w.Name); i >= 0 {
		return s.Set[i].Value == w.Value
	}
	i := FindFold(s.Startup, w.Name)
	return i >= 0 && s.Startup[i].Value == w.Value
}

// Covers reports whether RESET on the server means what it means to a client
// with these startup values.
func (s *Server) Covers(startup []wire.Parameter) bool {
	for _, p := range startup {
		if i := FindFold(s.Startup, p.Name); !strings.EqualFold(p.Name, ApplicationName) && (i < 0 || s.Startup[i].Value != p.Value) {
			return false
		}
	}
	return true
}

// Difference returns what has to be set and reset on a server so that the
// client's wishes are met and nobody else's are. If the wishes are what is set,
// both are one list from now on.
func (s *Server) Difference(client *[]wire.Parameter) (set []wire.Parameter, reset []string) {
	if equal, _ := Unify(client, &s.Set); equal {
		return nil, nil
	}
	wishes := *client
	for _, w := range wishes {
		if !s.meets(w) {
			set = append(set, w)
		}
	}
	for _, p := range s.Set {
		if FindFold(wishes, p.Name) < 0 {
			reset = append(reset, p.Name)
		}
	}
	if i := FindFold(set, dateStyle); i >= 0 {
		// "German" alone completes itself from the value in force, which must
		// not be that of another client.
		reset = append(reset, set[i].Name)
	}
	// What another's role may not set would fail, so that role goes first.
	if i := Find(s.Set, Role); i >= 0 && len(set)+len(reset) > 0 {
		reset = slices.DeleteFunc(reset, func(name string) bool { return name == Role })
		reset = slices.Insert(reset, 0, Role)
		if k := Find(wishes, Role); k >= 0 && Find(set, Role) < 0 {
			set = append(set, wishes[k])
		}
	}
	return set, reset
}

// Unset returns what the server reports that was not set in its session.
func (s *Server) Unset() (list []wire.Parameter) {
	for _, p := range s.Reported {
		if p.Name == "is_superuser" && Find(s.Set, Role) >= 0 {
			continue // which follows the role
		}
		if FindFold(s.Set, p.Name) < 0 && FindFold(s.Startup, p.Name) < 0 {
			list = append(list, p)
		}
	}
	return list
}
