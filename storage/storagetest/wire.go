package storagetest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"

	"github.com/oauth2keep/oauth2keep/storage"
)

// The protocol by which one process uses a store in another: for each call there is a
// connection, with a request and a response. Each is a list of strings, with its length and
// theirs in front of them as varints.

type request struct {
	Method  string
	Name    string
	Value   []byte
	Version storage.Version
}

func (q request) send(w io.Writer) error {
	return send(w, q.Method, q.Name, string(q.Value), string(q.Version))
}

func (q *request) receive(r io.Reader) error {
	fields, err := receive(r, 4)
	if err == nil {
		*q = request{fields[0], fields[1], []byte(fields[2]), storage.Version(fields[3])}
	}
	return err
}

type response struct {
	Value   []byte
	Version storage.Version
	Error   string // "" if there is none
	Kind    int    // the error's index in kinds, or -1
	Names   []string
}

func (r response) send(w io.Writer) error {
	return send(w, append([]string{string(r.Value), string(r.Version), r.Error, strconv.Itoa(r.Kind)}, r.Names...)...)
}

func (r *response) receive(from io.Reader) error {
	fields, err := receive(from, 4)
	if err != nil {
		return err
	}
	*r = response{[]byte(fields[0]), storage.Version(fields[1]), fields[2], 0, fields[4:]}
	r.Kind, err = strconv.Atoi(fields[3])
	return err
}

func send(w io.Writer, fields ...string) error {
	b := binary.AppendUvarint(nil, uint64(len(fields)))
	for _, f := range fields {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	_, err := w.Write(b)
	return err
}

// receive returns what was sent, if that is at least so many fields.
func receive(r io.Reader, least uint64) ([]string, error) {
	in := bufio.NewReader(r)
	n, err := binary.ReadUvarint(in)
	if err == nil && n < least {
		err = io.ErrUnexpectedEOF
	}
	var fields []string
	for ; err == nil && n > 0; n-- {
		var length uint64
		if length, err = binary.ReadUvarint(in); err == nil {
			field := make([]byte, length)
			_, err = io.ReadFull(in, field)
			fields = append(fields, string(field))
		}
	}
	return fields, err
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
	if q.receive(conn) != nil {
		return
	}
	go func() {
		io.Copy(io.Discard, conn)
		cancel()
	}()
	var answer response
	unlock, err := do(ctx, s, q, &answer)
	answer.fail(err)
	answer.send(conn) // nobody is there to be told of an error
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
