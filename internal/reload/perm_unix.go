//go:build unix

package reload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openNonblock keeps the opening of a FIFO from waiting for its writer.
const openNonblock = syscall.O_NONBLOCK

func checkOwner(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("file owner is unknown")
	}
	return checkSecretMode(info.Mode(), stat.Uid, uint32(os.Geteuid()))
}

// checkSecretMode is the rule about owner and mode of a regular file.
func checkSecretMode(mode fs.FileMode, owner, current uint32) error {
	mode &= fs.ModePerm
	switch {
	case owner != 0 && owner != current:
		return fmt.Errorf("owned by user id %d: the owner must be root or the user who runs this program (chown)", owner)
	case owner == 0 && mode&0o037 != 0:
		return fmt.Errorf("permissions are %#o: a file owned by root may be group-readable but must not be accessible to others (chmod 0640 or 0600)", mode)
	case owner != 0 && mode&0o077 != 0:
		return fmt.Errorf("permissions are %#o: the file must not be accessible to group or others (chmod 0600)", mode)
	}
	return nil
}
