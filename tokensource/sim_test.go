package tokensource

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

var (
	schedules = flag.Int("schedules", 1, "how many schedules TestSimulation runs of each scenario")
	narrate   = flag.Bool("narrate", false, "print what TestSimulation's processes do")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first schedule")
)

const (
	simProcesses = 6
	simCallers   = 3
	simLife      = time.Minute // of an access token
	simExpiries  = 26          // or 2 with -short
)

// scenarios are the rows of the table that TestSimulation prints. The provider
// rotates refresh tokens and ends the grant when a spent one comes back, unless a
// row says otherwise.
var scenarios = []scenario{
	{name: "no faults"},
	{name: "no faults, lock", locked: true},
	{name: "no rotation, crashes", keepRefreshToken: true, crash: 0.03},
	{name: "pauses before the check", pause: 0.03},
	{name: "slow store", slow: 0.2},
	{name: "late answers", lateAnswer: 0.2},
	{name: "provider trouble", trouble: 0.2},
	{name: "lost requests", lostRequest: 0.1},
	{name: "store outages", outage: 0.01},
	{name: "store hangs", hang: 0.02, lateAnswer: 0.5},
	{name: "store hangs for some", hangSome: 0.02, lateAnswer: 0.5, lossAllow: true},
	{name: "store hangs for some, grace", hangSome: 0.02, lateAnswer: 0.5, grace: time.Minute},
	{name: "slow store, slow provider", latency: 2900 * time.Millisecond, lateAnswer: 0.5},
	{name: "lock hidden from some", locked: true, hidden: true, lateAnswer: 0.5},
	{name: "revocations", revoke: 0.1},
	{name: "crashes", crash: 0.03, lossAllow: true},
	{name: "crashes, lock", crash: 0.03, locked: true, lossAllow: true},
	{name: "crashes, grace 60 s", crash: 0.03, grace: time.Minute}, // that of several processes in a row
	{name: "lost answers", lostAnswer: 0.02, lossAllow: true},
	{name: "lost answers, grace 10 s", lostAnswer: 0.02, grace: 10 * time.Second},
	{name: "pauses after the check", stall: 0.05, lossAllow: true},
	{name: "everything", crash: 0.01, pause: 0.01, stall: 0.01, slow: 0.05, outage: 0.003,
		lostAnswer: 0.01, lostRequest: 0.01, lateAnswer: 0.03, trouble: 0.03, revoke: 0.02, lossAllow: true},
}

// tallied are the figures of one or many runs.
type tallied struct {
	rotations, posts, twice, lost, revoked, crashes, failed int
}

// TestSimulation runs the protocol itself, not a model of it, on virtual time
// under seeded schedules of crashes, pauses, outages and lost answers, and checks
// after each that nothing was lost that could be kept. To run a soak of 100,000:
//
//	go test ./tokensource -run TestSimulation -timeout 0 -schedules 5000
//
// To run one schedule again: -run 'TestSimulation/crashes$' -schedules 1 -seed N
func TestSimulation(t *testing.T) {
	t.Parallel()
	table := make([]string, len(scenarios))
	t.Cleanup(func() {
		title := fmt.Sprintf("%-28s %9s %9s %9s %6s %6s %8s %8s\n", "scenario", "schedules", "rotations", "posts", "twice", "lost", "revoked", "crashes")
		t.Log("\n" + title + strings.Join(table, ""))
	})
	for row, sc := range scenarios {
		t.Run(strings.ReplaceAll(sc.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			var sum tallied
			for i := range *schedules {
				seed := *firstSeed + uint64(i)
				r := simulate(t, sc, seed)
				sum.rotations += r.rotations
				sum.posts += r.posts
				sum.twice += r.twice
				sum.lost += r.lost
				sum.revoked += r.revoked
				sum.crashes += r.crashes
			}
			table[row] = fmt.Sprintf("%-28s %9d %9d %9d %6d %6d %8d %8d\n", sc.name, *schedules, sum.rotations, sum.posts, sum.twice, sum.lost, sum.revoked, sum.crashes)
		})
	}
}

// simulate runs one schedule and checks the invariants.
func simulate(t *testing.T, sc scenario, seed uint64) (sum tallied) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{sc: sc, seed: seed, prov: &simProvider{sends: make(map[string][]send)}}
		w.prov.fakeProvider = fakeProvider{life: simLife, rotate: !sc.keepRefreshToken, reuse: true, grace: sc.grace}
		expiries := time.Duration(simExpiries)
		if testing.Short() {
			expiries = 2
		}
		run := &run{w: w, sum: &sum, until: time.Now().Add(expiries * simLife * 8 / 10)}
		run.login(nil)
		var wg sync.WaitGroup
		for i := range simProcesses {
			wg.Go(func() { run.incarnations(i) })
		}
		if sc.revoke > 0 {
			wg.Go(run.revocations)
		}
		wg.Wait()
		time.Sleep(2 * time.Minute) // until what was asleep when its process died has ended, too
		run.check()
		for _, violation := range w.trouble {
			t.Error(violation)
		}
		if t.Failed() {
			t.Logf("run it again: go test ./tokensource -run '%s$' -schedules 1 -narrate -seed %d", t.Name(), seed)
		}
	})
	return sum
}

