package tokensource

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
)

var (
	errStoreDown = errors.New("the store of this test is down")
	errHang      = errors.New("as an answer to before: hang until the context is done")
)

// faultyStore is a Store whose operations can be watched, held up and made to fail.
// They are "get", "put" and "delete", and "lock" of a faultyLocker.
type faultyStore struct {
	storage.Store

	mu            sync.Mutex // guards what follows
	before, after func(op string) error
	counts        map[string]int
}

// set makes the functions run before and after each operation; an error of theirs
// is returned instead of doing it, or in spite of having done it. They may be nil.
func (f *faultyStore) set(before, after func(op string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

// fail makes the operations fail without being done.
func (f *faultyStore) fail(ops ...string) {
	f.set(func(op string) error {
		for _, failing := range ops {
			if op == failing {
				return errStoreDown
			}
		}
		return nil
	}, nil)
}

func (f *faultyStore) down()   { f.fail("get", "put", "delete", "lock") }
func (f *faultyStore) mended() { f.set(nil, nil) }

func (f *faultyStore) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

func (f *faultyStore) do(ctx context.Context, op string, act func() error) error {
	f.mu.Lock()
	before, after := f.before, f.after
	if f.counts == nil {
		f.counts = make(map[string]int)
	}
	f.counts[op]++
	f.mu.Unlock()
	if before != nil {
		err := before(op)
		if err == errHang {
			<-ctx.Done()
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(ctx.Err(), act()); err != nil {
		return err
	}
	if after != nil {
		return after(op)
	}
	return nil
}

func (f *faultyStore) Get(ctx context.Context, key string) (value []byte, v storage.Version, err error) {
	err = f.do(ctx, "get", func() error {
		value, v, err = f.Store.Get(ctx, key)
		return err
	})
	return value, v, err
}

func (f *faultyStore) Put(ctx context.Context, key string, value []byte, old storage.Version) (v storage.Version, err error) {
	err = f.do(ctx, "put", func() error {
		v, err = f.Store.Put(ctx, key, value, old)
		return err
	})
	return v, err
}

func (f *faultyStore) Delete(ctx context.Context, key string, old storage.Version) error {
	return f.do(ctx, "delete", func() error { return f.Store.Delete(ctx, key, old) })
}

// faultyLocker is a faultyStore that is a Locker too.
type faultyLocker struct{ *faultyStore }

func (f faultyLocker) Lock(ctx context.Context, key string) (unlock func(), err error) {
	err = f.do(ctx, "lock", func() error {
		unlock, err = f.Store.(storage.Locker).Lock(ctx, key)
		return err
	})
	return unlock, err
}

// fixture is one connection, "k", at one provider, kept by one or more processes
// that share a store.
type fixture struct {
	*testing.T
	*fakeProvider
	raw    *faultyStore
	store  *storage.Encrypted
	locked bool // the store is a Locker

	mu     sync.Mutex
	events []Event // of all processes
	all    []*Manager
	kept   []*Source // a process uses its source until the end of the test
}

// newFixture makes a fixture whose provider rotates refresh tokens and ends the
// grant when a spent one comes back. It must be called in a synctest bubble.
func newFixture(t *testing.T, raw storage.Store) *fixture {
	f := &fixture{
		T:            t,
		fakeProvider: &fakeProvider{rotate: true, reuse: true, grace: -1}, // not even at the same instant
		raw:          &faultyStore{Store: raw},
	}
	if _, f.locked = raw.(storage.Locker); f.locked {
		f.store = encrypted(faultyLocker{f.raw})
	} else {
		f.store = encrypted(f.raw)
	}
	return f
}

// onSwap runs a test over a store that can only swap.
func onSwap(t *testing.T, run func(f *fixture)) {
	t.Helper()
	on(t, func(*testing.T) storage.Store { return unlocked{new(storage.Memory)} }, run)
}

// onLock runs a test over a store with a lock.
func onLock(t *testing.T, run func(f *fixture)) {
	t.Helper()
	on(t, func(*testing.T) storage.Store { return new(storage.Memory) }, run)
}

func on(t *testing.T, open func(*testing.T) storage.Store, run func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, open(t))
		defer f.abort()
		run(f)
		f.flush()
	})
}

// notShort skips a test with -short that takes long because of what it does so often.
func notShort(t *testing.T, what string) {
	t.Helper()
	if testing.Short() {
		t.Skip(what + "; run without -short")
	}
}

// onEvery runs a test over every kind of store; with -short, over the first.
func onEvery(t *testing.T, run func(f *fixture)) {
	t.Helper()
	t.Run("swap", func(t *testing.T) { onSwap(t, run) })
	if testing.Short() {
		return
	}
	t.Run("lock", func(t *testing.T) { onLock(t, run) })
	t.Run("dir", func(t *testing.T) {
		path := testenv.DirInMemory(t)
		on(t, func(t *testing.T) storage.Store {
			d, err := storage.OpenDir(path)
			require.NoError(t, err)
			t.Cleanup(func() { d.Close() })
			return d
		}, run)
	})
}

// process returns a Manager of another process.
func (f *fixture) process() *Manager {
	m := &Manager{Config: f.fakeProvider, Store: f.store}
	m.OnEvent = f.record
	f.all = append(f.all, m)
	f.kept = append(f.kept, m.Source("k"))
	return m
}

// configFunc is a Config that refreshes by calling it.
type configFunc func(ctx context.Context, refresh string) (*oauth2.Token, error)

func (c configFunc) TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
	return tokenFunc(func() (*oauth2.Token, error) { return c(ctx, t.RefreshToken) })
}

