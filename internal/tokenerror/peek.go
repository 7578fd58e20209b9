package tokenerror

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Peek returns the first bytes of a response's body, at most limit of them, and
// leaves the body so that it can be read from its start. It waits no longer than
// patience: a server that doesn't get to the end of an error would otherwise hold
// its client up. What it returns then is nothing, and who reads the body gets what
// has come so far at once, as of a stream.
func Peek(resp *http.Response, limit int, patience time.Duration) []byte {
	if resp.Body == nil {
		return nil
	}
	p := &peeked{body: resp.Body, read: make(chan struct{})}
	p.more.L = &p.mu
	resp.Body = p
	go p.fill(limit)
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
	read chan struct{} // closed when all of head is there

	mu   sync.Mutex
	more sync.Cond // there is more of head, or done
	head []byte
	at   int   // what of head was read again
	done bool  // head is complete
	err  error // that reading head has ended with
}

// fill reads head, up to limit bytes.
func (p *peeked) fill(limit int) {
	defer p.end()
	buf := make([]byte, min(limit, 4<<10))
	for n, done := 0, false; !done; {
		read, err := p.body.Read(buf[:min(limit-n, len(buf))])
		n += read
		done = err != nil || n >= limit
		p.mu.Lock()
		p.head, p.done, p.err = append(p.head, buf[:read]...), done, err
		p.more.Broadcast()
		p.mu.Unlock()
	}
}

// end, deferred, ends fill. The body is one of a program's own, perhaps: if it panics or calls
// Goexit, that is an error for who reads it, and doesn't end the process or keep anyone waiting.
func (p *peeked) end() {
	err := errors.New("the body called runtime.Goexit")
	if r := recover(); r != nil {
		err = fmt.Errorf("the body caused a panic with a %T", r) // whose value could hold a secret
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.done, p.err = true, err
		p.more.Broadcast()
	}
	close(p.read)
}

func (p *peeked) Read(b []byte) (int, error) {
	p.mu.Lock()
	for p.at == len(p.head) && !p.done && len(b) > 0 {
		p.more.Wait()
	}
	if p.at < len(p.head) || !p.done {
		n := copy(b, p.head[p.at:])
		p.at += n
		p.mu.Unlock()
		return n, nil
	}
	err := p.err
	p.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return p.body.Read(b)
}

// Close closes the body, which ends a read that still goes on.
func (p *peeked) Close() error { return p.body.Close() }
