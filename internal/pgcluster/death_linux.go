package pgcluster

import "syscall"

// dieWithUs has the kernel stop the child when the thread that started it
// ends, so that a killed test run leaves no server behind.
func dieWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = signalFast }
