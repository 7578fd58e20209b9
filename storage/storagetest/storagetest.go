// Package storagetest checks that an implementation of [storage.Store] keeps the
// contract that is written in the comments of that interface, sentence by sentence.
//
// A driver's test is a few lines:
//
//	func TestMain(m *testing.M) {
//		storagetest.Child(func(at string) (storage.Store, error) { return mystore.Open(at) })
//		os.Exit(m.Run())
//	}
//
//	func TestStore(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, t.TempDir()) })
//	}
//
// where open returns a store that is empty. A store that nobody shares needs no more, and
// no TestMain.
//
// # Processes and servers
//
// Whether data outlive a process, and whether several processes may share them, can't
// be seen from a Store, nor can its server be killed. What open returns says what it
// can by having some of these methods, in a wrapper that embeds the driver's own type
// and so keeps its other methods; the example is complete.
//
//   - A [Sharer] is an engine whose data can be opened more than once.
//   - A [Spawner] is one whose data other processes may use at the same time: see [Child].
//   - A [Reopener] has to be closed before it can be opened again.
//   - A [Server] keeps data in a process of its own, which the tests kill, and cut off.
//
// A store that is none of them is tested as one that lives and dies with its process.
//
// # How long it takes
//
// About a second, and a few tenths of one with -short, with which no process is started
// or killed. For longer runs there are flags of go test:
//
//	-storagetest.kills 50        kills of each server and each process; 1 by default
//	-storagetest.cuts 500        cuts of the connection to each server; 50 by default, 10 with -short
//	-storagetest.names 10000     records that are listed; 300 by default, 120 with -short, and see below
//	-storagetest.collisions 50   milliseconds for which two changes of each kind meet again and again; 5 by default, 1 with -short
//
// Many engines hand out a thousand names at a time. So another 1,100 records are made and
// listed once, if making them takes no longer than a quarter of a second, or than what the
// same test did before. They aren't with -short, nor if -storagetest.names is 1100 or more.
// Where they would take too long, the test says so with -v: run it with
// -storagetest.names 1100 when the store's Names changes.
//
// # What it can't check
//
// Tests can't cut the power: that a write was flushed, and not only handed to the
// operating system, is for the driver's author to see to. Nor do they outwait a
// lease that is offered as a [storage.Locker].
package storagetest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Sharer is implemented by what open returns if several processes may use the same
// data at the same time. The tests for concurrent use then go through several
// handles, and those for durability open another one.
type Sharer interface {
	// Share opens the data of this store once more, as another process would. The
	// store stays usable. Share may call t.Fatal, and t.Cleanup to close what it
	// opened.
	Share(t *testing.T) storage.Store
}

// Reopener is implemented by what open returns if its data outlive the process. It
// isn't needed beside [Sharer].
type Reopener interface {
	// Reopen closes this store and opens its data again, as the program would after
	// a restart. Reopen may call t.Fatal, and t.Cleanup to close what it opened.
	Reopen(t *testing.T) storage.Store
}

// Spawner is implemented by what open returns if other processes may use the same data
// at the same time. Tests then write from several processes at once, and kill some.
type Spawner interface {
	// Spawn opens the data of this store once more, in another process; it is for
	// [StartProcess] to do. The store stays usable.
	Spawn(t *testing.T) *Process
}

// Server is implemented by what open returns if a server keeps its data, that this
// test alone uses. It must also be a [Sharer].
type Server interface {
	// Proxy returns the Proxy through which the store reaches its server. What Share
	// returns must reach it without.
	Proxy() *Proxy

	// Restart kills the server as SIGKILL does, starts it again on the same data, and
	// returns when it answers. Restart may call t.Fatal.
	Restart(t *testing.T)
}

var (
	kills       = amount("kills", "how often the suite kills each server and each process", 1, 1)
	cuts        = amount("cuts", "how many times the suite cuts the connection to each server", 50, 10)
	population  = amount("names", "how many records the suite lists", 300, 120)
	collisionMS = amount("collisions", "for how many milliseconds two writes of each kind meet again and again", 5, 1)
)

// amount returns how much of something the tests do, once flags are parsed: what a flag
// of go test says or, if that is 0, a usual number, or a smaller one with -short.
func amount(name, of string, usual, short int) func() int {
	told := flag.Int("storagetest."+name, 0, fmt.Sprintf("%s; 0 for %d, or %d with -short", of, usual, short))
	return func() int {
		switch {
		case *told != 0:
			return *told
		case testing.Short():
			return short
		}
		return usual
	}
}

