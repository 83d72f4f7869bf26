package doctor

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"

	"github.com/pgseal/pgseal/internal/auth"
)

// maxFile bounds what is read of a file; longer ones are no certificates.
const maxFile = 1 << 20

// readFile returns what a regular file holds, or nil. Why it can't be read is
// told by the check that loads it as pgseal does.
func readFile(path string, limit int64) []byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > limit {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return content
}

// readCertificates returns the certificates of a PEM file that parse.
func readCertificates(path string) []*x509.Certificate {
	var list []*x509.Certificate
	for rest := readFile(path, maxFile); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return list
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			list = append(list, cert)
		}
	}
}

// readKey returns the private key of a PEM file, or nil.
func readKey(path string) crypto.Signer {
	for rest := readFile(path, maxFile); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil
		}
		var key any
		switch block.Type {
		case "RSA PRIVATE KEY":
			key, _ = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, _ = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, _ = x509.ParsePKCS8PrivateKey(block.Bytes)
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer
		}
	}
}

// readUsers looks at the users file as pgseal does, and at its lines.
func (e *exam) readUsers() {
	path := e.file.Auth.UsersFile
	if path == "" {
		return
	}
	content := readFile(path, 64<<20)
	e.users = auth.SurveyUsers(content)
	if _, err := auth.ReadSecretFile(path); err != nil {
		e.usersErr = err
		return
	}
	_, e.usersErr = auth.ParseUsers(path, content)
}
