package proxy

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/wire"
)

// Bounds of a stamp, in bytes.
const (
	maxApplicationName = 63 // NAMEDATALEN-1: PostgreSQL cuts there
	maxStamp           = 1024
)

// identityOf tells who has logged in, as PostgreSQL's SYSTEM_USER does: the
// method, a colon, and the name that was proved. With a certificate that is its
// subject, or the other name that the rule asks for.
func identityOf(rule hba.Rule, cert *x509.Certificate, proved string) string {
	if rule.ClientCert != hba.VerifyFull {
		return rule.Method + ":" + proved
	}
	if rule.ClientName == hba.NameCN || rule.ClientName == hba.NameDN {
		if dn, err := auth.DistinguishedName(cert); err == nil {
			proved = dn
		}
	}
	return hba.Cert + ":" + proved
}

const applicationName = "application_name"

// stamp puts the setting that tells who the client is in the place of what it
// asked for. It runs during the login, when the pool is known.
func (s *session) stamp(asked []wire.Parameter) []wire.Parameter {
	setting := s.db.Stamp()
	if setting == "" {
		return asked
	}
	asked = slices.DeleteFunc(slices.Clone(asked), func(p wire.Parameter) bool { return strings.EqualFold(p.Name, setting) })
	return append(asked, wire.Parameter{Name: setting, Value: stampFor(setting, s.identity)})
}

// stampFor returns an identity as it is written into a setting: printable ASCII,
// with anything else as the bytes of its UTF-8 in hexadecimal digits behind
// backslashes, as in a distinguished name (RFC 2253), and cut between characters
// to what the setting takes.
func stampFor(setting, identity string) string {
	limit := maxStamp
	if setting == applicationName {
		limit = maxApplicationName
	}
	var b strings.Builder
	for i, c := range identity {
		_, size := utf8.DecodeRuneInString(identity[i:])
		if c >= ' ' && c <= '~' {
			b.WriteRune(c)
			continue
		}
		for _, c := range []byte(identity[i : i+size]) {
			fmt.Fprintf(&b, "\\%02X", c)
		}
	}
	return cutStamp(b.String(), limit)
}

// cutStamp cuts a stamp to at most n bytes, and never within an escape or
// between the escapes of one character.
func cutStamp(s string, n int) string {
	end := 0
	for end < len(s) {
		next := end + stampChar(s[end:])
		if next > n {
			return s[:end]
		}
		end = next
	}
	return s
}

// stampChar returns how many bytes of s its first character takes.
func stampChar(s string) int {
	if s[0] != '\\' || len(s) == 1 {
		return 1
	}
	lead, ok := hexByte(s[1:])
	if !ok {
		return 2
	}
	n := 1
	for _, least := range []byte{0xc0, 0xe0, 0xf0} { // how UTF-8 counts
		if lead >= least {
			n++
		}
	}
	return min(3*n, len(s))
}

func hexByte(s string) (b byte, ok bool) {
	if len(s) < 2 {
		return 0, false
	}
	for i := range 2 {
		digit := strings.IndexByte("0123456789ABCDEF", s[i])
		if digit < 0 {
			return 0, false
		}
		b = b<<4 | byte(digit)
	}
	return b, true
}
