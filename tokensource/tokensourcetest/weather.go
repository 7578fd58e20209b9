package tokensourcetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// weather is what happens between a process and its store.
type weather struct {
	storage.Store
	latency map[string]time.Duration // of each call, by the record's name
	slots   chan struct{}            // one for each call that may be under way; nil: any number
	locks   bool                     // the store's Lock isn't hidden

	mu    sync.Mutex // guards what follows
	until time.Time  // every call hangs
}

// hang has every call that is under way, or begins, hang for so long, and then succeed.
func (w *weather) hang(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = time.Now().Add(d)
}

// pass takes as long as a request to the store, or its answer.
func (w *weather) pass(name string) {
	for wait := max(w.latency[name]/2, 1); wait > 0; {
		time.Sleep(wait)
		w.mu.Lock()
		wait = time.Until(w.until)
		w.mu.Unlock()
	}
}

// answer is what a store's method returns.
type answer struct {
	value []byte
	v     storage.Version
	err   error
}

// call does something with the store. If ctx ends meanwhile, it is done all the same: the
// request is on its way.
func (w *weather) call(ctx context.Context, name string, do func(context.Context) answer) answer {
	if w.slots != nil {
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return answer{err: err}
	}
	answers := make(chan answer, 1)
	go func() {
		w.pass(name)
		a := do(context.WithoutCancel(ctx))
		w.pass(name)
		if w.slots != nil {
			<-w.slots
		}
		answers <- a
	}()
	select {
	case a := <-answers:
		return a
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	}
}

func (w *weather) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	a := w.call(ctx, name, func(ctx context.Context) (a answer) {
		a.value, a.v, a.err = w.Store.Get(ctx, name)
		return a
	})
	return a.value, a.v, a.err
}

func (w *weather) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	a := w.call(ctx, name, func(ctx context.Context) (a answer) {
		a.v, a.err = w.Store.Put(ctx, name, value, old)
		return a
	})
	return a.v, a.err
}

func (w *weather) Delete(ctx context.Context, name string, old storage.Version) error {
	return w.call(ctx, name, func(ctx context.Context) answer { return answer{err: w.Store.Delete(ctx, name, old)} }).err
}

func (w *weather) Lock(ctx context.Context, name string) (unlock func(), err error) {
	if l, ok := w.Store.(storage.Locker); ok && w.locks {
		return l.Lock(ctx, name)
	}
	return nil, errors.ErrUnsupported
}
