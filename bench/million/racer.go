package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

// racer is a child, as its parent sees it.
type racer struct {
	step
	task   task
	in     *json.Encoder
	out    *json.Decoder
	stdin  io.Closer
	stdout *io.PipeReader
	exited <-chan struct{}
	result result
	ended  bool
}

func start(ctx context.Context, s step, t task) (*racer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Not StdoutPipe, which Wait closes, perhaps before all was read.
	stdout, w := io.Pipe()
	cmd.Stdout = w
	r := &racer{step: s, task: t, in: json.NewEncoder(stdin), out: json.NewDecoder(stdout), stdin: stdin, stdout: stdout}
	if r.exited, err = launch(cmd); err != nil {
		return nil, err
	}
	go func() {
		<-r.exited
		w.Close()
	}()
	return r, r.in.Encode(t)
}

// turn lets the child do a part of its work.
func (r *racer) turn() error {
	sent := r.in.Encode(len(r.result.Turns))
	var a answer
	err := r.out.Decode(&a) // also if it wasn't sent: a child that failed says why, and ends
	if err != nil && sent != nil {
		err = sent
	}
	turns := append(r.result.Turns, a.Turn)
	if err == nil && a.Result != nil {
		r.result, r.ended = *a.Result, true
		if r.result.Err != "" {
			err = errors.New(r.result.Err)
		}
	}
	r.result.Turns = turns
	if err != nil {
		return fmt.Errorf("%s, %s: %w", r.phase, r.side, err)
	}
	return nil
}

// stop ends a child that hasn't ended, and waits until it has.
func (r *racer) stop() {
	r.stdin.Close()
	r.stdout.Close() // else one that still writes would wait for its reader
	<-r.exited
}

// race lets the racers take turns, each time another one first, until all are at their
// end.
func race(racers []*racer) error {
	left := slices.Clone(racers)
	for len(left) > 0 {
		for _, r := range left {
			if err := r.turn(); err != nil {
				return err
			}
		}
		left = slices.DeleteFunc(left, func(r *racer) bool { return r.ended })
		if len(left) > 1 {
			left = append(left[1:], left[0])
		}
	}
	return nil
}
