package httpauth

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"
)

// Peek returns the first bytes of a response's body, at most limit of them, and
// leaves the body so that it can be read from its start. It waits no longer than
// patience: a server that doesn't get to the end of an error would otherwise hold
// its client up. What it returns then is nothing.
func Peek(resp *http.Response, limit int, patience time.Duration) []byte {
	if resp.Body == nil {
		return nil
	}
	p := &peeked{body: resp.Body, read: make(chan struct{})}
	resp.Body = p
	go func() {
		defer close(p.read)
		p.head, p.err = io.ReadAll(io.LimitReader(p.body, int64(limit)))
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.read:
		return p.head
	case <-timer.C:
		return nil
	}
}

// peeked is a body of which a part was read, or is being read.
type peeked struct {
	body io.ReadCloser
	read chan struct{} // closed when head and err are there
	head []byte
	err  error // that reading head has ended with; nil at its end

	once sync.Once
	rest io.Reader
}

func (p *peeked) Read(b []byte) (int, error) {
	<-p.read
	p.once.Do(func() {
		var after io.Reader = p.body
		if p.err != nil {
			after = failing{p.err}
		}
		p.rest = io.MultiReader(bytes.NewReader(p.head), after)
	})
	return p.rest.Read(b)
}

// Close closes the body, which ends a read that still goes on.
func (p *peeked) Close() error { return p.body.Close() }

// failing is what is left of a body that couldn't be read to its end.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
