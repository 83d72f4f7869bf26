package doctor

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// newestLists returns the CRLs that are in use: the newest of each issuer.
func (t trust) newestLists() []*x509.RevocationList {
	var newest []*x509.RevocationList
	for _, crl := range t.lists {
		i := slices.IndexFunc(newest, func(n *x509.RevocationList) bool { return bytes.Equal(n.RawIssuer, crl.RawIssuer) })
		switch {
		case i < 0:
			newest = append(newest, crl)
		case crl.ThisUpdate.After(newest[i].ThisUpdate):
			newest[i] = crl
		}
	}
	return newest
}

// staleAt returns why a CRL is not valid at a time, or "". Without a next update it
// never expires.
func staleAt(crl *x509.RevocationList, now time.Time) string {
	return notInTime(crl.ThisUpdate, crl.NextUpdate, now)
}

func crlExpired(e *exam) {
	for _, t := range e.trusts {
		for _, crl := range t.newestLists() {
			if text := staleAt(crl, e.now); text != "" {
				e.found(t.subject, t.crlKey, fmt.Sprintf("the CRL of %s in %s %s: all its %s certificates are rejected", crl.Issuer, t.crlFile, text, t.who),
					"fetch a new CRL from the CA into "+t.crlFile)
			}
		}
	}
}

func crlExpiring(e *exam) {
	for _, t := range e.trusts {
		for _, crl := range t.newestLists() {
			switch life := crl.NextUpdate.Sub(crl.ThisUpdate); {
			case staleAt(crl, e.now) != "" || crl.NextUpdate.IsZero():
			case crl.NextUpdate.Sub(e.now) < min(soon, life/3):
				e.found(t.subject, t.crlKey, fmt.Sprintf("the CRL of %s in %s expires soon, on %s", crl.Issuer, t.crlFile, day(crl.NextUpdate)),
					"fetch a new CRL from the CA into "+t.crlFile)
			default:
				e.good(t.subject, "the CRL of %s is valid until %s", crl.Issuer, day(crl.NextUpdate))
			}
		}
	}
}

// crlMissing reports CAs whose certificates are all rejected because there is no
// CRL signed by them.
func crlMissing(e *exam) {
	for _, t := range e.trusts {
		if t.crlFile == "" || len(t.lists) == 0 {
			continue // a file that is none is told by the check "unusable"
		}
		for _, ca := range t.certs {
			lists := t.listsOf(ca)
			signed := slices.ContainsFunc(lists, func(crl *x509.RevocationList) bool { return crl.CheckSignatureFrom(ca) == nil })
			switch {
			case signed || !ca.IsCA:
			case len(lists) > 0:
				e.found(t.subject, t.crlKey, fmt.Sprintf("the CRL of %s in %s is not signed by the CA in %s: all its %s certificates are rejected", name(ca), t.crlFile, t.file, t.who),
					"fetch the CRL of this CA, or the CA's new certificate into "+t.file)
			default:
				e.found(t.subject, t.crlKey, fmt.Sprintf("%s contains no CRL of %s: all its %s certificates are rejected", t.crlFile, name(ca), t.who),
					fmt.Sprintf("add its CRL to %s, or remove the CA from %s", t.crlFile, t.file))
			}
		}
	}
}
