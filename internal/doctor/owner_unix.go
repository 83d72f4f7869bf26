//go:build unix

package doctor

import (
	"io/fs"
	"os"
	"syscall"
)

func groupOfRoot(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Gid == 0
}

// foreign reports whether a file's owner is neither root nor we.
func foreign(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid != 0 && stat.Uid != uint32(os.Geteuid())
}