// run is what happens in a world.
type run struct {
	w     *world
	sum   *tallied
	until time.Time

	mu        sync.Mutex
	processes []*process
}

// login is the user at the consent page, and the application that saves the token:
// at the beginning, and when the connection after has been lost.
func (r *run) login(after *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after != nil && after.Login.time().Before(r.w.loginTime()) {
		return // someone has logged in again already
	}
	rec, err := newLogin(r.w.prov.login(), testOwner, time.Now())
	if err != nil {
		panic(err)
	}
	data, err := rec.encode()
	if err != nil {
		panic(err)
	}
	for {
		_, v, _ := r.w.store.Get(context.Background(), "k")
		if _, err := r.w.store.Put(context.Background(), "k", data, v); err == nil {
			r.w.stored(data)
			return
		}
	}
}

func (w *world) loginTime() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.history[len(w.history)-1].Login.time()
}

// incarnations runs a process, and another in its place whenever it has crashed.
func (r *run) incarnations(slot int) {
	for n := 0; time.Now().Before(r.until); n++ {
		p := r.w.boot(slot + simProcesses*n)
		r.mu.Lock()
		r.processes = append(r.processes, p)
		r.mu.Unlock()
		var wg sync.WaitGroup
		for c := range simCallers {
			wg.Go(func() { r.calls(p, c) })
		}
		wg.Wait()
		if p.life.Err() == nil {
			r.flush(p)
		}
		if p.life.Err() != nil {
			r.mu.Lock()
			r.sum.crashes++
			r.mu.Unlock()
			time.Sleep(time.Duration(p.draw("reboot") * 20 * float64(time.Second)))
		}
		p.kill()
	}
}

func (r *run) flush(p *process) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(p.life, time.Hour)
		defer cancel()
		if err := p.m.Flush(ctx); err != nil && p.life.Err() == nil {
			r.w.fail("Flush of process %d: %v", p.id, err)
		}
	}()
	<-done
}

// calls is a part of the program that needs a token now and then.
func (r *run) calls(p *process, caller int) {
	rng := rand.New(rand.NewPCG(r.w.seed, uint64(p.id*simCallers+caller)))
	source := p.m.Source("k")
	newest := 0
	for time.Now().Before(r.until) && p.life.Err() == nil {
		pause := time.NewTimer(time.Duration(rng.Float64() * float64(simLife) / 4))
		select {
		case <-pause.C:
		case <-p.life.Done():
			pause.Stop()
			return
		}
		asked := time.Now()
		tok, err := source.TokenContext(p.life)
		if took := time.Since(asked); took > 5*time.Minute {
			r.w.fail("a caller waited %v", took)
		}
		switch {
		case p.life.Err() != nil:
			return
		case errors.Is(err, ErrLoginRequired):
			r.lost(p)
		case err == nil:
			n := int(tok.Extra("serial").(float64))
			// Of two processes that both refreshed a token, the one whose answer isn't saved
			// yet serves it until it finds the other's saved.
			if n < newest && r.w.sc.hangSome == 0 {
				r.w.fail("process %d served token %d after token %d", p.id, n, newest)
			}
			newest = n
			if time.Now().After(tok.Expiry) && r.w.sc.pause+r.w.sc.stall+r.w.sc.slow == 0 {
				r.w.fail("process %d served a token that expired %v ago", p.id, time.Since(tok.Expiry))
			}
		default:
			r.mu.Lock()
			r.sum.failed++
			r.mu.Unlock()
			if r.w.sc.quiet() {
				r.w.fail("a call failed: %v", err)
			}
		}
	}
}

// quiet says that no call of a token may fail.
func (sc *scenario) quiet() bool {
	return sc.crash+sc.pause+sc.stall+sc.slow+sc.outage+sc.hang+sc.hangSome+float64(sc.latency)+sc.lateAnswer+sc.lostAnswer+sc.lostRequest+sc.trouble+sc.revoke == 0
}

