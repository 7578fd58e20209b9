package endpointstest

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// ports serves HTTP on loopback ports, and by pipes, and stops without leaving anything behind.
// (httptest.Server would do, if it didn't register a command-line flag in every
// program that runs a Server.)
type ports struct {
	listeners []net.Listener
	servers   []*http.Server

	serving sync.WaitGroup // goroutines that accept connections
	open    sync.WaitGroup // connections

	mu      sync.Mutex // guards what follows
	states  map[net.Conn]http.ConnState
	closing bool
}

// listen takes a port for h and returns its origin.
func (p *ports) listen(h http.Handler) (origin string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.add(l, h)
	return "http://" + l.Addr().String(), nil
}

// add takes connections from l for h.
func (p *ports) add(l net.Listener, h http.Handler) {
	p.listeners = append(p.listeners, l)
	p.servers = append(p.servers, &http.Server{
		Handler:           h,
		ConnState:         p.changed,
		ReadHeaderTimeout: 10 * time.Second,
	})
}

// serve begins to accept connections on all ports.
func (p *ports) serve() {
	p.states = make(map[net.Conn]http.ConnState)
	for i, server := range p.servers {
		p.serving.Go(func() { server.Serve(p.listeners[i]) }) // returns when the listener is closed
	}
}

// changed keeps track of a connection. It is called before Serve returns for a
// connection that is new, so that close sees them all.
func (p *ports) changed(c net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		p.open.Add(1)
	case http.StateIdle:
		if p.closing {
			c.Close()
		}
	case http.StateHijacked, http.StateClosed:
		delete(p.states, c)
		p.open.Done()
		return
	}
	p.states[c] = state
}

// close closes the listeners and all connections, those with a request on them when
// it is answered or after a timeout, and returns when everything is gone. It may be
// called twice.
func (p *ports) close(timeout time.Duration) {
	for _, l := range p.listeners {
		l.Close()
	}
	p.serving.Wait()
	p.mu.Lock()
	p.closing = true
	for c, state := range p.states {
		if state == http.StateNew || state == http.StateIdle {
			c.Close()
		}
	}
	p.mu.Unlock()
	impatience := time.AfterFunc(timeout, func() {
		for _, server := range p.servers {
			server.Close()
		}
	})
	defer impatience.Stop()
	p.open.Wait()
}
