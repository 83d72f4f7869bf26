package pool

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
	md5Method      = "md5"
	passwordMethod = "password"
	noneMethod     = "none" // it asks for nothing, or for a certificate in TLS alone
)

// defaultRequireAuth allows nothing that tells a stranger the password, or lets
// it be guessed at leisure.
const defaultRequireAuth = scramMethod + "," + noneMethod

var (
	authMethods = []string{scramMethod, md5Method, passwordMethod, noneMethod}
	// unspokenMethods are those of libpq that pgseal does not speak.
	unspokenMethods = []string{"gss", "sspi", "oauth"}
)

// AuthMethods returns what require_auth allows, or why it can't be read: a
// list of methods with commas, or of methods with "!" before each, which allows
// all others.
func (c DatabaseConfig) AuthMethods() ([]string, error) {
	if strings.TrimSpace(c.RequireAuth) == "" {
		return nil, errors.New("is empty, which in libpq allows every method: write out which are allowed")
	}
	var named []string
	negated := false
	for i, word := range strings.Split(c.RequireAuth, ",") {
		name, not := strings.CutPrefix(strings.TrimSpace(word), "!")
		switch {
		case i > 0 && not != negated:
			return nil, fmt.Errorf("%q stands beside methods of the other kind: write ! before all of them or before none", strings.TrimSpace(word))
		case slices.Contains(named, name):
			return nil, fmt.Errorf("%q is named twice", name)
		case !slices.Contains(authMethods, name) && !slices.Contains(unspokenMethods, name):
			return nil, fmt.Errorf("%q is none of scram-sha-256, md5, password and none", name)
		case !not && slices.Contains(unspokenMethods, name):
			return nil, fmt.Errorf("pgseal does not speak %q", name)
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

// checkAuth refuses methods that are allowed where they may not be.
func (c DatabaseConfig) checkAuth() error {
	allowed, err := c.AuthMethods()
	switch {
	case err != nil:
		return err
	case slices.Contains(allowed, md5Method) && auth.CheckMD5() != nil:
		return auth.CheckMD5()
	case slices.Contains(allowed, passwordMethod) && !c.private():
		return errors.New("password is sent in the clear, so it is allowed with sslmode verify-full or verify-ca and on unix sockets only")
	}
	return nil
}

// private reports whether nobody but the server that is meant can read what
// it is sent.
func (c DatabaseConfig) private() bool {
	if c.SSLMode == tlsconf.SSLModeVerifyFull || c.SSLMode == tlsconf.SSLModeVerifyCA {
		return true
	}
	return !slices.ContainsFunc(strings.Split(c.Host, ","), func(host string) bool { return !isSocketDir(host) })
}

// AllowsMD5 reports whether pgseal answers a server that asks by md5.
func (c DatabaseConfig) AllowsMD5() bool { return c.allows(md5Method) }

// AllowsPassword reports whether pgseal tells a server that asks for it the
// password in the clear.
func (c DatabaseConfig) AllowsPassword() bool { return c.allows(passwordMethod) }

func (c DatabaseConfig) allows(method string) bool {
	allowed, _ := c.AuthMethods()
	return slices.Contains(allowed, method)
}

// terms are what a login to a server may do.
type terms struct {
	methods []string // that require_auth allows
	binding auth.ChannelBinding
}

// termsOf returns the terms of a login over a connection.
func (c DatabaseConfig) termsOf(t *transport, trust *tlsconf.Upstream) (terms, error) {
	methods, err := c.AuthMethods()
	return terms{methods, t.binding(trust)}, err
}

// allow returns an error, which the log shows, unless the server may ask by
// method. what says what it did.
func (t terms) allow(method, what string) error {
	if !slices.Contains(t.methods, method) {
		return fmt.Errorf("the server %s, and require_auth of the database allows %s alone: %s", what, strings.Join(t.methods, ", "), adviceFor[method])
	}
	if t.binding.Policy == tlsconf.ChannelBindingRequire && method != scramMethod && method != noneMethod {
		return fmt.Errorf("the server %s, and channel_binding is require", what)
	}
	return nil
}

var adviceFor = map[string]string{
	scramMethod:    "add scram-sha-256 to it",
	md5Method:      "give the role a SCRAM secret (password_encryption scram-sha-256, then the password anew), or add md5 to require_auth",
	passwordMethod: "have pg_hba.conf of the server say scram-sha-256, or add password to require_auth, which needs verified TLS",
	noneMethod:     "have pg_hba.conf of the server ask for a password, or add none to require_auth",
}
