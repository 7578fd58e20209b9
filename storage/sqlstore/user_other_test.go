//go:build !linux

package sqlstore_test

import "os/exec"

func asUser(_, path string, args ...string) *exec.Cmd { return exec.Command(path, args...) }

func dieWithThread(*exec.Cmd) {}
