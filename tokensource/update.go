package tokensource

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

const (
	// storeTimeout ends a call of the store that hangs.
	storeTimeout = 10 * time.Second

	// maxConflicts is how often a change is tried while others change the record in
	// between. They do so a few times at most; a store that goes on refusing is broken.
	maxConflicts = 20
)

// versioned is a record as this process last saw it, and the version by which it can be
// replaced.
type versioned struct {
	*record
	version storage.Version
}

// update replaces the record of name by what change, a function of lifecycle.go, makes of it,
// and reports whether it did. If someone else writes the record in between, it reads the
// record and calls change again. known is what the caller has read or written last; without a
// record, update begins by reading one. now is what is stored in the end, or, beside an error,
// what was last read.
func (m *Manager) update(ctx context.Context, name string, known versioned, change func(stored *record) *record) (now versioned, changed bool, err error) {
	for try := 0; ; try++ {
		var gone error
		if known.record == nil {
			known, err = m.read(ctx, name)
			if errors.Is(err, storage.ErrNotFound) {
				gone = err
			} else if err != nil {
				return versioned{}, false, err
			}
		}
		next := change(known.record)
		if next == nil {
			return known, false, gone
		}
		version, err := m.write(ctx, name, next, known.version)
		if err == nil {
			return versioned{next, version}, true, nil
		}
		if !errors.Is(err, storage.ErrConflict) {
			return known, false, err
		}
		// It was changed by someone else, or by a write of ours that seemed to fail. Or
		// the store's reads lag behind its writes: it mustn't be asked without a pause.
		if try == maxConflicts {
			return versioned{}, false, m.storeError(name, refusedSwaps(try+1))
		}
		if err := m.pause(ctx, try); err != nil {
			return versioned{}, false, m.storeError(name, err)
		}
		known = versioned{}
	}
}

// refusedSwaps is the error of a store that has broken its contract.
func refusedSwaps(times int) error {
	return fmt.Errorf("the store refused %d times to replace the version that it returned", times)
}

const (
	// pollMin and pollMax bound the wait between two looks at a record.
	pollMin = 50 * time.Millisecond
	pollMax = 500 * time.Millisecond
)

// pause waits before a record is looked at again, for the tries-th time.
func (m *Manager) pause(ctx context.Context, tries int) error {
	d := min(pollMin<<min(tries, 10), pollMax)
	return sleep(ctx, d/2+time.Duration(m.random()*float64(d/2)))
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// panicked is the error for a panic of the store. The value could hold a secret.
func panicked(p any) error { return fmt.Errorf("a panic with a %T", p) }

// catchPanic, deferred, makes an error of a panic of the store: most of its calls are made by goroutines
// of ours, where it would end the process.
func (m *Manager) catchPanic(name string, err *error) {
	if p := recover(); p != nil {
		*err = m.storeError(name, panicked(p))
	}
}

// read returns the record of name. Another client's is an error.
func (m *Manager) read(ctx context.Context, name string) (c versioned, err error) {
	set, err := m.settings()
	if err != nil {
		return versioned{}, err
	}
	c, err = m.load(ctx, name)
	if err != nil {
		return versioned{}, err
	}
	if *c.Registration != set.registration {
		return versioned{}, m.otherClient(name, *c.Registration)
	}
	c.record.Registration = &set.registration // the same text, kept once
	return c, nil
}

// load is read for any client's record. Only Move may go on with another's.
func (m *Manager) load(ctx context.Context, name string) (c versioned, err error) {
	start := time.Now()
	if c, err = m.get(ctx, name); isReason(err, ReasonStore) && slept(start, storeTimeout) && ctx.Err() == nil {
		return m.get(ctx, name)
	}
	return c, err
}

// get makes one call of the store.
func (m *Manager) get(ctx context.Context, name string) (c versioned, err error) {
	defer m.catchPanic(name, &err)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	data, version, err := m.Store.Get(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return versioned{}, m.notConnected(name)
	}
	if err != nil {
		return versioned{}, m.storeError(name, err)
	}
	rec, err := decodeRecord(data)
	if err != nil {
		return versioned{}, m.storeError(name, err)
	}
	rec.Failure = rec.Failure.believed(time.Now())
	return versioned{rec, version}, nil
}

// write stores rec if the record of name is still at the version old.
func (m *Manager) write(ctx context.Context, name string, rec *record, old storage.Version) (v storage.Version, err error) {
	defer m.catchPanic(name, &err)
	data, err := rec.encode()
	if err != nil {
		return "", m.storeError(name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	version, err := m.Store.Put(ctx, name, data, old)
	if err != nil && !errors.Is(err, storage.ErrConflict) {
		return "", m.storeError(name, err)
	}
	return version, err
}

// remove makes a call of the store that deletes the record of name.
func (m *Manager) remove(name string, call func() error) (err error) {
	defer m.catchPanic(name, &err)
	return call()
}

// names yields the names of all records, of whatever client.
func (m *Manager) names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		yielding := false
		defer func() {
			if yielding {
				return // the panic is the caller's
			}
			if p := recover(); p != nil {
				yielding = true
				yield("", m.storeError("", panicked(p)))
			}
		}()
		for name, err := range m.Store.Names(ctx) {
			yielding = true
			more := yield(name, err)
			yielding = false
			if !more {
				return
			}
		}
	}
}
