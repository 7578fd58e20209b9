package storage

import (
	"context"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
)

// Memory is a Store that forgets everything when the process ends. It is for
// tests, and for programs that may ask their users to log in again. It is also a
// [Locker] and a [Lister].
//
// The zero value is an empty store, ready to use. A Memory must not be copied
// after its first use.
type Memory struct {
	mu      sync.RWMutex // guards records and last
	records map[string]memoryRecord
	last    uint64 // number of the last version; never reused, whatever the name

	locks queue
}

type memoryRecord struct {
	value   []byte
	version Version
}

var (
	_ Store  = (*Memory)(nil)
	_ Locker = (*Memory)(nil)
	_ Lister = (*Memory)(nil)
)

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, name string) ([]byte, Version, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.records[name]
	if !ok {
		return nil, "", ErrNotFound
	}
	return slices.Clone(r.value), r.version, nil
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, name string, value []byte, old Version) (Version, error) {
	if err := checkSize(name, len(value), maxSealed); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[name].version != old {
		return "", ErrConflict
	}
	if m.records == nil {
		m.records = make(map[string]memoryRecord)
	}
	m.last++
	v := Version(strconv.FormatUint(m.last, 10))
	m.records[name] = memoryRecord{slices.Clone(value), v}
	return v, nil
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, name string, old Version) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[name].version != old {
		return ErrConflict
	}
	delete(m.records, name)
	return nil
}

// Lock implements [Locker]. Waiters get the lock in the order in which they asked
// for it.
func (m *Memory) Lock(ctx context.Context, name string) (unlock func(), err error) {
	return m.locks.enter(ctx, name)
}

// Names implements [Lister]. It yields the names that are there when it begins.
func (m *Memory) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.mu.RLock()
		names := slices.Collect(maps.Keys(m.records))
		m.mu.RUnlock()
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

// String returns the type's name alone.
func (m *Memory) String() string { return "storage.Memory" }

// GoString returns what String returns.
func (m *Memory) GoString() string { return m.String() }

// LogValue returns what String returns.
func (m *Memory) LogValue() slog.Value { return slog.StringValue(m.String()) }
