package testserver

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the process of cmd killed when this one ends in whatever way.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
