//go:build !linux

package integration

import "syscall"

func dieWithUs() *syscall.SysProcAttr { return nil }
