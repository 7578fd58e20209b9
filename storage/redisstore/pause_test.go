package redisstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

// TestAContextEndsACallToAPausedServer has the server stand still in every way that it
// can, and go on.
func TestAContextEndsACallToAPausedServer(t *testing.T) {
	notShort(t)
	t.Parallel()
	for name, pause := range map[string]func(t *testing.T, s *server, p *proxy) (goOn func()){
		"CLIENT PAUSE": func(t *testing.T, s *server, _ *proxy) func() {
			c := client(t, s.addr)
			require.NoError(t, c.Do(ctx, "client", "pause", 2000, "all").Err())
			return func() { eventually(t, "it goes on", func() bool { return c.Ping(ctx).Err() == nil }) }
		},
		"DEBUG SLEEP": func(t *testing.T, s *server, _ *proxy) func() {
			c := client(t, s.addr)
			require.NoError(t, c.Ping(ctx).Err())
			slept := make(chan error, 1)
			go func() { slept <- c.Do(ctx, "debug", "sleep", "2").Err() }()
			time.Sleep(50 * time.Millisecond)
			return func() { require.NoError(t, <-slept) }
		},
		"a stopped process": func(t *testing.T, s *server, _ *proxy) func() {
			s.Pause(t)
			t.Cleanup(s.GoOn)
			return s.GoOn
		},
		"a network that hangs": func(_ *testing.T, _ *server, p *proxy) func() { return p.stall() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, durable...)
			p := newProxy(t, server.addr)
			s := &redisstore.Store{Client: client(t, p.addr)}
			direct := &redisstore.Store{Client: client(t, server.addr)}
			before := mustPut(t, s, "replaced", "before", "")
			deleted := mustPut(t, s, "deleted", "before", "")

			goOn := pause(t, server, p)
			for what, call := range map[string]func(context.Context) error{
				"Get":    func(ctx context.Context) error { _, _, err := s.Get(ctx, "replaced"); return err },
				"Put":    func(ctx context.Context) error { _, err := s.Put(ctx, "replaced", []byte("after"), before); return err },
				"create": func(ctx context.Context) error { _, err := s.Put(ctx, "created", []byte("after"), ""); return err },
				"Delete": func(ctx context.Context) error { return s.Delete(ctx, "deleted", deleted) },
				"Names": func(ctx context.Context) (err error) {
					for _, err = range s.Names(ctx) {
					}
					return err
				},
				"Check": s.Check,
			} {
				limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				began := time.Now()
				err := call(limited)
				require.ErrorIs(t, err, context.DeadlineExceeded, what)
				require.Less(t, time.Since(began), time.Second, what)
				require.NotErrorIs(t, err, storage.ErrConflict)
				if what == "Put" || what == "create" || what == "Delete" {
					require.ErrorContains(t, err, "may have been written or not: read it again", what)
				}
				cancel()
			}
			goOn()

			// Each write was done or not, once, and what is there now can be replaced.
			time.Sleep(200 * time.Millisecond)
			for name, may := range map[string][]string{"replaced": {"before", "after"}, "created": {"", "after"}, "deleted": {"", "before"}} {
				for round := range 3 {
					value, v, _ := direct.Get(ctx, name)
					if round == 0 {
						require.Contains(t, may, string(value), name)
					}
					_, err := s.Put(ctx, name, fmt.Append(nil, "round ", round), v)
					require.NoError(t, err, name)
				}
				requireValue(t, direct, name, "round 2")
			}
		})
	}
}

// TestAServerThatHangsAndGoesOn takes longer than the client waits for an answer. The
// Store sends the swap again, and both are run when the server goes on.
func TestAServerThatHangsAndGoesOn(t *testing.T) {
	notShort(t)
	t.Parallel()
	server := start(t, durable...)
	s := &redisstore.Store{Client: client(t, server.addr).WithTimeout(100 * time.Millisecond)}
	direct := &redisstore.Store{Client: client(t, server.addr)}
	v := mustPut(t, s, "name", "before", "")
	server.Pause(t)
	defer server.GoOn()
	time.AfterFunc(250*time.Millisecond, server.GoOn)
	v = mustPut(t, s, "name", "after", v)
	require.Equal(t, v, requireValue(t, direct, "name", "after"))

	server.Pause(t)
	_, err := s.Put(ctx, "name", []byte("never answered"), v)
	requireUnknown(t, err)
	server.GoOn()
	eventually(t, "what was sent is run", func() bool {
		value, _, _ := direct.Get(ctx, "name")
		return string(value) == "never answered"
	})
	_, now, err := direct.Get(ctx, "name")
	require.NoError(t, err)
	_, err = s.Put(ctx, "name", nil, v)
	require.ErrorIs(t, err, storage.ErrConflict)
	mustPut(t, s, "name", "next", now)
}

// TestCheckOfASlowServer has a context canceled.
func TestCheckOfASlowServer(t *testing.T) {
	t.Parallel()
	p, s, _ := behindProxy(t)
	defer p.stall()()
	canceled, cancel := context.WithCancel(ctx)
	time.AfterFunc(30*time.Millisecond, cancel)
	require.Equal(t, context.Canceled, s.Check(canceled))
}
