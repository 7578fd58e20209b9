package redisstore_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fate is what a proxy does to a write.
type fate int

const (
	pass         fate = iota
	loseRequest       // cut the connection instead of forwarding it
	loseAnswer        // let the server do it, and cut the connection instead of forwarding the answer
	delay             // forward it when goOn is called, and lose the answer
	inventAnswer      // let the server do it, and answer with an error of the proxy's own
)

// proxy is between a client and a server, on TCP.
type proxy struct {
	addr   string
	server string

	mu     sync.Mutex
	decide func() fate // of each command that is a script with a new head, nil: pass
	gate   chan struct{}

	delayed, answered chan struct{} // of what is delayed
}

func newProxy(t testing.TB, server string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: l.Addr().String(), server: server, delayed: make(chan struct{}), answered: make(chan struct{})}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

// set says what becomes of writes from now on.
func (p *proxy) set(decide func() fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = decide
}

// next says what becomes of the next writes, one by one; those after them pass.
func (p *proxy) next(fates ...fate) {
	p.set(func() fate {
		if len(fates) == 0 {
			return pass
		}
		f := fates[0]
		fates = fates[1:]
		return f
	})
}

// stall forwards nothing more until release is called.
func (p *proxy) stall() (release func()) {
	gate := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = gate
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.gate = nil
		close(gate)
	})
}

// goOn forwards what is delayed, and waits until the server has answered.
func (p *proxy) goOn() {
	p.delayed <- struct{}{}
	<-p.answered
}

func (p *proxy) fate(request []byte) fate {
	p.mu.Lock()
	gate := p.gate
	f := pass
	// A write is a script with three more arguments, *7 in Redis's protocol.
	if p.decide != nil && bytes.Contains(request, []byte("*7\r\n$4\r\neval\r\n")) {
		f = p.decide()
	}
	p.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return f
}

// serve forwards requests one at a time: clients that wait for each answer are all
// that it can do.
func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer s.Close()
	answered := make(chan struct{}, 1)
	var lose sync.Mutex
	losing := false
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, err := s.Read(b)
			lose.Lock()
			lost := losing
			lose.Unlock()
			if lost || err != nil {
				select {
				case answered <- struct{}{}:
				default:
				}
				if !lost {
					c.Close()
				}
				return
			}
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		f := p.fate(b[:n])
		if f == loseRequest {
			return
		}
		if f == delay {
			<-p.delayed
		}
		if f == loseAnswer || f == inventAnswer || f == delay {
			lose.Lock()
			losing = true
			lose.Unlock()
		}
		if _, err := s.Write(b[:n]); err != nil {
			return
		}
		if f == loseAnswer || f == inventAnswer || f == delay {
			select {
			case <-answered:
			case <-time.After(5 * time.Second):
			}
			if f == delay {
				p.answered <- struct{}{}
			}
			if f == inventAnswer {
				c.Write([]byte("-ERR upstream failure\r\n"))
			}
			return
		}
	}
}