// lost checks the reason that is reported for a lost grant, and has the user log in
// again.
func (r *run) lost(p *process) {
	data, _, err := r.w.store.Get(context.Background(), "k")
	if err != nil {
		r.w.fail("the record is gone: %v", err)
		return
	}
	rec, err := decodeRecord(data)
	if err != nil || rec.Failure == nil || !rec.Failure.Final {
		return // logged in again already, or known to one process while the store is down
	}
	r.mu.Lock()
	switch rec.Failure.Reason {
	case ReasonResponseLost:
		r.sum.lost++
		if !r.w.sc.lossAllow {
			r.w.fail("a grant was lost")
		}
	case ReasonRevoked:
		r.sum.revoked++
		if !r.w.prov.revokedByUser(rec.RefreshToken) && !r.nobodyKnew(r.w.prov.reusedAt(rec.RefreshToken)) {
			r.w.fail("a lost answer was reported as a revocation")
		}
	default:
		r.w.fail("a grant was lost because of %s", rec.Failure.Reason)
	}
	r.mu.Unlock()
	r.login(rec)
}

// revokedByUser reports whether the refresh token's grant ended because the user
// revoked it, and not because of anything that we did.
func (p *simProvider) revokedByUser(refresh string) bool {
	p.fakeProvider.mu.Lock()
	defer p.fakeProvider.mu.Unlock()
	g := p.tokens[refresh]
	return g != nil && g.family.revoked
}

// reusedAt is when a spent refresh token of the same grant came back.
func (p *simProvider) reusedAt(refresh string) time.Time {
	p.fakeProvider.mu.Lock()
	defer p.fakeProvider.mu.Unlock()
	return p.tokens[refresh].family.reused
}

// nobodyKnew reports whether whoever spent a refresh token a second time, at the
// given time, couldn't write that down at once: it died, slept on, or the store was
// down or slow. The caller holds r.mu.
func (r *run) nobodyKnew(at time.Time) bool {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if at.IsZero() {
		return false
	}
	if r.w.sc.slow > 0 {
		return true
	}
	soon := at.Add(storeTimeout)
	for _, o := range r.w.outages {
		if o.from.Before(soon) && o.to.After(at) {
			return true
		}
	}
	for _, p := range r.processes {
		p.mu.Lock()
		for _, moment := range append([]time.Time{p.died}, p.slept...) {
			if moment.After(at.Add(-storeTimeout)) && moment.Before(soon) { // the request may have been on its way
				p.mu.Unlock()
				return true
			}
		}
		p.mu.Unlock()
	}
	return false
}

func (r *run) revocations() {
	for n := uint64(0); time.Now().Before(r.until); n++ {
		time.Sleep(simLife)
		if rand.New(rand.NewPCG(r.w.seed, 77000+n)).Float64() < r.w.sc.revoke {
			r.w.prov.revoke()
		}
	}
}

// check looks at the whole run.
func (r *run) check() {
	prov := r.w.prov
	prov.mu.Lock()
	defer prov.mu.Unlock()
	saved := make(map[int]bool)
	for _, rec := range r.w.history {
		saved[serial(rec)] = true
	}
	for _, got := range prov.got {
		r.sum.rotations++
		if !saved[got.serial] && got.by.died.IsZero() && !r.superseded(got) {
			r.w.fail("token %d was received by process %d and never saved", got.serial, got.by.id)
		}
	}
	for refresh, sends := range prov.sends {
		r.sum.posts += len(sends)
		for i := 1; i < len(sends); i++ {
			r.sum.twice++
			if prov.rotate && !excused(sends[i-1], sends[i]) {
				r.w.fail("%s was sent by process %d at %v and by process %d at %v", refresh,
					sends[i-1].by.id, sends[i-1].at, sends[i].by.id, sends[i].at)
			}
		}
	}
}

// superseded reports whether another descendant of the same refresh token was
// saved: a grace window gives several.
func (r *run) superseded(got receipt) bool {
	for _, other := range r.w.prov.got {
		if other.serial != got.serial && other.parent == got.parent {
			return true
		}
	}
	return r.sum.revoked+r.sum.lost > 0 // or a login
}

// excused reports whether the first sender of a refresh token died, slept through
// its lease or lost the answer, or was answered that nothing was done.
func excused(first, second send) bool {
	if first.lost || first.by != second.by && !first.by.died.IsZero() && first.by.died.Before(second.at) {
		return true
	}
	for _, p := range []*process{first.by, second.by} {
		for _, slept := range p.slept {
			if slept.Before(second.at) {
				return true
			}
		}
	}
	sc := first.by.w.sc
	return sc.trouble > 0 || sc.outage > 0 || sc.hangSome > 0 // who can't reach the store is taken for dead
}

var (
	_ storage.Locker     = (*process)(nil)
	_ oauth2.TokenSource = tokenFunc(nil)
)
