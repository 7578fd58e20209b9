package tokensourcetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

func undisturbed(f *fleet) {
	f.work(f.size.Expiries, nil)
	f.end(f.keys...)
	f.wantSound()
}

// wantSound fails unless the fleet did its work as if it were one process to which
// nothing happens.
func (f *fleet) wantSound() {
	f.t.Helper()
	s := f.stats()
	if s.RefreshRequests != s.Refreshed {
		f.t.Errorf("%d requests for %d refreshes: some processes refreshed the same token", s.RefreshRequests, s.Refreshed)
	}
	// A token is refreshed in the second half of its life. Processes that refresh it
	// one after another, each for itself, need more than this.
	halves := int(time.Since(f.begun)/(f.size.TokenLife/2)) + 1
	if most := halves * len(f.names); s.Refreshed > most {
		f.t.Errorf("%d refreshes: no more than %d tokens can have expired", s.Refreshed, most)
	}
	f.wantNoReuse()
	f.wantNothingLost()
	if f.sum.Failed > 0 || f.sum.LoginRequired > 0 {
		f.t.Errorf("%d API calls failed, and %d would need a login; the first: %s", f.sum.Failed, f.sum.LoginRequired, f.sum.First)
	}
	if f.sum.Late > f.sum.Calls/20 {
		f.t.Errorf("%d of %d API calls were too late for their tokens: the machine is too slow to tell anything", f.sum.Late, f.sum.Calls)
	}
	if f.sum.Unopened > 0 {
		f.t.Errorf("a record couldn't be opened %d times", f.sum.Unopened)
	}
}

func (f *fleet) wantNoReuse() {
	f.t.Helper()
	if n := f.stats().Reused; n > 0 {
		f.t.Errorf("%d spent refresh tokens were used again", n)
	}
}

func (f *fleet) wantNothingLost() {
	f.t.Helper()
	if len(f.lost) > 0 {
		f.t.Errorf("grants were lost: %v", f.lost)
	}
}

func killed(f *fleet) {
	f.workAndKill()
	for reason, n := range f.lost {
		if reason != tokensource.ReasonResponseLost {
			f.t.Errorf("%d grants were lost with the reason %q", n, reason)
		} else if n > f.atStake {
			f.t.Errorf("%d grants were lost by %d kills, which can have hit %d refreshes", n, f.kills, f.atStake)
		}
	}
}

func killedInGrace(f *fleet) {
	f.workAndKill()
	f.wantNothingLost()
	f.wantNoReuse()
}

// workAndKill kills the processes in turn, at random moments.
func (f *fleet) workAndKill() {
	f.t.Helper()
	life := f.lifeOfAProcess() / time.Duration(f.size.Processes)
	pause := func() time.Time { return time.Now().Add(life/2 + rand.N(life)) }
	next := pause()
	f.work(f.size.Expiries, func() {
		if time.Now().Before(next) {
			return
		}
		i := f.kills % f.size.Processes
		f.processes[i].Kill()
		f.processes[i] = f.start(nil)
		f.kills++
		f.atStake += max(f.underWay, 1) // one may have begun since
		next = pause()
	})
	f.end(f.keys...)
	if f.kills == 0 {
		f.t.Error("no process was killed: Size.Expiries is too small for that")
	}
}

// lifeOfAProcess is how long one lives, more or less, before it is killed. Without a
// lock, who takes over a dead process's refresh must have watched it for a lease of six
// seconds; if none lived as long, the connection would stand still.
func (f *fleet) lifeOfAProcess() time.Duration {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	unlock, err := f.m.Store.Lock(ctx, "none of the connections")
	if errors.Is(err, errors.ErrUnsupported) {
		return 9 * time.Second
	}
	if err != nil {
		f.t.Fatalf("can't lock: %v", err)
	}
	unlock()
	return 1600 * time.Millisecond
}

// keysRotated replaces the key as the package documentation of storage, section Keys,
// says it is done. Half of the connections are used by nobody: their records don't move
// to the new key by themselves.
func keysRotated(f *fleet) {
	for _, err := range f.encrypted(f.keys...).Names(f.t.Context()) {
		if errors.Is(err, errors.ErrUnsupported) {
			f.t.Skipf("the store can't list its keys: %v", err)
		}
	}
	current, next := f.keys[0], storage.NewKey()
	for i := range f.size.Connections {
		f.connect("idle "+connection(i), f.size.TokenLife)
	}
	report, err := f.encrypted(current).Rekey(f.t.Context())
	if err != nil || report.Moved > 0 {
		f.t.Fatalf("Rekey, with nothing to move, moved %d records; its error: %v", report.Moved, err)
	}
	old := report.Primary

	f.roll(current, next)
	f.roll(next, current)
	f.rekey(current, next, old)
	f.roll(next)
	f.work(max(f.size.Expiries-f.stats().Refreshed, f.size.Connections), nil)
	f.end(next)
	f.wantSound()
}

// roll replaces the processes, one at a time, by others with these keys. Until all are
// replaced, each token is refreshed twice, for everyone to read what the others seal.
func (f *fleet) roll(keys ...[]byte) {
	f.t.Helper()
	f.keys = keys
	f.m = f.manager(keys...)
	for i, p := range f.processes {
		f.finish(p)
		f.processes[i] = f.start(nil)
		f.work(max(2*f.size.Connections/f.size.Processes, 1), nil)
	}
}

// rekey moves the records to the next key, while the fleet goes on and half of the
// idle connections wake up. The current key's fingerprint is old.
func (f *fleet) rekey(current, next []byte, old string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	e := f.encrypted(next, current)
	if err := e.CheckUnused(ctx, old); err == nil || !strings.Contains(err.Error(), "records are sealed with "+old) {
		f.t.Errorf("CheckUnused before Rekey = %v, want how many records are sealed with %s", err, old)
	}
	asleep := f.names[len(f.names)-f.size.Connections/2:]
	for _, name := range asleep {
		if _, _, err := f.encrypted(next).Get(ctx, name); !errors.Is(err, storage.ErrOpen) {
			f.t.Errorf("Get(%q) before Rekey, with a keyset of the next key only: %v, want ErrOpen", name, err)
		}
	}

	woken := make(chan struct{})
	go func() {
		defer close(woken)
		f.use(f.manager(next, current), f.names[f.size.Connections:len(f.names)-len(asleep)])
	}()
	moved := 0
	report, err := e.Rekey(ctx)
	for moved += report.Moved; err != nil && ctx.Err() == nil && !errors.Is(err, storage.ErrOpen); moved += report.Moved {
		f.t.Logf("Rekey: %v; again", err)
		report, err = e.Rekey(ctx)
	}
	<-woken
	f.t.Logf("Rekey: %d records examined, %d moved", report.Examined, moved)
	switch left := report.Examined - report.ByKey[report.Primary]; {
	case err != nil:
		f.t.Errorf("Rekey: %v", err)
	case left > 0 || report.Examined != len(f.names):
		f.t.Errorf("Rekey left %d of %d records, and there are %d", left, report.Examined, len(f.names))
	case moved < len(asleep):
		f.t.Errorf("Rekey moved %d records, and %d had to be", moved, len(asleep))
	}
	if err := e.CheckUnused(ctx, old); err != nil {
		f.t.Errorf("CheckUnused after Rekey: %v", err)
	}
}
