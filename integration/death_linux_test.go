package integration

import "syscall"

// dieWithUs has the kernel end a child when the thread that started it is
// gone, so that a test binary that is killed leaves nothing behind.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
