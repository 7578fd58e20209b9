// Package filelock locks files against other processes, by locks that end with
// their process, however it ends.
//
// A lock belongs to an open file: two that were opened by one name exclude each
// other, in one process too, and closing one doesn't drop the lock of another. A
// process that is stopped, as by SIGSTOP, keeps its locks.
package filelock

import (
	"context"
	"math/rand/v2"
	"os"
	"time"
)

// Wait locks f, or returns the error of ctx when that is done. Between two looks at
// a file that is locked, it waits for longest at most: a blocked flock couldn't be
// called off.
func Wait(ctx context.Context, f *os.File, longest time.Duration) error {
	for pause := longest / 16; ; pause = min(2*pause, longest) {
		if err := ctx.Err(); err != nil {
			return err
		}
		ok, err := Try(f)
		if ok || err != nil {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}
