package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// behindServer returns s as a Server, and another handle to its data. It skips the
// test if there is no server.
func behindServer(t *testing.T, s storage.Store) (Server, storage.Store) {
	t.Helper()
	server, ok := s.(Server)
	if !ok {
		t.Skip("the store isn't a Server: its process keeps the data")
	}
	sharer, ok := s.(Sharer)
	if !ok {
		t.Fatal("a Server must also be a Sharer")
	}
	return server, sharer.Share(t)
}

var serverChecks = []check{
	{"no method lies when its connection is cut", func(t *testing.T, s storage.Store) {
		server, direct := behindServer(t, s)
		proxy := server.Proxy()
		l := &ledger{name: "name"}
		for round := range cuts() {
			proxy.CutAfter(-1, -1)
			s.Get(t.Context(), l.name) // so that there is a connection most of the time
			value := fmt.Sprintf("round %d%s", round, strings.Repeat(" padding", rand.IntN(200)))
			switch rand.IntN(3) {
			case 0:
				proxy.CutAfter(rand.IntN(len(value)+300), -1)
			case 1:
				proxy.CutAfter(-1, rand.IntN(3))
			case 2:
				proxy.cut(round%2 == 0) // while nobody uses it
			}
			if l.v != "" && rand.IntN(4) == 0 {
				value = ""
			}
			lie := l.write(t.Context(), s, value)
			if lie == nil {
				_, lie = l.read(t.Context(), direct)
			}
			if lie != nil {
				t.Fatalf("round %d: %v", round, lie)
			}
			if len(l.doubt) > 0 {
				proxy.Cut()
			}
			proxy.CutAfter(-1, -1)
			settle(t, l, direct)
		}
		logLedgers(t, fmt.Sprintf("%d writes through a connection that was cut", cuts()), []*ledger{l})
		if proxy.cutShort() == 0 { // writes needn't have failed: a driver may know how to go on
			t.Error("no connection was cut: the store doesn't use the Proxy")
		}
	}},

	{"no method lies when the server is killed", func(t *testing.T, s storage.Store) {
		server, _ := behindServer(t, s)
		skipIfShort(t)
		const writers = 4
		ledgers := make([]*ledger, writers)
		lies := make([]error, writers)
		last := make(chan struct{})
		var wg sync.WaitGroup
		for i := range ledgers {
			l := &ledger{name: fmt.Sprint("name ", i)}
			ledgers[i] = l
			if lie := l.write(t.Context(), s, "what the first kill may lose"); lie != nil {
				t.Fatal(lie)
			}
		}
		for i, l := range ledgers {
			wg.Go(func() { lies[i] = l.writeAll(s, last) })
		}
		for range kills() {
			time.Sleep(10*time.Millisecond + rand.N(40*time.Millisecond))
			server.Restart(t)
		}
		close(last)
		wg.Wait()
		if err := errors.Join(lies...); err != nil {
			t.Fatal(err)
		}
		for _, l := range ledgers { // what somebody else sees
			if failed, lie := l.read(t.Context(), s.(Sharer).Share(t)); failed != nil || lie != nil {
				t.Fatalf("%s after the server's last restart: %v", brief(l.name), errors.Join(lie, failed))
			}
		}
		logLedgers(t, fmt.Sprintf("%d kills", kills()), ledgers)
	}},

	{"a method returns when its context is done, whatever the server does", func(t *testing.T, s storage.Store) {
		server, direct := behindServer(t, s)
		l := &ledger{name: "name"}
		if lie := l.write(t.Context(), s, "value"); lie != nil {
			t.Fatal(lie)
		}
		l.doubt = append(l.doubt, "") // the deletion
		resume := server.Proxy().Stall()
		defer resume()
		for name, call := range map[string]func(context.Context) error{
			"Get":    func(ctx context.Context) error { _, _, err := s.Get(ctx, "name"); return err },
			"Put":    func(ctx context.Context) error { _, err := s.Put(ctx, "another name", nil, ""); return err },
			"Delete": func(ctx context.Context) error { return s.Delete(ctx, "name", l.v) },
			"Names": func(ctx context.Context) error {
				lister, ok := s.(storage.Lister)
				if !ok {
					<-ctx.Done()
					return ctx.Err()
				}
				for _, err := range lister.Names(ctx) {
					return err
				}
				return nil
			},
		} {
			wantEnd(t, shortly, map[string]func(context.Context) error{name + " of a server that doesn't answer": call})
		}
		resume()
		if _, lie := l.read(t.Context(), direct); lie != nil { // what was given up may be done, as a whole
			t.Fatal(lie)
		}
		settle(t, l, s)
	}},
}

// writeAll writes one value after the other, and twenty more when last is closed.
func (l *ledger) writeAll(s storage.Store, last <-chan struct{}) (lie error) {
	more := 20
	var deadline time.Time // not zero when last is closed
	for n := 1; ; n++ {
		select {
		case <-last:
			if more == 0 && len(l.doubt) == 0 {
				return nil
			}
			if deadline.IsZero() {
				deadline = time.Now().Add(patience)
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("the store doesn't recover: %d writes of %s are in doubt, %d were acknowledged", len(l.doubt), brief(l.name), l.sure)
			}
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		before := l.sure
		lie := l.write(ctx, s, numbered(n))
		if lie == nil && (l.sure == before || rand.IntN(4) == 0) {
			var failed error
			if failed, lie = l.read(ctx, s); failed != nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
		cancel()
		if lie != nil {
			return lie
		}
		if l.sure > before && !deadline.IsZero() && more > 0 {
			more--
		}
	}
}
