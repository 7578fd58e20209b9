package loopback

import (
	"context"
	"time"
)

const (
	// fallbackTimeout is how long a prompt waits for the codes of a device in place of a
	// browser.
	fallbackTimeout = 10 * time.Second

	// cancelTimeout is how long a request whose context is done is waited for. A Config may
	// not look at it.
	cancelTimeout = 100 * time.Millisecond
)

// fallback is the request for the codes of a device where a browser can't be opened. The
// zero value is none.
type fallback struct {
	answer chan answer   // gets one
	ended  chan struct{} // is closed after that
	cancel context.CancelFunc
}

// answer is what has become of a fallback: a device, or none.
type answer struct {
	device   *device
	panicked any // by Config
}

// codes returns the device, which has codes, or nil.
func (a answer) codes() *device {
	if a.panicked != nil {
		panic(a.panicked)
	}
	return a.device
}

// begin makes the request.
func (f *fallback) begin(ctx context.Context, l *Login) {
	ctx, f.cancel = context.WithTimeout(ctx, fallbackTimeout)
	f.answer, f.ended = make(chan answer, 1), make(chan struct{})
	go func() {
		defer close(f.ended)
		var a answer
		defer func() {
			a.panicked = recover()
			f.answer <- a
		}()
		if d, err := l.newDevice(ctx); err == nil {
			a.device = d
		}
	}()
}

// begun tells whether there is a request.
func (f *fallback) begun() bool { return f.cancel != nil }

// end cancels the request, and waits for its end, for a while.
func (f *fallback) end() {
	if !f.begun() {
		return
	}
	f.cancel()
	late := time.NewTimer(cancelTimeout)
	defer late.Stop()
	select {
	case <-f.ended:
	case <-late.C:
	}
}