// patience is how long a test waits for what ought to happen at once. It decides
// how long a broken store takes to fail, and a sound one never reaches it.
var patience = 30 * time.Second

// Run checks the store that open returns. It calls open once for each of its
// subtests, each time for a store that is empty, and that open closes with
// t.Cleanup if need be. Subtests for locks and for listing names are skipped if the
// store isn't a [storage.Locker] or a [storage.Lister], or returns an error that
// wraps errors.ErrUnsupported; those for several processes and for servers, if what
// open returns can't do what they need. Each says so.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, group := range groups {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
		}
	}
}

var groups = [][]check{recordChecks, versionChecks, nameChecks, contextChecks, concurrencyChecks, lockChecks, listChecks, processChecks, serverChecks}

// check is one subtest. Its name is nearly the sentence of the contract that it
// checks.
type check struct {
	name string
	run  func(t *testing.T, s storage.Store)
}

// shares returns s and, if it can be shared, more handles to the same data, at
// least n in all; handles repeat if it can't.
func shares(t *testing.T, s storage.Store, n int) []storage.Store {
	t.Helper()
	handles := []storage.Store{s}
	sharer, ok := s.(Sharer)
	for i := 1; i < n; i++ {
		next := s
		if ok {
			next = sharer.Share(t)
		}
		handles = append(handles, next)
	}
	return handles
}

// reopened returns a store over the data of s that can't have kept anything in
// memory. It skips the test if there is none.
func reopened(t *testing.T, s storage.Store) storage.Store {
	t.Helper()
	switch s := s.(type) {
	case Reopener:
		return s.Reopen(t)
	case Sharer:
		return s.Share(t)
	}
	t.Skip("the store is neither a Reopener nor a Sharer: it lives and dies with its process")
	return nil
}

// The helpers below fail the test at once. They may be called only from the
// goroutine that runs it.

func put(t *testing.T, s storage.Store, name, value string, old storage.Version) storage.Version {
	t.Helper()
	v, err := s.Put(t.Context(), name, []byte(value), old)
	if err != nil {
		t.Fatalf("Put(%s, %s, %q) = %v", brief(name), brief(value), old, err)
	}
	if v == "" {
		t.Fatalf("Put(%s) returned the version \"\", which means that there is no record", brief(name))
	}
	return v
}

func remove(t *testing.T, s storage.Store, name string, old storage.Version) {
	t.Helper()
	if err := s.Delete(t.Context(), name, old); err != nil {
		t.Fatalf("Delete(%s, %q) = %v", brief(name), old, err)
	}
}

// want fails unless name holds value in version v.
func want(t *testing.T, s storage.Store, name, value string, v storage.Version) {
	t.Helper()
	got, gotVersion, err := s.Get(t.Context(), name)
	if err != nil {
		t.Fatalf("Get(%s) = %v, want the value %s", brief(name), err, brief(value))
	}
	if string(got) != value {
		t.Fatalf("Get(%s) returned the value %s, want %s", brief(name), brief(string(got)), brief(value))
	}
	if gotVersion != v {
		t.Fatalf("Get(%s) returned version %q, but the write of that value returned %q", brief(name), gotVersion, v)
	}
}

func wantAbsent(t *testing.T, s storage.Store, name string) {
	t.Helper()
	value, v, err := s.Get(t.Context(), name)
	if !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("Get(%s) = %s, version %q, error %v; want ErrNotFound", brief(name), brief(string(value)), v, err)
	}
	if v != "" {
		t.Fatalf("Get(%s) returned ErrNotFound with the version %q, want \"\"", brief(name), v)
	}
}

// wantConflict fails unless both a Put and a Delete that name old are refused.
func wantConflict(t *testing.T, s storage.Store, name string, old storage.Version) {
	t.Helper()
	if v, err := s.Put(t.Context(), name, []byte("must not be written"), old); !errors.Is(err, storage.ErrConflict) {
		t.Fatalf("Put(%s) with the version %q = %q, %v; want ErrConflict", brief(name), old, v, err)
	}
	if err := s.Delete(t.Context(), name, old); !errors.Is(err, storage.ErrConflict) {
		t.Fatalf("Delete(%s) with the version %q = %v; want ErrConflict", brief(name), old, err)
	}
}

// eventually returns a context that ends only if something is wrong.
func eventually(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
