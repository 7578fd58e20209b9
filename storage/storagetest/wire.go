package storagetest

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/oauth2keep/oauth2keep/storage"
)

// The protocol by which one process uses a store in another: for each call there is a
// connection, with a request and a response, encoded by gob.

type request struct {
	Method  string
	Name    string
	Value   []byte
	Version storage.Version
}

type response struct {
	Value   []byte
	Version storage.Version
	Names   []string
	Error   string // "" if there is none
	Kind    int    // the error's index in kinds, or -1
}

// kinds are the errors that are still themselves on the other side.
var kinds = []error{storage.ErrNotFound, storage.ErrConflict, storage.ErrOpen, errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded}

func (r *response) fail(err error) {
	if err != nil {
		r.Error = err.Error()
		r.Kind = slices.IndexFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
	}
}

func (r *response) err() error {
	switch {
	case r.Error == "":
		return nil
	case r.Kind < 0:
		return errors.New(r.Error)
	}
	kind := kinds[r.Kind]
	if r.Error == kind.Error() {
		return kind
	}
	return fmt.Errorf("%s (%w)", r.Error, kind)
}

// serve does with a store what each connection asks for, until the listener is closed.
func serve(s storage.Store, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go serveConn(s, conn)
	}
}

// serveConn does one request. It is canceled, or what was locked is unlocked, when the
// other side has no more to say.
func serveConn(s storage.Store, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var q request
	if gob.NewDecoder(conn).Decode(&q) != nil {
		return
	}
	go func() {
		io.Copy(io.Discard, conn)
		cancel()
	}()
	var answer response
	unlock, err := do(ctx, s, q, &answer)
	answer.fail(err)
	gob.NewEncoder(conn).Encode(answer) // nobody is there to be told of an error
	if unlock != nil {
		<-ctx.Done()
		unlock()
	}
}

func do(ctx context.Context, s storage.Store, q request, answer *response) (unlock func(), err error) {
	switch q.Method {
	case "Get":
		answer.Value, answer.Version, err = s.Get(ctx, q.Name)
	case "Put":
		answer.Version, err = s.Put(ctx, q.Name, q.Value, q.Version)
	case "Delete":
		err = s.Delete(ctx, q.Name, q.Version)
	case "Names":
		lister, ok := s.(storage.Lister)
		if !ok {
			return nil, errors.ErrUnsupported
		}
		for name, err := range lister.Names(ctx) {
			if err != nil {
				return nil, err
			}
			answer.Names = append(answer.Names, name)
		}
	case "Lock":
		locker, ok := s.(storage.Locker)
		if !ok {
			return nil, errors.ErrUnsupported
		}
		return locker.Lock(ctx, q.Name)
	}
	return nil, err
}
