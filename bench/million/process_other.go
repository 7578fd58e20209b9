//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"os/user"
	"time"
)

func setUser(*exec.Cmd, *user.User) error {
	return errors.New("PostgreSQL doesn't run as root: run this as another user")
}

func dieWithThread(*exec.Cmd) {}

// These two aren't known here.

func processorTime() time.Duration { return 0 }

func peakMemory() uint64 { return 0 }
