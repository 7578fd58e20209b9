package storage

import (
	"context"
	"errors"
	"iter"
)

var (
	// ErrNotFound is returned by Get for a name that has no record.
	ErrNotFound = errors.New("storage: no record under this name")

	// ErrConflict is returned by Put and Delete when the record is no longer
	// the version that the caller named. Nothing was written: read again and
	// decide again.
	ErrConflict = errors.New("storage: the record was changed by someone else")
)

// Version names one state of one record. It is opaque: compare it for equality
// and hand it back, nothing else. The zero value "" means that the name has no
// record.
type Version string

// Store keeps opaque values under names. A Store never sees a token: what it is
// handed was sealed by [Encrypted].
//
// A name is any UTF-8 string of up to 4,096 bytes: empty, with slashes, dots or NUL
// bytes in it. An implementation must escape or hash names where its engine can't
// hold them, and must never join one to a path.
//
// An implementation must take values of up to 1 MiB (1,048,576 bytes), and what
// sealing adds to them, up to 1 KiB. It may refuse what is larger, as those of this
// package do, by an error that says so; nothing is written then.
//
// Values must not be aliased: an implementation keeps no reference to a slice
// that it was given, and returns one that the caller may change. An empty value
// is a record, not the absence of one.
//
// All methods must be safe for concurrent use, and every rule here holds between
// processes too, where the engine is shared by several. A method whose context
// is already done must return the context's error and change nothing.
//
// Only what a Put or Delete did that returned nil is durable. When one fails with any
// error but ErrConflict, the caller can't know whether it happened, and what Get
// returns next doesn't tell either: Get may return a state that isn't durable yet, or
// never will be. To be sure, the caller must write until a write returns nil.
//
// Package storagetest checks these sentences for any implementation.
type Store interface {
	// Get returns the value and version stored under name, or ErrNotFound. It
	// must see every write that was acknowledged before it was called.
	Get(ctx context.Context, name string) (value []byte, v Version, err error)

	// Put stores value under name if the record's version is still old, and
	// returns the new version; otherwise it returns ErrConflict. An old version
	// of "" means that there must be no record yet. The comparison and the write
	// must be one atomic step. A nil error means that the value is durable: it is
	// there after the process, or the machine, was killed. A version must differ
	// from every version that the name had before, also across Delete.
	Put(ctx context.Context, name string, value []byte, old Version) (Version, error)

	// Delete removes the record if its version is still old, and otherwise
	// returns ErrConflict. An absent name has the version "", so deleting it with
	// "" changes nothing and returns nil. A nil error means that it is durable that
	// there is no record.
	Delete(ctx context.Context, name string, old Version) error
}

// Locker is implemented by a Store that can also exclude other processes for as
// long as a refresh takes. It is optional: every promise of this module is kept
// without it. What a lock adds is that a crashed holder is replaced at once.
//
// The lock must be one that its holder can lose only by calling unlock or by
// dying, such as flock on a local disk. A lease, or a lock tied to a network
// session that can drop under a live holder, must not be offered as a Locker. A
// holder that is stopped (SIGSTOP, a frozen container) keeps it: wait with a deadline.
type Locker interface {
	// Lock waits until no one else, in this process or another, holds the lock
	// for name, or until ctx is done. The caller must call unlock, which is safe
	// to call more than once. Locks of different names must not wait for each
	// other, and a lock must not keep Get, Put or Delete from working. The error
	// is errors.ErrUnsupported if a wrapped store has no lock.
	Lock(ctx context.Context, name string) (unlock func(), err error)
}

// Lister is implemented by a Store that can list its names. It is optional, and
// needed only by what walks over all records, such as [Encrypted.Rekey] and the methods
// Run and Connections of tokensource.Manager.
type Lister interface {
	// Names yields every name that has a record for as long as the walk lasts,
	// each exactly once, in no particular order; one that is created or deleted
	// meanwhile may be there or not. The caller may call the store's other
	// methods in between. After an error the walk ends. The error is
	// errors.ErrUnsupported if a wrapped store can't list.
	Names(ctx context.Context) iter.Seq2[string, error]
}

// Discarder is implemented by a Store that can be left with a record which it can't
// read, so that Get returns an error that wraps [ErrOpen] and no version by which the
// record could be deleted. It is needed by [Encrypted.Discard] for such a record.
type Discarder interface {
	// Discard deletes the record under name if Get can't read it. One that can be read
	// has a version, by which Delete deletes it, and is ErrConflict here. An absent
	// name is no error. A nil error is as durable as Delete's.
	Discard(ctx context.Context, name string) error
}
