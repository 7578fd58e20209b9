package storagetest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a store and its server, on TCP, so that tests can cut and stall
// their connections.
type Proxy struct {
	listener net.Listener
	server   string

	mu      sync.Mutex
	conns   []*net.TCPConn // both ends of each connection
	up      int            // bytes that may still go to the server; negative: all
	down    int            // writes that may still go to the store; negative: all
	short   int            // how many connections were cut
	stalled chan struct{}  // if not nil, nothing goes anywhere until it is closed
}

// NewProxy returns a Proxy for the server at a TCP address. It ends with the test.
func NewProxy(t testing.TB, server string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, server: server, up: -1, down: -1}
	t.Cleanup(func() {
		l.Close()
		p.Cut()
	})
	go p.accept()
	return p
}

// Addr returns the address by which the store reaches the server.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut closes all connections. New ones may be made at once.
func (p *Proxy) Cut() { p.cut(false) }

// CutAfter cuts all connections once, after so many more bytes to the server, or after
// so many answers and instead of the next. Negative numbers mean never.
func (p *Proxy) CutAfter(bytes, answers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = bytes, answers
}

// Stall holds everything back, in both directions, until resume is called.
func (p *Proxy) Stall() (resume func()) {
	c := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = c
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stalled = nil
		close(c)
	})
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client.(*net.TCPConn), server.(*net.TCPConn))
		p.mu.Unlock()
		end := func() { client.Close(); server.Close() }
		go p.forward(server, client, p.mayGoUp, end)
		go p.forward(client, server, p.mayGoDown, end)
	}
}

// cut closes all connections, if asked for as if the other side had crashed.
func (p *Proxy) cut(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.short += len(p.conns) / 2
	for _, c := range p.conns {
		if reset {
			c.SetLinger(0)
		}
		c.Close()
	}
	p.conns = nil
}

func (p *Proxy) cutShort() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.short
}

func (p *Proxy) mayGoUp(n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up < 0 {
		return n, true
	}
	n = min(n, p.up)
	p.up -= n
	return n, p.up > 0
}

func (p *Proxy) mayGoDown(n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down < 0 {
		return n, true
	}
	if p.down == 0 {
		return 0, false
	}
	p.down--
	return n, true
}

// forward copies until may says how much of what was read is the last to go.
func (p *Proxy) forward(to io.Writer, from io.Reader, may func(int) (int, bool), end func()) {
	defer end()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			p.mu.Lock()
			stalled := p.stalled
			p.mu.Unlock()
			if stalled != nil {
				<-stalled
			}
			n, on := may(n)
			to.Write(b[:n])
			if !on {
				p.CutAfter(-1, -1)
				p.cut(n%2 == 0)
				return
			}
		}
		if err != nil {
			return
		}
	}
}
