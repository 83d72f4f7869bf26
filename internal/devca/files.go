package devca

import (
	"errors"
	"os"
	"path/filepath"
)

// writePair writes both files beside their targets first and renames them
// last, the key before the certificate, so that the time in which they do not
// match is two renames long.
func writePair(certFile string, cert []byte, keyFile string, key []byte) error {
	newKey, err := writeBeside(keyFile, key, 0o600)
	if err != nil {
		return err
	}
	newCert, err := writeBeside(certFile, cert, 0o644)
	if err != nil {
		return errors.Join(err, os.Remove(newKey))
	}
	if err := os.Rename(newKey, keyFile); err != nil {
		return errors.Join(err, os.Remove(newKey), os.Remove(newCert))
	}
	if err := os.Rename(newCert, certFile); err != nil {
		return errors.Join(err, os.Remove(newCert))
	}
	return nil
}

// writeBeside writes data to a new file in target's directory, flushed to
// disk, and returns its name. It leaves nothing behind when it fails.
func writeBeside(target string, data []byte, mode os.FileMode) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}
