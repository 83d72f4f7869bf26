package backend

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/tlsconf"
)

// Methods by which a server may let pgseal in, under the names that libpq has
// for them in require_auth.
const (
	scramMethod    = "scram-sha-256"
	MD5Method      = "md5"
	PasswordMethod = "password"
	noneMethod     = "none" // it asks for nothing, or for a certificate in TLS alone
)

// DefaultRequireAuth allows nothing that tells a stranger the password, or lets
// it be guessed at leisure.
const DefaultRequireAuth = scramMethod + "," + noneMethod

var (
	authMethods = []string{scramMethod, MD5Method, PasswordMethod, noneMethod}
	// unspokenMethods are those of libpq that pgseal does not speak.
	unspokenMethods = []string{"gss", "sspi", "oauth"}
)

// ParseRequireAuth returns the methods that a value of require_auth allows, or why
// it can't be read: a list of methods with commas, or of methods with "!" before
// each, which allows all others.
func ParseRequireAuth(value string) ([]string, error) {
	if strings.TrimSpace(value) == "" {
		return nil, errors.New("required: list the allowed methods")
	}
	var named []string
	negated := false
	for i, word := range strings.Split(value, ",") {
		name, not := strings.CutPrefix(strings.TrimSpace(word), "!")
		switch {
		case i > 0 && not != negated:
			return nil, fmt.Errorf("negative and non-negative methods cannot be mixed: %q", strings.TrimSpace(word))
		case slices.Contains(named, name):
			return nil, fmt.Errorf("duplicate method %q", name)
		case !slices.Contains(authMethods, name) && !slices.Contains(unspokenMethods, name):
			return nil, fmt.Errorf("invalid value %q: must be scram-sha-256, md5, password or none", name)
		case !not && slices.Contains(unspokenMethods, name):
			return nil, fmt.Errorf("method %q is not supported", name)
		}
		negated, named = not, append(named, name)
	}
	var allowed []string
	for _, method := range authMethods {
		if slices.Contains(named, method) != negated {
			allowed = append(allowed, method)
		}
	}
	return allowed, nil
}

// terms are what a login to a server may do.
type terms struct {
	methods []string // that require_auth allows
	binding auth.ChannelBinding
}

// terms returns the terms of a login over a connection.
func (t *Target) terms(conn *transport) (terms, error) {
	value := t.RequireAuth
	if value == "" {
		value = DefaultRequireAuth
	}
	methods, err := ParseRequireAuth(value)
	return terms{methods, conn.binding(t.Trust)}, err
}

// allow returns an error, which the log shows, unless the server may ask by
// method. what says what it did.
func (t terms) allow(method, what string) error {
	if !slices.Contains(t.methods, method) {
		return fmt.Errorf("authentication method requirement \"%s\" failed: server %s: %s", strings.Join(t.methods, ","), what, adviceFor[method])
	}
	if t.binding.Policy == tlsconf.ChannelBindingRequire && method != scramMethod && method != noneMethod {
		return fmt.Errorf("channel binding required but not supported by server's authentication request: server %s", what)
	}
	return nil
}

var adviceFor = map[string]string{
	scramMethod:    "add scram-sha-256 to require_auth",
	MD5Method:      "give the role a SCRAM secret (password_encryption scram-sha-256, then the password anew), or add md5 to require_auth",
	PasswordMethod: "have pg_hba.conf of the server say scram-sha-256, or add password to require_auth, which needs verified TLS",
	noneMethod:     "have pg_hba.conf of the server ask for a password, or add none to require_auth",
}
