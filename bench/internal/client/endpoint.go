package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Endpoint is where clients connect to, and as whom.
type Endpoint struct {
	Network, Address string
	// TLS is nil for plaintext.
	TLS      *tls.Config
	User     string
	Password string
	Database string
	// Params are more startup parameters.
	Params map[string]string
	// Conninfo reaches the same place through libpq, without the password,
	// which belongs in PGPASSWORD.
	Conninfo string
}

// ErrDSN says that a connection string can't be used.
var ErrDSN = errors.New("invalid DSN")

// ParseDSN reads a connection string, a URL or keywords and values, with
// libpq's meaning and defaults. Of several hosts only the first is used, and
// of sslmode prefer and allow only the first choice. The error is one line and
// never shows the string.
func ParseDSN(dsn string) (*Endpoint, error) {
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrDSN, reason(err, dsn))
	}
	e := &Endpoint{
		Network: "tcp", Address: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))),
		TLS: config.TLSConfig, User: config.User, Password: config.Password, Database: config.Database,
		Params: config.RuntimeParams, Conninfo: WithoutPassword(dsn),
	}
	if strings.HasPrefix(config.Host, "/") {
		e.Network, e.Address = "unix", config.Host+"/.s.PGSQL."+strconv.Itoa(int(config.Port))
	}
	if e.Database == "" {
		e.Database = e.User
	}
	if e.TLS != nil {
		e.TLS = pinned(e.TLS)
	}
	return e, nil
}

// pinned gives every target the same key exchange. Go alone offers a hybrid
// one beside it, and a target in Go would then do work that others don't.
func pinned(config *tls.Config) *tls.Config {
	c := config.Clone()
	c.CurvePreferences = []tls.CurveID{tls.X25519}
	return c
}

// reason is what the parser says, without the connection string that it
// quotes: it may hold a password in a place where nobody expects one.
func reason(err error, dsn string) string {
	text := err.Error()
	if dsn != "" {
		text = strings.ReplaceAll(text, dsn, "…")
	}
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	text, _, _ = strings.Cut(text, "\n")
	return strings.TrimPrefix(text, "failed to ")
}

var passwordPair = regexp.MustCompile(`(?i)\bpassword\s*=\s*('(?:[^'\\]|\\.)*'|\S+)\s*`)

// WithoutPassword takes the password out of a connection string, so that it
// can be shown and can stand on a command line.
func WithoutPassword(dsn string) string {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return strings.TrimSpace(passwordPair.ReplaceAllString(dsn, ""))
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "…" // not ours to guess where the password is
	}
	if _, has := u.User.Password(); has {
		u.User = url.User(u.User.Username())
	}
	if q := u.Query(); q.Has("password") {
		q.Del("password")
		u.RawQuery = q.Encode()
	}
	return u.String()
}
