// Package tokensourcetest runs a fleet of real processes that keep the same connections
// fresh in one store, and checks that no token is lost: while nothing goes wrong,
// while processes are killed, and while the encryption key is replaced. It is for those
// who write a [storage.Store]. Package storagetest checks the store's contract
// sentence by sentence; this one shows that package tokensource can live on it.
//
// A driver's test is a few lines:
//
//	func TestMain(m *testing.M) {
//		tokensourcetest.Child(func(at string) (storage.Store, error) { return mystore.Open(at) })
//		os.Exit(m.Run())
//	}
//
//	func TestFleet(t *testing.T) {
//		tokensourcetest.Run(t, func(t *testing.T) string { return t.TempDir() }, tokensourcetest.Size{})
//	}
//
// # What happens
//
// Each subtest of [Run] has a provider of package endpointstest that rotates refresh
// tokens, ends the grant if a spent one comes back, and takes a moment to answer, as
// providers do. The processes are the test program itself, started again: [Child]
// keeps such a process from running the tests. Their goroutines call the provider's
// API, whose tokens last a few seconds.
//
//   - undisturbed: each expiry costs one request, and no call fails;
//   - killed: processes are killed at random moments and started again. A grant is
//     lost if its refresh was under way, which nobody can help; it is reported as that.
//
// With the flag -tokensourcetest.long, also
//
//   - killed, with a grace window: the provider takes a refresh token again that was
//     spent a moment ago, as most do, and nothing is lost;
//   - keys rotated: the encryption key is replaced by the steps that package storage
//     gives, while the fleet works. It is skipped for a store that can't list its names.
//
// With the flag -tokensourcetest.adverse, two processes find many tokens due at once,
// while calls of the store hang for 7 or 8 seconds and then succeed, in both or in one of
// them; take up to 2.9 seconds each; are made four at a time; or one process doesn't see
// the store's Lock. No refresh token is sent twice, and nothing is lost.
//
// Each tells its figures in the test's log. They take some 3 seconds each, adverse ones
// up to 40, and those of a fleet longer if -tokensourcetest.expiries or the [Size] says
// so. All are skipped in a short run (go test -short).
//
// # What it can't check
//
// The processes share a machine, and so a clock and a network that doesn't fail. What
// becomes of a refresh whose answer is lost on the way, or of a process that sleeps
// through its lease, package tokensource tests by simulation, for every store.
package tokensourcetest

import (
	"cmp"
	"flag"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Size is how large the fleet is and how long it works. A field that is zero has its
// default.
type Size struct {
	Processes   int           // 4 by default
	Goroutines  int           // in each process; 16 by default
	Connections int           // that all of them use; 8 by default
	Expiries    int           // tokens that expire in each subtest; by default what -tokensourcetest.expiries says
	TokenLife   time.Duration // in whole seconds, at least 2; 3 seconds by default
}

func (s Size) orDefault() Size {
	return Size{
		Processes:   cmp.Or(s.Processes, 4),
		Goroutines:  cmp.Or(s.Goroutines, 16),
		Connections: cmp.Or(s.Connections, 8),
		Expiries:    cmp.Or(s.Expiries, *expiries),
		TokenLife:   cmp.Or(s.TokenLife, 3*time.Second).Truncate(time.Second),
	}
}

var (
	long     = flag.Bool("tokensourcetest.long", false, "whether keys are rotated, and processes killed beside a provider with a grace window, too")
	expiries = flag.Int("tokensourcetest.expiries", 16, "how many tokens expire in each subtest of a fleet whose Size doesn't say it")
	adverse  = flag.Bool("tokensourcetest.adverse", false, "whether stores hang, are slow or busy, too")
)

// opener is what Child was given.
var opener func(at string) (storage.Store, error)

// Child must be called by TestMain before m.Run. It tells [Run] how a store is
// opened, and returns; but in a process that Run has started, it does the work of
// such a process and doesn't return.
//
// What at says is for the driver to choose: a path, an address, a connection string.
// A store that is an io.Closer is closed in the end.
func Child(open func(at string) (storage.Store, error)) {
	opener = open
	runChild()
}

// Run has a fleet of processes use the store that Child's function opens. It calls at
// once for each of its subtests, each time for a place that holds no records; at may
// call t.Fatal, and t.Cleanup to clear the place.
func Run(t *testing.T, at func(t *testing.T) string, size Size) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes some seconds; run without -short")
	}
	if size.TokenLife != 0 && size.TokenLife < 2*time.Second {
		t.Fatalf("tokensourcetest: a TokenLife of %v is too short: a token would end on its way", size.TokenLife)
	}
	if opener == nil {
		t.Fatal("tokensourcetest: call tokensourcetest.Child in TestMain, before m.Run: the fleet's processes are made of this program")
	}
	for _, s := range []struct {
		name  string
		long  bool
		grace time.Duration
		run   func(*fleet)
	}{
		{"undisturbed", false, 0, undisturbed},
		{"killed", false, 0, killed},
		{"killed, with a grace window", true, 30 * time.Second, killedInGrace},
		{"keys rotated", true, 0, keysRotated},
	} {
		if s.long && !*long {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			f := newFleet(t, at(t), size.orDefault(), s.grace)
			defer f.tell()
			s.run(f)
		})
	}
	if *adverse {
		for _, a := range adversities {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				a.run(t, at(t))
			})
		}
	}
}