// processWith returns a Manager of a process whose requests go through c.
func (f *fixture) processWith(c configFunc) *Manager {
	m := f.process()
	m.Config = c
	return m
}

// connected returns a Manager that has saved a login.
func (f *fixture) connected() *Manager {
	f.Helper()
	m := f.process()
	require.NoError(f, m.Save(f.Context(), "k", f.login()))
	return m
}

// abort ends what a test that failed has left going on: synctest would say nothing
// but that it goes on.
func (f *fixture) abort() {
	f.raw.mended()
	for _, m := range f.all {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		_ = m.Flush(ctx)
		cancel()
	}
}

// flush checks that nothing goes on in any process.
func (f *fixture) flush() {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for _, m := range f.all {
		require.NoError(f, m.Flush(ctx))
	}
}

func (f *fixture) record(_ context.Context, e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

// seen returns how many events of this kind there were.
func (f *fixture) seen(kind EventKind) (n int) {
	synctest.Wait() // events may come after the token
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// lastEvent returns the last event of this kind.
func (f *fixture) lastEvent(kind EventKind) Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.events) - 1; i >= 0; i-- {
		if f.events[i].Kind == kind {
			return f.events[i]
		}
	}
	return Event{}
}

// stored returns the record as it is in the store, whatever the store's faults.
func (f *fixture) stored() *record {
	f.Helper()
	data, _, err := encrypted(f.raw.Store).Get(context.Background(), "k")
	require.NoError(f, err)
	rec, err := decodeRecord(data)
	require.NoError(f, err)
	return rec
}

// put writes a record as another process would.
func (f *fixture) put(rec *record) storage.Version {
	f.Helper()
	data, err := rec.encode()
	require.NoError(f, err)
	s := encrypted(f.raw.Store)
	for {
		_, v, err := s.Get(context.Background(), "k")
		if !errors.Is(err, storage.ErrNotFound) {
			require.NoError(f, err)
		}
		v, err = s.Put(context.Background(), "k", data, v)
		if errors.Is(err, storage.ErrConflict) {
			continue // a Manager wrote in the same instant
		}
		require.NoError(f, err)
		return v
	}
}

// access returns the access token that m serves.
func (f *fixture) access(m *Manager) string {
	f.Helper()
	t, err := m.Source("k").Token()
	require.NoError(f, err)
	return t.AccessToken
}

// newMemory returns a store for tests that are about something else.
func newMemory() *storage.Encrypted { return encrypted(new(storage.Memory)) }

// later runs do in the background and returns a channel that gives what came of it.
func later(do func() (*oauth2.Token, error)) <-chan result {
	c := make(chan result, 1)
	started := time.Now()
	go func() {
		t, err := do()
		c <- result{t, err, time.Since(started)}
	}()
	return c
}

type result struct {
	*oauth2.Token
	err  error
	took time.Duration
}

// status returns the status as m sees it.
func (f *fixture) status(m *Manager) Status {
	f.Helper()
	st, err := m.Status(context.Background(), "k")
	require.NoError(f, err)
	return st
}
