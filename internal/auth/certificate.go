package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxCertName bounds a name of a certificate, in bytes. X.520 allows a common
// name 64 characters.
const maxCertName = 4096

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// CommonName returns the common name in a certificate's subject. Several of
// them are refused, as is one that no role can have: without text, with a zero
// byte, or too long.
func CommonName(cert *x509.Certificate) (string, error) {
	subject, err := subjectOf(cert)
	if err != nil {
		return "", err
	}
	var names []string
	for _, set := range subject {
		for _, attribute := range set {
			if !attribute.Type.Equal(oidCommonName) {
				continue
			}
			name, ok := attribute.Value.(string)
			if !ok {
				return "", errors.New("the certificate's common name is not a string")
			}
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return "", errors.New("the certificate has no common name")
	case 1:
		return names[0], checkCertName(names[0])
	}
	return "", fmt.Errorf("the certificate has %d common names", len(names))
}

// DistinguishedName returns a certificate's subject as PostgreSQL writes it
// (RFC 2253): the last attribute first, and what is not ASCII as the bytes of
// its UTF-8 in hexadecimal digits.
func DistinguishedName(cert *x509.Certificate) (string, error) {
	subject, err := subjectOf(cert)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, set := range slices.Backward(subject) {
		separator := ","
		for _, attribute := range slices.Backward(set) {
			if out.Len() > 0 {
				out.WriteString(separator)
			}
			separator = "+"
			if err := appendAttribute(&out, attribute); err != nil {
				return "", err
			}
		}
	}
	if out.Len() == 0 {
		return "", errors.New("the certificate has no subject")
	}
	return out.String(), checkCertName(out.String())
}

// PublicKeyHash returns the SHA-256 of a certificate's public key
// (SubjectPublicKeyInfo) in lower-case hexadecimal digits.
func PublicKeyHash(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

func subjectOf(cert *x509.Certificate) (subject pkix.RDNSequence, err error) {
	rest, err := asn1.Unmarshal(cert.RawSubject, &subject)
	if err != nil || len(rest) > 0 {
		return nil, errors.New("the certificate's subject cannot be parsed")
	}
	return subject, nil
}

func checkCertName(name string) error {
	switch {
	case name == "":
		return errors.New("the certificate's name is empty")
	case strings.IndexByte(name, 0) >= 0:
		return errors.New("the certificate's name contains a NUL byte")
	case len(name) > maxCertName:
		return fmt.Errorf("the certificate's name is longer than %d bytes", maxCertName)
	case !utf8.ValidString(name):
		return errors.New("the certificate's name is not valid UTF-8")
	}
	return nil
}

// attributeNames are the short names that OpenSSL, and so PostgreSQL, writes.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.17": "postalCode",
	"2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.46": "dnQualifier",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
}

func appendAttribute(out *strings.Builder, attribute pkix.AttributeTypeAndValue) error {
	name, known := attributeNames[attribute.Type.String()]
	value, isText := attribute.Value.(string)
	if !known || !isText {
		return fmt.Errorf("the certificate's subject has an attribute %v, which is not supported", attribute.Type)
	}
	if err := checkCertName(value); err != nil {
		return err
	}
	out.WriteString(name + "=")
	for i := range len(value) {
		c := value[i]
		switch {
		case c < 0x20 || c >= 0x7f:
			fmt.Fprintf(out, "\\%02X", c)
			continue
		case strings.IndexByte(`,+"\<>;`, c) >= 0, i == 0 && (c == '#' || c == ' '), i == len(value)-1 && c == ' ':
			out.WriteByte('\\')
		}
		out.WriteByte(c)
	}
	return nil
}
