package targets

import "syscall"

// dieWithUs has the kernel end the child when we are gone, however we went.
func dieWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
