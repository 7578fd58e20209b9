package sqlstore_test

import (
	"database/sql"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// proxy stands between a store and its server, and cuts their connections.
type proxy struct {
	server string

	mu      sync.Mutex
	conns   []*net.TCPConn // both ends of each connection
	up      int            // bytes that may still go to the server; negative: all
	down    int            // writes that may still go to the client; negative: all
	ports   []int          // by which the server knew the connections that were cut
	stalled chan struct{}  // if not nil, nothing goes anywhere until it is closed
}

// newProxy returns a proxy, and the database as it is reached through it.
func newProxy(t *testing.T, to target) (*proxy, target) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	_, after, _ := strings.Cut(to.source, "127.0.0.1:")
	end := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
	if end < 1 {
		t.Skip("the server isn't at 127.0.0.1 and a port")
	}
	p := &proxy{server: "127.0.0.1:" + after[:end], up: -1, down: -1}
	to.source = strings.Replace(to.source, p.server, l.Addr().String(), 1)
	go func() {
		for {
			client, err := l.Accept()
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
	}()
	return p, to
}

// arm has all connections cut after so many more bytes to the server, or so many
// writes to the client, of which the next one is read from the server and dropped.
// Negative numbers mean never.
func (p *proxy) arm(up, down int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = up, down
}

// stall holds everything back until the returned function is called.
func (p *proxy) stall() (resume func()) {
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

// cut closes all connections, if asked for as if the other side had crashed.
func (p *proxy) cut(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if c.RemoteAddr().String() == p.server {
			p.ports = append(p.ports, c.LocalAddr().(*net.TCPAddr).Port)
		}
		if reset {
			c.SetLinger(0)
		}
		c.Close()
	}
	p.conns = nil
}

// settle cuts all connections, and returns when the server has noticed that and ended
// whatever they had asked for.
func (p *proxy) settle(t *testing.T, db *sql.DB, d sqlstore.Dialect) {
	t.Helper()
	p.cut(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, port := range p.ports {
		query := fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE client_port = %d", port)
		if d == sqlstore.MySQL {
			query = fmt.Sprintf("SELECT count(*) FROM information_schema.processlist WHERE host LIKE '%%:%d'", port)
		}
		require.Eventually(t, func() bool {
			var n int
			return db.QueryRow(query).Scan(&n) == nil && n == 0
		}, 20*time.Second, 2*time.Millisecond)
	}
	p.ports = nil
}

func (p *proxy) mayGoUp(n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up < 0 {
		return n, true
	}
	n = min(n, p.up)
	p.up -= n
	return n, p.up > 0
}

func (p *proxy) mayGoDown(n int) (int, bool) {
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
func (p *proxy) forward(to io.Writer, from io.Reader, may func(int) (int, bool), end func()) {
	b := make([]byte, 64<<10)
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
				p.cut(n%2 == 0)
				return
			}
		}
		if err != nil {
			end()
			return
		}
	}
}
