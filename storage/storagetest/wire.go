package storagetest

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/oauth2keep/oauth2keep/storage"
)

// The protocol by which one process uses a store in another: requests, each of which
// has one response, in any order.

type operation int

const (
	opGet operation = iota
	opPut
	opDelete
	opNames
	opLock
	opUnlock // of the Lock that Ref was
	opCancel // the request that Ref was
)

type request struct {
	ID, Ref uint64
	Op      operation
	Name    string
	Value   []byte
	Version storage.Version
}

type response struct {
	ID      uint64
	Value   []byte
	Version storage.Version
	Names   []string
	Failed  bool
	Error   string
	Kind    int // the error's index in kinds, plus one
}

// kinds are the errors that are still themselves on the other side.
var kinds = []error{storage.ErrNotFound, storage.ErrConflict, storage.ErrOpen, errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded}

func (r *response) fail(err error) {
	if err == nil {
		return
	}
	r.Failed, r.Error = true, err.Error()
	for i, kind := range kinds {
		if errors.Is(err, kind) {
			r.Kind = i + 1
		}
	}
}

func (r *response) err() error {
	switch {
	case !r.Failed:
		return nil
	case r.Kind == 0:
		return errors.New(r.Error)
	}
	kind := kinds[r.Kind-1]
	if r.Error == kind.Error() {
		return kind
	}
	return fmt.Errorf("%s (%w)", r.Error, kind)
}

// serve does what it reads with a store, until there is nothing more to read.
func serve(s storage.Store, from io.Reader, to io.Writer) error {
	all, stop := context.WithCancel(context.Background())
	defer stop()
	var mu sync.Mutex // guards what is below, and the encoder
	cancels := make(map[uint64]context.CancelFunc)
	unlocks := make(map[uint64]func())
	encoder := gob.NewEncoder(to)

	decoder := gob.NewDecoder(from)
	for {
		var q request
		if err := decoder.Decode(&q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		mu.Lock()
		if cancel := cancels[q.Ref]; q.Op == opCancel && cancel != nil {
			cancel()
		}
		ctx, cancel := context.WithCancel(all)
		cancels[q.ID] = cancel
		mu.Unlock()
		if q.Op == opCancel {
			cancel()
			continue
		}
		go func() {
			r := response{ID: q.ID}
			switch q.Op {
			case opUnlock:
				mu.Lock()
				unlock := unlocks[q.Ref]
				mu.Unlock()
				unlock()
			case opLock:
				locker, ok := s.(storage.Locker)
				if !ok {
					r.fail(errors.ErrUnsupported)
					break
				}
				unlock, err := locker.Lock(ctx, q.Name)
				r.fail(err)
				mu.Lock()
				unlocks[q.ID] = unlock
				mu.Unlock()
			default:
				do(ctx, s, q, &r)
			}
			mu.Lock()
			defer mu.Unlock()
			cancel()
			delete(cancels, q.ID)
			encoder.Encode(r) // nobody is there to be told of an error
		}()
	}
}

func do(ctx context.Context, s storage.Store, q request, r *response) {
	var err error
	switch q.Op {
	case opGet:
		r.Value, r.Version, err = s.Get(ctx, q.Name)
	case opPut:
		r.Version, err = s.Put(ctx, q.Name, q.Value, q.Version)
	case opDelete:
		err = s.Delete(ctx, q.Name, q.Version)
	case opNames:
		lister, ok := s.(storage.Lister)
		if !ok {
			err = errors.ErrUnsupported
			break
		}
		for name, nameErr := range lister.Names(ctx) {
			if err = nameErr; err == nil {
				r.Names = append(r.Names, name)
			}
		}
	}
	r.fail(err)
}
