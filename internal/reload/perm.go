package reload

import (
	"errors"
	"fmt"
	"io/fs"
)

// CheckSecretFile returns an error unless a file is fit to hold a private key
// or passwords. The rule is libpq's and PostgreSQL's for key files: it is a
// regular file, owned by the current user and closed to all others (0600), or
// owned by root and at most readable for its group (0640), which is how a
// system's key store or Kubernetes hands a key to a service. info must come
// from Stat on the open file, so that it is the one that is read. The error
// does not name the file. Where files have no Unix owner only the first part
// is checked.
func CheckSecretFile(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errNotRegular
	}
	return checkOwner(info)
}

// fileError says of which file an error is, once: those of the system name it
// themselves.
func fileError(path string, err error) error {
	if named, ok := errors.AsType[*fs.PathError](err); ok && named.Path == path {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
