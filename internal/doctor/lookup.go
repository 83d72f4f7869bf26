package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

// tried is what came of one auth_query at one server.
type tried struct {
	config.Lookup
	err   error
	super bool // auth_user is a superuser
}

// lookUp logs in as each auth_user with lookups in this database, and has it look
// itself up.
func (h *host) lookUp(ctx context.Context) {
	if h.dialErr != nil {
		return
	}
	for _, l := range h.file.Lookups() {
		same := func(t tried) bool { return t.User == l.User && t.In == l.In && t.Query == l.Query }
		if h.file.LookupDatabase(l) != h.db.name || slices.ContainsFunc(h.lookups, same) {
			continue
		}
		t := tried{Lookup: l}
		t.super, t.err = h.tryLookup(ctx, l)
		h.lookups = append(h.lookups, t)
	}
}

func (h *host) tryLookup(ctx context.Context, l config.Lookup) (super bool, err error) {
	trust, err := h.trust()
	if err != nil {
		return false, err
	}
	conn, err := h.dial(ctx, trust, backend.Login{User: l.User, Password: h.passwordOf(l)}, l.In)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, timeOfQuery)
	defer cancel()
	rows, err := conn.QueryRows(ctx, 1, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) $1::pg_catalog.text", l.User)
	if err != nil {
		return false, err
	}
	super = len(rows) == 1 && rows[0][0].Text == "t"
	rows, err = conn.QueryRows(ctx, 2, l.Query, l.User)
	if err == nil && len(rows) > 0 && len(rows[0]) < 2 {
		err = errors.New("it returned one column, expected role name and secret")
	}
	return super, err
}

// passwordOf returns the password of auth_user, from where pgseal reads it. Errors
// are reported by other checks.
func (h *host) passwordOf(l config.Lookup) string {
	if l.Password != "" {
		password, _ := reload.ReadPassword(l.Password)
		return password
	}
	if h.file.Auth.UsersFile == "" {
		return ""
	}
	content, err := reload.ReadSecretFile(h.file.Auth.UsersFile)
	if err != nil {
		return ""
	}
	password, _ := auth.PasswordIn(h.file.Auth.UsersFile, content, l.User)
	return password
}

// foundLookup reports a finding about a lookup, at a key of the section that
// it is configured in.
func (h *host) foundLookup(l config.Lookup, key, what, change string) {
	f := h.exam.found(h.subject, l.Key+"."+key, what, change)
	f.Database, f.Host = h.db.name, h.address()
}

func serverAuthQuery(h *host) {
	for _, t := range h.lookups {
		var refused *wire.Error
		switch {
		case t.err == nil:
			h.good(h.subject, "auth_query works as role %s", t.User)
		case !errors.As(t.err, &refused) && (h.verify != nil || h.shakeErr != nil || h.answer == 'N'):
			// told by other checks
		case refused != nil && !strings.HasPrefix(refused.Code, "28"):
			h.foundLookup(t.Lookup, "auth_query", fmt.Sprintf("auth_query fails as role %q: %v", t.User, t.err),
				"auth_query: a function that the role may execute, see docs/authentication.md")
		default:
			h.foundLookup(t.Lookup, "auth_user", fmt.Sprintf("auth_query fails: role %q cannot log in: %v", t.User, t.err),
				"auth_user and auth_password_file of a role that can log in, and a hostssl line for it in pg_hba.conf")
		}
	}
}

func serverAuthUserSuper(h *host) {
	for _, t := range h.lookups {
		if t.super {
			h.foundLookup(t.Lookup, "auth_user", fmt.Sprintf("auth_user %q is a superuser", t.User),
				"a role without privileges, and a SECURITY DEFINER function for auth_query, see docs/authentication.md")
		}
	}
}

func authQueryUnqualified(e *exam) {
	for _, key := range e.file.UnqualifiedQueries() {
		subject := subjectAccess
		if name, ok := strings.CutPrefix(key, "databases."); ok {
			subject = "database " + strings.TrimSuffix(name, ".auth_query")
		}
		e.found(subject, key, "auth_query references a table or function without a schema", "auth_query: the same with schema-qualified names")
	}
}
