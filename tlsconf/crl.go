package tlsconf

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

const blockCRL = "X509 CRL"

// crlFileSize bounds a file of CRLs: a revoked certificate takes 40 bytes.
const crlFileSize = 16 << 20

// revocationList is a CRL (RFC 5280, section 5) that covers all certificates of
// its issuer.
type revocationList struct {
	*x509.RevocationList
	revoked map[string]time.Time // by serial number
	// verified are the CAs whose signature on it has been verified.
	verified []*x509.Certificate
}

// revocations is what one file of CRLs says. As in PostgreSQL, every
// certificate of a chain but the root needs a CRL of its issuer: a certificate
// about which nothing is known is refused.
type revocations struct {
	file  string
	lists map[string][]*revocationList // by issuer, the newest first
	// authorities are those of the trust file: the issuer of a chain's end is
	// looked for among them, where the trust file holds intermediates too.
	authorities []*x509.Certificate
}

// buildRevocations reads a file of CRLs, in PEM or one in DER. authorities are
// the certificates of the trust that the file goes with.
func buildRevocations(path string, data []byte, authorities []*x509.Certificate) (*revocations, error) {
	ders, err := crlBlocks(path, data)
	if err != nil {
		return nil, err
	}
	r := &revocations{file: path, lists: map[string][]*revocationList{}, authorities: authorities}
	for i, der := range ders {
		parsed, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("%s: CRL %d cannot be parsed: %w", path, i+1, err)
		}
		if err := checkScope(parsed); err != nil {
			return nil, fmt.Errorf("%s: CRL %d (%s): %w", path, i+1, parsed.Issuer, err)
		}
		list := &revocationList{RevocationList: parsed, revoked: make(map[string]time.Time, len(parsed.RevokedCertificateEntries))}
		for _, entry := range parsed.RevokedCertificateEntries {
			list.revoked[string(entry.SerialNumber.Bytes())] = entry.RevocationTime
		}
		parsed.RevokedCertificateEntries = nil
		issuer := string(parsed.RawIssuer)
		for _, ca := range authorities {
			if string(ca.RawSubject) == issuer && parsed.CheckSignatureFrom(ca) == nil {
				list.verified = append(list.verified, ca)
			}
		}
		r.lists[issuer] = append(r.lists[issuer], list)
	}
	for _, lists := range r.lists {
		slices.SortStableFunc(lists, func(a, b *revocationList) int { return b.ThisUpdate.Compare(a.ThisUpdate) })
	}
	return r, nil
}

func crlBlocks(path string, data []byte) ([][]byte, error) {
	if !bytes.Contains(data, beginMark) {
		return [][]byte{data}, nil
	}
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	ders := make([][]byte, len(blocks))
	for i, block := range blocks {
		if block.Type != blockCRL {
			return nil, fmt.Errorf("%s: PEM block %d is %s, not a CRL", path, i+1, blockName(block))
		}
		ders[i] = block.Bytes
	}
	return ders, nil
}

// checkScope refuses a list that speaks of some of its issuer's certificates
// only (a delta, or one of several distribution points): what it leaves out
// would count as good. Such lists say so in critical extensions.
func checkScope(list *x509.RevocationList) error {
	for _, e := range list.Extensions {
		if e.Critical {
			return fmt.Errorf("partial CRLs and critical extensions are not supported (%s)", extensionName(e.Id))
		}
	}
	return nil
}

func extensionName(id asn1.ObjectIdentifier) string {
	switch id.String() {
	case "2.5.29.27":
		return "delta CRL indicator"
	case "2.5.29.28":
		return "issuing distribution point"
	}
	return id.String()
}

// check returns nil if one of the chains holds no revoked certificate, and all
// its CRLs are there and in force. A nil receiver knows of no revocation.
func (r *revocations) check(chains [][]*x509.Certificate, now time.Time) error {
	if r == nil {
		return nil
	}
	err := errors.New("certificate was not verified")
	for _, chain := range chains {
		if err = r.checkChain(chain, now); err == nil {
			return nil
		}
	}
	return err
}

func (r *revocations) checkChain(chain []*x509.Certificate, now time.Time) error {
	for i, cert := range chain {
		if i == len(chain)-1 && SelfIssued(cert) {
			return nil // a root, which nobody else can revoke
		}
		issuers := r.authorities
		if i+1 < len(chain) {
			issuers = chain[i+1 : i+2]
		}
		if err := r.checkCertificate(cert, issuers, now); err != nil {
			return err
		}
	}
	return nil
}

func (r *revocations) checkCertificate(cert *x509.Certificate, issuers []*x509.Certificate, now time.Time) error {
	for _, list := range r.lists[string(cert.RawIssuer)] {
		if !list.signedByOneOf(issuers) {
			continue
		}
		if err := list.inForce(now); err != nil {
			return fmt.Errorf("CRL of %s in %s %w", cert.Issuer, r.file, err)
		}
		if at, revoked := list.revoked[string(cert.SerialNumber.Bytes())]; revoked {
			return fmt.Errorf("certificate of %s (serial %s) was revoked on %s by %s",
				cert.Subject, cert.SerialNumber.Text(16), at.UTC().Format(time.RFC3339), cert.Issuer)
		}
		return nil
	}
	return fmt.Errorf("no CRL of %s, the issuer of %s, in %s", cert.Issuer, cert.Subject, r.file)
}

func (l *revocationList) signedByOneOf(issuers []*x509.Certificate) bool {
	return slices.ContainsFunc(issuers, func(ca *x509.Certificate) bool {
		return slices.ContainsFunc(l.verified, ca.Equal) ||
			bytes.Equal(ca.RawSubject, l.RawIssuer) && l.CheckSignatureFrom(ca) == nil
	})
}

// inForce returns why a CRL is expired or not yet valid. Without a next update
// it counts for ever.
func (l *revocationList) inForce(now time.Time) error {
	return inTime(l.ThisUpdate, l.NextUpdate, now)
}

// newest returns the lists that would be used: the newest of each issuer.
func (r *revocations) newest() []*revocationList {
	if r == nil {
		return nil
	}
	var newest []*revocationList
	for _, lists := range r.lists {
		newest = append(newest, lists[0])
	}
	slices.SortFunc(newest, func(a, b *revocationList) int { return bytes.Compare(a.RawIssuer, b.RawIssuer) })
	return newest
}

// warnings says what the lists leave to be desired, one sentence each.
func (r *revocations) warnings(now time.Time) []string {
	if r == nil {
		return nil
	}
	var warnings []string
	for _, list := range r.newest() {
		if err := list.inForce(now); err != nil {
			warnings = append(warnings, fmt.Sprintf("CRL of %s %v: all its certificates are rejected", list.Issuer, err))
		}
	}
	for _, ca := range r.authorities {
		if len(r.lists[string(ca.RawSubject)]) == 0 {
			warnings = append(warnings, fmt.Sprintf("no CRL of %s: all its certificates are rejected", ca.Subject))
		}
	}
	return warnings
}
