package storagetest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// processFaults are stores that are sound in this process, and broken in others.
var processFaults = map[string]struct {
	subtest string
	breaks  func(d *storage.Dir) storage.Store
}{
	"another process replaces any version": {"two processes at once lose no update", func(d *storage.Dir) storage.Store { return overwriting{d} }},
	"another process creates over a record": {"of two processes that write the same version one must win", func(d *storage.Dir) storage.Store {
		return overwriting{d}
	}},
	"another process keeps what it has read": {"get must see what another process has written", func(d *storage.Dir) storage.Store {
		return &caching{Dir: d, got: make(map[string]cached)}
	}},
	"another process writes later": {"what a process wrote before it was killed is there and whole", func(d *storage.Dir) storage.Store {
		return &late{Dir: d}
	}},
	"another process locks nothing": {"a lock excludes other processes", func(d *storage.Dir) storage.Store { return unlocked{d} }},
	"another process locks with a file that stays": {"the lock of a process that was killed is free", func(d *storage.Dir) storage.Store {
		return marking{unlocked{d}}
	}},
}

func init() {
	for name, f := range processFaults {
		faults[name] = fault{subtest: f.subtest, open: func() storage.Store { return openSpawner(name) }}
	}
}

func TestMain(m *testing.M) {
	Child(func(at string) (storage.Store, error) {
		name, path, _ := strings.Cut(at, ":")
		d, err := storage.OpenDir(path)
		if err != nil {
			return nil, err
		}
		return processFaults[name].breaks(d), nil
	})
	os.Exit(m.Run())
}

// spawner is a Dir that other processes open in a broken way.
type spawner struct {
	*storage.Dir
	fault, path string
}

func openSpawner(fault string) storage.Store {
	path, err := os.MkdirTemp("", "storagetest")
	if err != nil {
		panic(err)
	}
	d, err := storage.OpenDir(path)
	if err != nil {
		panic(err)
	}
	return spawner{d, fault, path}
}

func (s spawner) Spawn(t *testing.T) *Process {
	t.Cleanup(func() { os.RemoveAll(s.path) })
	return StartProcess(t, s.fault+":"+s.path)
}

// Lock waits for what marking has, too.
func (s spawner) Lock(ctx context.Context, name string) (func(), error) {
	if s.fault == "another process locks with a file that stays" {
		return marking{unlocked{s.Dir}}.Lock(ctx, name)
	}
	return s.Dir.Lock(ctx, name)
}

type overwriting struct{ *storage.Dir }

func (s overwriting) Put(ctx context.Context, name string, value []byte, _ storage.Version) (storage.Version, error) {
	for {
		_, v, _ := s.Get(ctx, name)
		if v, err := s.Dir.Put(ctx, name, value, v); err != storage.ErrConflict {
			return v, err
		}
	}
}

type cached struct {
	value []byte
	v     storage.Version
}

type caching struct {
	*storage.Dir
	mu  sync.Mutex
	got map[string]cached
}

func (s *caching) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.got[name]; ok {
		return c.value, c.v, nil
	}
	value, v, err := s.Dir.Get(ctx, name)
	if err == nil {
		s.got[name] = cached{value, v}
	}
	return value, v, err
}

// late acknowledges a write before the one before it is done.
type late struct {
	*storage.Dir
	mu      sync.Mutex
	pending map[string][]byte
}

func (s *late) Put(_ context.Context, name string, value []byte, _ storage.Version) (storage.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.pending[name]; ok {
		overwriting{s.Dir}.Put(context.Background(), name, before, "")
	}
	if s.pending == nil {
		s.pending = make(map[string][]byte)
	}
	s.pending[name] = value
	return storage.Version(value[:10]), nil
}

type unlocked struct{ *storage.Dir }

func (unlocked) Lock(ctx context.Context, _ string) (func(), error) { return func() {}, ctx.Err() }

// marking has the lock if it could make a file.
type marking struct{ unlocked }

func (s marking) Lock(ctx context.Context, _ string) (func(), error) {
	name := filepath.Join(os.TempDir(), "storagetest lock")
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			f.Close()
			return func() { os.Remove(name) }, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// served is a store in a server, which is a goroutine here. Its fields break it.
type served struct {
	server *fakeServer
	proxy  *Proxy // nil: straight to the server

	retries    bool // a write whose answer was lost is sent again
	optimistic bool // a write whose answer was lost is taken for done
	deaf       bool // to contexts

	remote remote
}

// fakeServer serves a store until it is restarted.
type fakeServer struct {
	listener net.Listener
	forgets  bool // what was acknowledged when it is killed

	mu    sync.Mutex
	store *storage.Memory
	conns []net.Conn
}

func newFakeServer(t *testing.T, forgets bool) *fakeServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f := &fakeServer{listener: l, forgets: forgets, store: new(storage.Memory)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, conn)
			go serveConn(f.store, conn)
			f.mu.Unlock()
		}
	}()
	return f
}

// direct returns a sound store that reaches the server without a proxy.
func (f *fakeServer) direct() *served {
	return &served{server: f, remote: remote{addr: f.listener.Addr().String()}}
}

// start returns a store that is broken like s, with a server of its own.
func (s *served) start(t *testing.T, forgets bool) *served {
	server := newFakeServer(t, forgets)
	proxy := NewProxy(t, server.listener.Addr().String())
	return &served{server: server, proxy: proxy, retries: s.retries, optimistic: s.optimistic, deaf: s.deaf,
		remote: remote{addr: proxy.Addr()}}
}

func (s *served) Proxy() *Proxy { return s.proxy }

func (s *served) Share(*testing.T) storage.Store { return s.server.direct() }

func (s *served) Restart(*testing.T) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.forgets {
		s.server.store = new(storage.Memory)
	}
	for _, c := range s.server.conns {
		c.Close()
	}
	s.server.conns = nil
}

// around is a served that says it has a proxy, and doesn't use it.
type around struct {
	*served
	proxy *Proxy
}

func (a around) Proxy() *Proxy { return a.proxy }

// call returns when its context is done, whatever the server does.
func (s *served) call(ctx context.Context, q request) (response, error) {
	if s.deaf && ctx.Err() == nil {
		ctx = context.Background()
	}
	type result struct {
		answer response
		err    error
	}
	done := make(chan result, 1)
	go func() {
		answer, err := s.remote.call(ctx, q)
		done <- result{answer, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return response{}, ctx.Err()
	}
}

func (s *served) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	answer, err := s.call(ctx, request{Method: "Get", Name: name})
	return answer.Value, answer.Version, err
}

func (s *served) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	q := request{Method: "Put", Name: name, Value: value, Version: old}
	answer, err := s.call(ctx, q)
	lost := err != nil && err != storage.ErrConflict && ctx.Err() == nil
	if lost && s.retries {
		answer, err = s.call(ctx, q)
	}
	if lost && s.optimistic {
		return "perhaps", nil
	}
	return answer.Version, err
}

func (s *served) Delete(ctx context.Context, name string, old storage.Version) error {
	_, err := s.call(ctx, request{Method: "Delete", Name: name, Version: old})
	return err
}
