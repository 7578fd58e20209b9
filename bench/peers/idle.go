package main

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"golang.org/x/oauth2"
)

const idleRow = "idle connection"

// measureIdle measures how much heap a connection takes that holds a valid token, less
// what the bare token takes.
func (w *world) measureIdle(n int) ([]line, error) {
	k, err := w.keeper()
	if err != nil {
		return nil, err
	}
	bare, err := heapOf(n, func(t *oauth2.Token) (any, error) { return t, nil })
	if err != nil {
		return nil, err
	}
	lines := []line{{row: idleRow, library: "the bare token", figure: fmt.Sprintf("%.0f B", bare)}}
	measure := func(library string, hold func(*oauth2.Token) (any, error)) error {
		heap, err := heapOf(n, hold)
		if err != nil {
			return fmt.Errorf("%s: %w", library, err)
		}
		lines = append(lines, line{row: idleRow + ", over its token", library: library, figure: fmt.Sprintf("%.0f B", heap-bare)})
		return nil
	}
	if err := measure(ours, k.idle()); err != nil {
		return nil, err
	}
	for _, c := range caches {
		if err := measure(c.library, w.idle(c.library, c.cache)); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// idle returns what makes another library's cache that has its token.
func (w *world) idle(library string, c cache) func(*oauth2.Token) (any, error) {
	if library == xoauth2 {
		return func(t *oauth2.Token) (any, error) { return w.oauth.TokenSource(w.ctx, t), nil }
	}
	return func(t *oauth2.Token) (any, error) {
		held, get := c(func() (*oauth2.Token, error) { return t, nil })
		_, err := get()
		return held, err
	}
}

// heapOf returns the bytes of heap, without garbage, that each of n values takes.
func heapOf(n int, hold func(*oauth2.Token) (any, error)) (float64, error) {
	held := make([]any, n)
	before := heap()
	for i := range held {
		var err error
		if held[i], err = hold(newToken(current, 24*time.Hour)); err != nil {
			return 0, err
		}
	}
	after := heap()
	runtime.KeepAlive(held)
	return (float64(after) - float64(before)) / float64(n), nil
}

// heap returns the bytes of heap in use, when what was let go before is gone: cleanups
// run between collections, and let more go.
func heap() uint64 {
	for last := uint64(math.MaxUint64); ; time.Sleep(20 * time.Millisecond) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc+4096 > last {
			return m.HeapAlloc
		}
		last = m.HeapAlloc
	}
}
