package storagetest

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// broken is a Memory of which single methods are replaced.
type broken struct {
	*storage.Memory
	get    func(m *storage.Memory, ctx context.Context, name string) ([]byte, storage.Version, error)
	put    func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error)
	delete func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error
	lock   func(m *storage.Memory, ctx context.Context, name string) (func(), error)
	names  func(m *storage.Memory, ctx context.Context) iter.Seq2[string, error]
}

func (b broken) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	if b.get == nil {
		return b.Memory.Get(ctx, name)
	}
	return b.get(b.Memory, ctx, name)
}

func (b broken) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if b.put == nil {
		return b.Memory.Put(ctx, name, value, old)
	}
	return b.put(b.Memory, ctx, name, value, old)
}

func (b broken) Delete(ctx context.Context, name string, old storage.Version) error {
	if b.delete == nil {
		return b.Memory.Delete(ctx, name, old)
	}
	return b.delete(b.Memory, ctx, name, old)
}

func (b broken) Lock(ctx context.Context, name string) (func(), error) {
	if b.lock == nil {
		return b.Memory.Lock(ctx, name)
	}
	return b.lock(b.Memory, ctx, name)
}

func (b broken) Names(ctx context.Context) iter.Seq2[string, error] {
	if b.names == nil {
		return b.Memory.Names(ctx)
	}
	return b.names(b.Memory, ctx)
}

// in makes an open function of what is replaced. Each store has its own Memory.
func in(b broken) func() storage.Store {
	return func() storage.Store {
		b := b
		b.Memory = new(storage.Memory)
		return b
	}
}

// mapped is a Memory whose names are changed on the way in.
func mapped(change func(string) string) func() storage.Store {
	return in(broken{
		get: func(m *storage.Memory, ctx context.Context, name string) ([]byte, storage.Version, error) {
			return m.Get(ctx, change(name))
		},
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			return m.Put(ctx, change(name), value, old)
		},
		delete: func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error {
			return m.Delete(ctx, change(name), old)
		},
	})
}

func numeric(k string) string {
	if n, err := strconv.ParseFloat(k, 64); err == nil {
		return strconv.FormatFloat(n, 'g', -1, 64)
	}
	return k
}

func compareThenWrite(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if _, now, _ := m.Get(ctx, name); now != old {
		return "", storage.ErrConflict
	}
	time.Sleep(time.Millisecond) // as long as it takes others to compare
	for {
		_, now, _ := m.Get(ctx, name)
		if v, err := m.Put(ctx, name, value, now); !errors.Is(err, storage.ErrConflict) {
			return v, err
		}
	}
}

// compareAndWrite is a Put that isn't one step, if there is a record or if there is none.
func compareAndWrite(pause time.Duration, exists bool) func(*storage.Memory, context.Context, string, []byte, storage.Version) (storage.Version, error) {
	return func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
		if (old != "") != exists {
			return m.Put(ctx, name, value, old)
		}
		if _, now, _ := m.Get(ctx, name); now != old {
			return "", storage.ErrConflict
		}
		spin(pause)
		for {
			_, now, _ := m.Get(ctx, name)
			if v, err := m.Put(ctx, name, value, now); !errors.Is(err, storage.ErrConflict) {
				return v, err
			}
		}
	}
}

// compareAndDelete is a Delete that isn't one step.
func compareAndDelete(pause time.Duration) func(*storage.Memory, context.Context, string, storage.Version) error {
	return func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, now, _ := m.Get(ctx, name); now != old {
			return storage.ErrConflict
		}
		spin(pause)
		for {
			_, now, _ := m.Get(ctx, name)
			if err := m.Delete(ctx, name, now); !errors.Is(err, storage.ErrConflict) {
				return err
			}
		}
	}
}

var last atomic.Int64 // number of a version

// unlockBriefly is a window of some nanoseconds, in which nothing looks at a context.
func unlockBriefly(mu *sync.Mutex) {
	mu.Unlock()
	mu.Lock()
}

// aliasing keeps slices as they are.
type aliasing struct {
	mu       sync.Mutex
	values   map[string][]byte
	n        int
	clonePut bool
}

func (s *aliasing) version() storage.Version { return storage.Version(strconv.Itoa(s.n)) }

func (s *aliasing) Get(_ context.Context, name string) ([]byte, storage.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value, ok := s.values[name]; ok {
		return value, s.version(), nil
	}
	return nil, "", storage.ErrNotFound
}

