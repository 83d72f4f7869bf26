package tlsconf

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// groupNames are key exchanges by OpenSSL's names, which ssl_groups of
// PostgreSQL takes, and other usual ones. crypto/tls has an order of its own:
// the strongest first.
var groupNames = map[string]tls.CurveID{
	"x25519mlkem768":     tls.X25519MLKEM768,
	"secp256r1mlkem768":  tls.SecP256r1MLKEM768,
	"secp384r1mlkem1024": tls.SecP384r1MLKEM1024,
	"x25519":             tls.X25519,
	"prime256v1":         tls.CurveP256,
	"secp256r1":          tls.CurveP256,
	"p-256":              tls.CurveP256,
	"secp384r1":          tls.CurveP384,
	"p-384":              tls.CurveP384,
	"secp521r1":          tls.CurveP521,
	"p-521":              tls.CurveP521,
}

// parseGroups reads names separated by colons. An empty list is crypto/tls's
// own choice, nil.
func parseGroups(list string) ([]tls.CurveID, error) {
	if list == "" {
		return nil, nil
	}
	var groups []tls.CurveID
	for name := range strings.SplitSeq(list, ":") {
		group, ok := groupNames[strings.ToLower(strings.TrimSpace(name))]
		if !ok {
			return nil, fmt.Errorf("unknown group %q: must be a colon-separated list of X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519, prime256v1, secp384r1, secp521r1", name)
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// PostQuantum reports whether a list of groups, as groups and ssl_groups hold
// it, offers a key exchange that a quantum computer does not break. The empty
// list, which is crypto/tls's own choice, does.
func PostQuantum(list string) bool {
	groups, err := parseGroups(list)
	return err == nil && (len(groups) == 0 || slices.ContainsFunc(groups, func(g tls.CurveID) bool {
		return g == tls.X25519MLKEM768 || g == tls.SecP256r1MLKEM768 || g == tls.SecP384r1MLKEM1024
	}))
}

// suite is a cipher suite of TLS 1.2. Those of TLS 1.3 are all good, and not to
// be chosen.
type suite struct {
	id      uint16
	openssl string
	aead    bool
}

// suites are those with forward secrecy that crypto/tls has. Without AEAD they
// have been broken more than once, and are for peers that know nothing better.
var suites = []suite{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", true},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", true},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", true},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", true},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", true},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", true},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", false},
}

// WeakCiphers names the suites of a list, as ciphers holds it, that have no
// AEAD.
func WeakCiphers(list string) []string {
	_, weak, _ := parseCiphers(list)
	return weak
}

// parseCiphers reads suites of TLS 1.2 by OpenSSL's or the RFCs' names,
// separated by colons. An empty list is all that have AEAD. weak names those
// that have not.
func parseCiphers(list string) (ids []uint16, weak []string, err error) {
	if list == "" {
		for _, s := range suites {
			if s.aead {
				ids = append(ids, s.id)
			}
		}
		return ids, nil, nil
	}
	for name := range strings.SplitSeq(list, ":") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(suites, func(s suite) bool {
			return strings.EqualFold(name, s.openssl) || strings.EqualFold(name, tls.CipherSuiteName(s.id))
		})
		if i < 0 {
			return nil, nil, fmt.Errorf("unknown cipher suite %q: must be a TLS 1.2 suite with forward secrecy", name)
		}
		ids = append(ids, suites[i].id)
		if !suites[i].aead {
			weak = append(weak, suites[i].openssl)
		}
	}
	return ids, weak, nil
}
