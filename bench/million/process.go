package main

import "os/exec"

// launch starts a process that ends with this one, in whatever way this one ends.
func launch(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	ended, started := make(chan struct{}), make(chan error)
	go func() {
		defer close(ended)
		dieWithThread(cmd) // and so this goroutine keeps its thread
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // cmd.ProcessState tells
		}
	}()
	return ended, <-started
}
