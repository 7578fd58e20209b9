package sqlstore_test

import (
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

// asUser returns a command that runs as a user, if one is named.
func asUser(name, path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	if name == "" {
		return cmd
	}
	u, err := user.Lookup(name)
	if err != nil {
		return cmd
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// dieWithThread has the process of cmd killed when the thread that starts it ends:
// at the latest, with this process. It binds the calling goroutine to its thread.
func dieWithThread(cmd *exec.Cmd) {
	runtime.LockOSThread()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
