package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"reflect"
)

// labelRecord keeps records apart from whatever else is sealed with the same keys.
const labelRecord = "oauth2keep record v1"

// Encrypted is a Store that hands sealed values to another one. Each value is bound
// to the name of its record: one that was moved doesn't open. It is a [Locker] and a
// [Lister] if the other store is; otherwise their methods return an error that wraps
// errors.ErrUnsupported.
//
// A record that can't be opened is an error that wraps [ErrOpen], and has no version
// by which it could be overwritten: put the missing key back into the keyset, restore
// the record, or have [Encrypted.Discard] delete it.
//
// Sealing doesn't find out that a record was deleted, or that an older one was put back
// under its name: see the package's section What sealing protects from.
//
// Methods may be called concurrently.
type Encrypted struct {
	store Store
	// A function for the same reason as in Keyset: a Sealer that isn't ours may hold
	// its key where fmt would print it.
	sealer func() Sealer
}

var (
	_ Store  = (*Encrypted)(nil)
	_ Locker = (*Encrypted)(nil)
	_ Lister = (*Encrypted)(nil)
)

// Encrypt returns a Store whose values are sealed by k and kept by s. If either is
// nil, every method of the result returns an error that says so.
func Encrypt(s Store, k Sealer) *Encrypted {
	return &Encrypted{s, func() Sealer { return k }}
}

func (e *Encrypted) check() error {
	switch {
	case e == nil:
		return errors.New("storage: this Encrypted is nil: make it with Encrypt")
	case isNil(e.store):
		return errors.New("storage: Encrypt was given no Store: look at the error of what should have opened it")
	case e.sealer == nil, isNil(e.sealer()):
		return errors.New("storage: Encrypt was given no Sealer: look at the error of NewKeyset")
	}
	return nil
}

// isNil also finds the nil pointer in an interface, which a constructor whose error
// was ignored leaves behind.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// recordAD returns the associated data of a record.
func recordAD(name string) []byte { return appendParts(nil, labelRecord, name) }

// Get implements [Store].
func (e *Encrypted) Get(ctx context.Context, name string) ([]byte, Version, error) {
	if err := e.check(); err != nil {
		return nil, "", err
	}
	sealed, v, err := e.store.Get(ctx, name)
	if err != nil {
		return nil, "", named(err, name)
	}
	value, err := e.sealer().Open(ctx, sealed, recordAD(name))
	if err != nil {
		return nil, "", named(err, name)
	}
	return value, v, nil
}

// named adds the record's name to an error, except to ErrNotFound, which the caller expects,
// and to those of a context, which aren't about the record.
func named(err error, name string) error {
	if err == ErrNotFound || err == context.Canceled || err == context.DeadlineExceeded {
		return err
	}
	if errors.Is(err, ErrOpen) {
		return fmt.Errorf("%w (record %q); if it can't be had back, Encrypted.Discard deletes it", err, name)
	}
	return fmt.Errorf("%w (record %q)", err, name)
}

// Put implements [Store].
func (e *Encrypted) Put(ctx context.Context, name string, value []byte, old Version) (Version, error) {
	if err := e.check(); err != nil {
		return "", err
	}
	if err := checkSize(name, len(value), maxValue); err != nil {
		return "", err
	}
	sealed, err := e.sealer().Seal(ctx, value, recordAD(name))
	if err != nil {
		return "", named(err, name)
	}
	return e.store.Put(ctx, name, sealed, old)
}

// Delete implements [Store].
func (e *Encrypted) Delete(ctx context.Context, name string, old Version) error {
	if err := e.check(); err != nil {
		return err
	}
	return e.store.Delete(ctx, name, old)
}

// Discard deletes the record under name, also one that can't be opened because its
// key is lost or it is damaged. It doesn't look at the value. An absent name is no
// error. If the record was changed while Discard looked at it, the error is
// [ErrConflict] and nothing was deleted: it may be a good one by now.
//
// A record that the wrapped store itself can't read is deleted if that is a
// [Discarder], as a [Dir] is.
func (e *Encrypted) Discard(ctx context.Context, name string) error {
	if err := e.check(); err != nil {
		return err
	}
	_, v, err := e.store.Get(ctx, name)
	switch {
	case err == nil:
		return e.store.Delete(ctx, name, v)
	case errors.Is(err, ErrNotFound):
		return e.store.Delete(ctx, name, "")
	case !errors.Is(err, ErrOpen):
		return named(err, name)
	}
	d, ok := e.store.(Discarder)
	if !ok {
		return fmt.Errorf("storage: %T can't discard a record that it can't read: %w: %w", e.store, errors.ErrUnsupported, err)
	}
	return d.Discard(ctx, name)
}

// Lock implements [Locker].
func (e *Encrypted) Lock(ctx context.Context, name string) (unlock func(), err error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	locker, ok := e.store.(Locker)
	if !ok {
		return nil, fmt.Errorf("storage: %T has no locks: %w", e.store, errors.ErrUnsupported)
	}
	return locker.Lock(ctx, name)
}

// Names implements [Lister].
func (e *Encrypted) Names(ctx context.Context) iter.Seq2[string, error] {
	err := e.check()
	if err == nil {
		lister, ok := e.store.(Lister)
		if ok {
			return lister.Names(ctx)
		}
		err = fmt.Errorf("storage: %T can't list its names: %w", e.store, errors.ErrUnsupported)
	}
	return func(yield func(string, error) bool) { yield("", err) }
}

// String tells what is wrapped, by type only.
func (e *Encrypted) String() string {
	if e.check() != nil {
		return "storage.Encrypted()"
	}
	return fmt.Sprintf("storage.Encrypted(%T, %T)", e.store, e.sealer())
}

// GoString returns what String returns.
func (e *Encrypted) GoString() string { return e.String() }

// LogValue returns what String returns.
func (e *Encrypted) LogValue() slog.Value { return slog.StringValue(e.String()) }
