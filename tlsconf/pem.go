package tlsconf

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const blockCertificate = "CERTIFICATE"

var beginMark = []byte("-----BEGIN")

// pemBlocks returns all blocks of a PEM file (RFC 7468). Text between blocks
// is allowed, as bundles have it, but a block that does not decode is an error
// that gives its number, where encoding/pem would pass over it in silence: a
// file cut off in the middle must not count as a shorter list.
func pemBlocks(data []byte) ([]*pem.Block, error) {
	var blocks []*pem.Block
	for {
		block, rest := pem.Decode(data)
		passed := data[:len(data)-len(rest)]
		if block == nil {
			passed = data
		}
		marks := bytes.Count(passed, beginMark)
		switch {
		case block == nil && marks > 0, marks > 1:
			return nil, fmt.Errorf("PEM block %d is malformed or truncated", len(blocks)+1)
		case block == nil:
			return blocks, nil
		}
		blocks = append(blocks, block)
		data = rest
	}
}

// parseCertificates reads a file of certificates and nothing else. There is at
// least one. Errors name the file and the number of the block, from 1.
func parseCertificates(path string, data []byte) ([]*x509.Certificate, error) {
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s: no certificate in PEM format found", path)
	}
	certs := make([]*x509.Certificate, len(blocks))
	for i, block := range blocks {
		if block.Type != blockCertificate {
			return nil, fmt.Errorf("%s: PEM block %d is %s, not a certificate",
				path, i+1, blockName(block))
		}
		if certs[i], err = x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s: PEM block %d: %w", path, i+1, err)
		}
	}
	return certs, nil
}

// ParsePrivateKey reads a file with exactly one private key. Errors name the
// file and carry nothing of what it holds, not even the parser's own words.
func ParsePrivateKey(path string, data []byte) (crypto.Signer, error) {
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var keys []*pem.Block
	for i, block := range blocks {
		switch {
		case block.Type == "EC PARAMETERS":
			// openssl ecparam writes them before the key, which repeats them.
		case isPrivateKey(block):
			keys = append(keys, block)
		default:
			return nil, fmt.Errorf("%s: PEM block %d is %s, not a private key",
				path, i+1, blockName(block))
		}
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("%s: found %d private keys in PEM format instead of one", path, len(keys))
	}
	key, err := decodePrivateKey(keys[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

var privateKeyNames = map[string]string{
	"PRIVATE KEY":           "a private key",
	"RSA PRIVATE KEY":       "a private key",
	"EC PRIVATE KEY":        "a private key",
	"ENCRYPTED PRIVATE KEY": "an encrypted private key",
}

func isPrivateKey(block *pem.Block) bool { return privateKeyNames[block.Type] != "" }

// blockName tells a person what a block is. Only known types are named: the
// type is foreign text and does not belong in a log line.
func blockName(block *pem.Block) string {
	switch {
	case isPrivateKey(block):
		return privateKeyNames[block.Type]
	case block.Type == blockCertificate:
		return "a certificate"
	}
	return "of another type"
}

func decodePrivateKey(block *pem.Block) (crypto.Signer, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["Proc-Type"] != "" {
		return nil, errors.New("private key requires a passphrase, which is not supported")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("private key cannot be parsed")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("private key cannot be used for signing")
	}
	return signer, nil
}