func (s *aliasing) Put(_ context.Context, name string, value []byte, _ storage.Version) (storage.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clonePut {
		value = bytes.Clone(value)
	}
	s.n++
	s.values = map[string][]byte{name: value}
	return s.version(), nil
}

func (s *aliasing) Delete(context.Context, string, storage.Version) error { return nil }

// forgetful loses something on reopening.
type forgetful struct {
	storage.Memory
	all, deletions bool
	deleted        map[string]string
}

func (s *forgetful) Delete(ctx context.Context, name string, old storage.Version) error {
	if value, _, err := s.Get(ctx, name); err == nil {
		if s.deleted == nil {
			s.deleted = make(map[string]string)
		}
		s.deleted[name] = string(value)
	}
	return s.Memory.Delete(ctx, name, old)
}

func (s *forgetful) Reopen(t *testing.T) storage.Store {
	if s.all {
		return new(forgetful)
	}
	for name, value := range s.deleted {
		s.Put(t.Context(), name, []byte(value), "")
	}
	return s
}

// lonely gives each handle its own data.
type lonely struct{ *storage.Memory }

func (s lonely) Share(t *testing.T) storage.Store { return lonely{new(storage.Memory)} }

// versioned has versions of another kind.
type versioned struct {
	mu      sync.Mutex
	records map[string]versionedRecord
	next    func(versionedRecord) storage.Version
	lets    func(*sync.Mutex) // others in, between the comparison and the write, if not nil
}

type versionedRecord struct {
	value  string
	writes int
	v      storage.Version
}

func number(versionedRecord) storage.Version {
	return storage.Version(strconv.FormatInt(last.Add(1), 10))
}
func digest(r versionedRecord) storage.Version    { return storage.Version("of " + r.value) }
func perRecord(r versionedRecord) storage.Version { return storage.Version(strconv.Itoa(r.writes)) }

func (s *versioned) Get(_ context.Context, name string) ([]byte, storage.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.records[name]; ok {
		return []byte(r.value), r.v, nil
	}
	return nil, "", storage.ErrNotFound
}

func (s *versioned) Put(_ context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[name]
	if r.v != old {
		return "", storage.ErrConflict
	}
	if s.lets != nil {
		s.lets(&s.mu)
	}
	if s.records == nil {
		s.records = make(map[string]versionedRecord)
	}
	r.value = string(value)
	r.writes++
	r.v = s.next(r)
	s.records[name] = r
	return r.v, nil
}

func (s *versioned) Delete(_ context.Context, name string, old storage.Version) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[name].v != old {
		return storage.ErrConflict
	}
	if s.lets != nil {
		s.lets(&s.mu)
	}
	delete(s.records, name)
	return nil
}

// reviving deletes a record by the version of one that was deleted before.
type reviving struct {
	storage.Memory
	deleted sync.Map // versions
}

func (s *reviving) Delete(ctx context.Context, name string, old storage.Version) error {
	if _, ok := s.deleted.Load(old); ok {
		if _, now, err := s.Get(ctx, name); err == nil {
			old = now
		}
	}
	err := s.Memory.Delete(ctx, name, old)
	if err == nil && old != "" {
		s.deleted.Store(old, true)
	}
	return err
}

// impatient refuses to do two things at once.
type impatient struct {
	storage.Memory
	mu sync.Mutex
}

func (s *impatient) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if !s.mu.TryLock() {
		return "", errors.New("database is locked")
	}
	defer s.mu.Unlock()
	time.Sleep(time.Millisecond)
	return s.Memory.Put(ctx, name, value, old)
}

// dropping forgets that a lock was unlocked already.
type dropping struct {
	storage.Memory
	mu      sync.Mutex
	unlocks func()
}

func (s *dropping) Lock(ctx context.Context, name string) (func(), error) {
	unlock, err := s.Memory.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.unlocks = unlock
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unlocks()
	}, nil
}

// distant takes 15 ms to grant a lock.
type distant struct{ lonely }

func (s distant) Share(t *testing.T) storage.Store { return distant{s.lonely.Share(t).(lonely)} }

func (s distant) Lock(ctx context.Context, name string) (func(), error) {
	select {
	case <-time.After(15 * time.Millisecond):
		return s.lonely.Lock(ctx, name)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
