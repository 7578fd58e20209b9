// Package pipenet connects the clients and the servers of one process by pipes, where a
// port of the machine would be no better, and slower: in tests and test kits.
package pipenet

import (
	"context"
	"net"
	"sync"
)

// Listener is a net.Listener for the connections that its method Dial makes. They have no
// buffers, as net.Pipe says: good for HTTP/1.1, whose two sides take turns, while those of
// HTTP/2 would wait for each other.
type Listener struct {
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a Listener that is open.
func Listen() *Listener {
	return &Listener{dialed: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects with the Listener, whatever the address: as the DialContext of an
// http.Transport, and as its DialTLSContext, if the server serves https without TLS. It
// waits until the connection is accepted, and fails with net.ErrClosed when the Listener is
// closed.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	select {
	case c := <-l.dialed:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener. The pipe is made here, so that a client in a bubble of
// testing/synctest can dial a server outside: what is made in a bubble can't leave it.
func (l *Listener) Accept() (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.dialed <- there:
		return conn{here}, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener. There is no address, but what looks like one.
func (l *Listener) Addr() net.Addr { return nowhere }

// nowhere has a host and a port, as net/http promises of Request.RemoteAddr.
var nowhere = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}

// conn is the server's side of a connection.
type conn struct{ net.Conn }

func (conn) LocalAddr() net.Addr  { return nowhere }
func (conn) RemoteAddr() net.Addr { return nowhere }
