//go:build !linux

package targets

import "syscall"

// dieWithUs has no means here: only an orderly end stops the child.
func dieWithUs(*syscall.SysProcAttr) {}
