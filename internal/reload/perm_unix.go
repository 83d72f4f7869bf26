//go:build unix

package reload

import (
	"errors"
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
