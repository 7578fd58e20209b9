package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"sync"

	"github.com/oauth2keep/oauth2keep/storage"
)

// remote is a store that serve serves at a TCP address.
type remote struct {
	addr  string
	calls sync.RWMutex // held by each call as a reader
	held  sync.Map     // connections of locks, which must not be collected with an unlock that nobody keeps
}

var (
	_ storage.Store  = (*remote)(nil)
	_ storage.Lister = (*remote)(nil)
	_ storage.Locker = (*remote)(nil)
)

// call makes a request. When the context is done it tells the other side, which has the
// last word: whatever was done by then.
func (r *remote) call(ctx context.Context, q request) (response, error) {
	answer, conn, err := r.begin(ctx, q)
	if conn != nil {
		conn.Close()
	}
	return answer, err
}

// begin is a call whose connection stays, if there is one.
func (r *remote) begin(ctx context.Context, q request) (answer response, conn *net.TCPConn, err error) {
	r.calls.RLock()
	defer r.calls.RUnlock()
	if err := ctx.Err(); err != nil {
		return answer, nil, err
	}
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		return answer, nil, fmt.Errorf("storagetest: can't reach the store: %w", err)
	}
	conn = c.(*net.TCPConn)
	conn.SetLinger(0) // a port that waits after each call would soon be the last
	stop := context.AfterFunc(ctx, func() { conn.CloseWrite() })
	defer stop()
	if err = q.send(conn); err == nil {
		err = answer.receive(conn)
	}
	if err != nil {
		return answer, conn, fmt.Errorf("storagetest: the connection to the store has ended: %w", err)
	}
	err = answer.err()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = ctx.Err()
	}
	return answer, conn, err
}

func (r *remote) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	answer, err := r.call(ctx, request{Method: "Get", Name: name})
	return answer.Value, answer.Version, err
}

func (r *remote) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	answer, err := r.call(ctx, request{Method: "Put", Name: name, Value: value, Version: old})
	return answer.Version, err
}

func (r *remote) Delete(ctx context.Context, name string, old storage.Version) error {
	_, err := r.call(ctx, request{Method: "Delete", Name: name, Version: old})
	return err
}

// Names fetches all names before it yields the first.
func (r *remote) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		answer, err := r.call(ctx, request{Method: "Names"})
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

// Lock has a lock until it tells the other side that the connection ends, which then
// unlocks it and ends the connection too.
func (r *remote) Lock(ctx context.Context, name string) (unlock func(), err error) {
	_, conn, err := r.begin(ctx, request{Method: "Lock", Name: name})
	if err == nil {
		err = ctx.Err() // which may have told the other side already
	}
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return nil, err
	}
	r.held.Store(conn, true)
	return sync.OnceFunc(func() {
		r.held.Delete(conn)
		conn.CloseWrite()
		io.Copy(io.Discard, conn)
		conn.Close()
	}), nil
}
