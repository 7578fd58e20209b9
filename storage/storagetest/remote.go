package storagetest

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/oauth2keep/oauth2keep/storage"
)

// remote is a store on the other side of a connection, where serve is at work.
type remote struct {
	mu      sync.Mutex
	encoder *gob.Encoder
	waiting map[uint64]chan response
	last    uint64 // request
	ended   error  // why there will be no more responses, nil if there will

	over chan struct{} // closed when there is nothing more to read
}

var (
	_ storage.Store  = (*remote)(nil)
	_ storage.Lister = (*remote)(nil)
	_ storage.Locker = (*remote)(nil)
)

// newRemote returns a store that ends when there is nothing more to read.
func newRemote(from io.Reader, to io.Writer) *remote {
	r := &remote{encoder: gob.NewEncoder(to), waiting: make(map[uint64]chan response), over: make(chan struct{})}
	go func() {
		defer close(r.over)
		decoder := gob.NewDecoder(from)
		for {
			var answer response
			if err := decoder.Decode(&answer); err != nil {
				r.end(fmt.Errorf("storagetest: the connection to the store has ended: %w", err))
				return
			}
			r.mu.Lock()
			c := r.waiting[answer.ID]
			delete(r.waiting, answer.ID)
			r.mu.Unlock()
			if c != nil {
				c <- answer
			}
		}
	}()
	return r
}

// err returns why there will be no more responses, or nil if there will.
func (r *remote) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

func (r *remote) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = err
	for _, c := range r.waiting {
		close(c)
	}
	clear(r.waiting)
}

// send returns a channel for the response, which is closed if there won't be one.
func (r *remote) send(q *request) (chan response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != nil {
		return nil, r.ended
	}
	r.last++
	q.ID = r.last
	c := make(chan response, 1)
	r.waiting[q.ID] = c
	if err := r.encoder.Encode(q); err != nil {
		delete(r.waiting, q.ID)
		return nil, fmt.Errorf("storagetest: can't reach the store: %w", err)
	}
	return c, nil
}

func (r *remote) call(ctx context.Context, q request) (answer response, id uint64, err error) {
	if err := ctx.Err(); err != nil {
		return answer, 0, err
	}
	c, err := r.send(&q)
	if err != nil {
		return answer, 0, err
	}
	var ok bool
	select {
	case answer, ok = <-c:
	case <-ctx.Done():
		// Whatever was done by then: the other side has the last word.
		if _, err := r.send(&request{Op: opCancel, Ref: q.ID}); err != nil {
			return answer, 0, err
		}
		answer, ok = <-c
	}
	if !ok {
		return answer, 0, r.err()
	}
	err = answer.err()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = ctx.Err()
	}
	return answer, q.ID, err
}

func (r *remote) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	answer, _, err := r.call(ctx, request{Op: opGet, Name: name})
	return answer.Value, answer.Version, err
}

func (r *remote) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	answer, _, err := r.call(ctx, request{Op: opPut, Name: name, Value: value, Version: old})
	return answer.Version, err
}

func (r *remote) Delete(ctx context.Context, name string, old storage.Version) error {
	_, _, err := r.call(ctx, request{Op: opDelete, Name: name, Version: old})
	return err
}

// Names fetches all names before it yields the first.
func (r *remote) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		answer, _, err := r.call(ctx, request{Op: opNames})
		for _, name := range answer.Names {
			if !yield(name, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func (r *remote) Lock(ctx context.Context, name string) (unlock func(), err error) {
	_, id, err := r.call(ctx, request{Op: opLock, Name: name})
	if err != nil {
		return nil, err
	}
	return func() { r.call(context.Background(), request{Op: opUnlock, Ref: id}) }, nil
}
