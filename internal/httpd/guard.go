package httpd

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard serves a page only to requests with the token. Without a token, on a
// loopback address, it protects against DNS rebinding: a web page in a local
// browser could otherwise request it by a name that resolves to this machine.
func (o Options) guard(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case o.Token == nil && loopback(o.Address) && !ownName(r.Host):
			http.Error(w, "request by IP address or localhost, or set http.bearer_token_file", http.StatusMisdirectedRequest)
		case o.Token != nil && !o.Token.Load().allows(r):
			w.Header().Add("WWW-Authenticate", `Bearer realm="pgseal"`)
			w.Header().Add("WWW-Authenticate", `Basic realm="pgseal: the token is the password", charset="UTF-8"`)
			http.Error(w, "bearer token required (http.bearer_token_file)", http.StatusUnauthorized)
		default:
			w.Header().Del("Connection") // authorized: keep the connection open
			page.ServeHTTP(w, r)
		}
	})
}

// readOnly rejects methods that could change something, and disables content
// sniffing in browsers.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed: use GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Connection", "close") // a request for health, or without the token, must not occupy a connection
		next.ServeHTTP(w, r)
	})
}

// ownName reports whether a Host header names this machine in a way that foreign
// DNS cannot control.
func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// allows reports whether a request carries the token. Browsers may send it as the
// password of any user (RFC 7617).
func (t Token) allows(r *http.Request) bool {
	_, given, ok := r.BasicAuth()
	if !ok {
		var scheme string
		scheme, given, _ = strings.Cut(r.Header.Get("Authorization"), " ")
		ok = strings.EqualFold(scheme, "Bearer")
	}
	digest := sha256.Sum256([]byte(strings.TrimSpace(given)))
	return ok && subtle.ConstantTimeCompare(digest[:], t.digest[:]) == 1
}
