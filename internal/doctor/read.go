package doctor

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/tlsconf"
)

// maxFile bounds what is read of a file; longer ones are no certificates.
const maxFile = 1 << 20

// maxCRLs is the same for CRLs, of which each certificate takes 40 bytes.
const maxCRLs = 16 << 20

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

// pemBlocks returns the blocks of a PEM file.
func pemBlocks(content []byte) (list []*pem.Block) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		list = append(list, block)
	}
	return list
}

// readCertificates returns the certificates of a PEM file that parse.
func readCertificates(path string) (list []*x509.Certificate) {
	for _, block := range pemBlocks(readFile(path, maxFile)) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			list = append(list, cert)
		}
	}
	return list
}

// readKey returns the private key of a PEM file, or nil.
func readKey(path string) crypto.Signer {
	key, _ := tlsconf.ParsePrivateKey(path, readFile(path, maxFile))
	return key
}

// readCRLs returns the lists of a file of CRLs, in PEM or one in DER, that
// parse.
func readCRLs(path string) (lists []*x509.RevocationList) {
	content := readFile(path, maxCRLs)
	if list, err := x509.ParseRevocationList(content); err == nil {
		return []*x509.RevocationList{list}
	}
	for _, block := range pemBlocks(content) {
		if list, err := x509.ParseRevocationList(block.Bytes); err == nil && block.Type == "X509 CRL" {
			lists = append(lists, list)
		}
	}
	return lists
}

// readAccess reads access rules and user name maps as pgseal does.
func (e *exam) readAccess() {
	store, err := reload.NewTreeStore(subjectAccess, func(files *reload.Reader) (*login.Access, error) {
		return login.ParseAccess(files, e.file.Path(), e.file.Auth)
	})
	if err == nil {
		e.access, e.ruleFiles = store.Load(), store.Files()
		return
	}
	e.accessErr = err
	for _, path := range []string{e.file.Auth.HBAFile, e.file.Auth.IdentFile} {
		if path != "" {
			e.ruleFiles = append(e.ruleFiles, path)
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
	if _, err := reload.ReadSecretFile(path); err != nil {
		e.usersErr = err
		return
	}
	e.usersErr = auth.CheckUsers(path, content)
}
