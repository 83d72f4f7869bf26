//go:build !linux

package pgcluster

import "syscall"

// dieWithUs does nothing: only Linux can tie a child's life to ours.
func dieWithUs(*syscall.SysProcAttr) {}
