package reload

import (
	"errors"
	"strings"
)

// maxSecretSize bounds what ReadSecretFile reads, in bytes: users files are the largest.
const maxSecretSize = 64 << 20

// ReadSecretFile reads a file that passes [CheckSecretFile] and is no longer
// than 64 MiB; it may be empty. The error names the path. What it returns is
// the caller's.
func ReadSecretFile(path string) ([]byte, error) {
	content, _, err := readFile(File{Path: path, Secret: true, Max: maxSecretSize})
	if errors.Is(err, errEmpty) {
		err = nil
	}
	return content, err
}

// ReadPassword returns the password in a file that [ReadSecretFile] reads,
// without the line end behind it. It is empty if path is.
func ReadPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	secret, err := ReadSecretFile(path)
	return strings.TrimRight(string(secret), "\r\n"), err
}
