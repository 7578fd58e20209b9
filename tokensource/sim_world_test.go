package tokensource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// scenario is what can go wrong in a simulated run. Probabilities are per
// operation.
type scenario struct {
	name string

	// The provider.
	keepRefreshToken bool          // doesn't rotate
	grace            time.Duration // a spent refresh token is taken for so long
	revoke           float64       // the user revokes the grant, per expiry
	lostAnswer       float64       // the connection is cut after the request was processed
	lostRequest      float64       // … or before
	lateAnswer       float64       // the answer takes up to 25 s
	trouble          float64       // 503

	// The processes.
	locked bool    // the store is a Locker …
	hidden bool    // … which a wrapper hides from every other process
	crash  float64 // before or after a call of the store or the provider
	pause  float64 // after a call of the store, for up to 40 s
	stall  float64 // the same between the last check and the request

	// The store.
	slow      float64       // an operation takes up to 4 s
	outage    float64       // the store fails for up to 90 s, perhaps having written
	hang      float64       // calls hang for 5 to 10 s, and then succeed: those of all processes …
	hangSome  float64       // … or of some
	latency   time.Duration // a call takes up to that
	lossAllow bool          // grants can be lost, if that is reported as response_lost
}

// world is one run: a provider, a store and some processes on virtual time.
//
// Every decision is drawn from the seed by what it is about (the process, the kind
// of operation and how many there were), not from one stream for all, so that it
// doesn't depend on which goroutine comes first.
type world struct {
	sc    scenario
	seed  uint64
	store storage.Memory
	prov  *simProvider

	mu      sync.Mutex
	down    time.Time         // the store is down until then
	hung    time.Time         // calls of the store hang until then …
	hanging func(id int) bool // … of these processes
	outages []outage
	history []*record // what was stored, one for every new token
	trouble []string  // violated invariants
}

type outage struct{ from, to time.Time }

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = append(w.trouble, fmt.Sprintf(format, args...))
}

// process is a simulated process: its own Manager, and its own misfortunes.
type process struct {
	w    *world
	id   int
	life context.Context // done when it has crashed
	kill context.CancelFunc
	m    *Manager

	mu     sync.Mutex
	draws  map[string]uint64
	paused time.Time   // until then nothing in it moves
	slept  []time.Time // the beginnings of pauses longer than a lease
	died   time.Time
}

func (w *world) boot(id int) *process {
	p := &process{w: w, id: id, draws: make(map[string]uint64)}
	p.life, p.kill = context.WithCancel(context.Background())
	var s storage.Store = unlocked{p}
	if w.sc.locked && !(w.sc.hidden && id%2 == 1) {
		s = p
	}
	p.m = &Manager{
		Config: p,
		Store:  storage.Encrypt(s, plain{}),
		testRandom: func() float64 {
			if p.life.Err() != nil {
				runtime.Goexit() // what loops without calling the store ends here
			}
			return p.draw("jitter")
		},
		OnEvent: func(_ context.Context, e Event) { p.trace("event %s %s", e.Kind, e.Reason) },
	}
	return p
}

// trace prints what happens, for whoever runs a failing seed again.
func (p *process) trace(format string, args ...any) {
	if *narrate {
		fmt.Printf("%s process %d: %s\n", time.Now().UTC().Format("15:04:05.000"), p.id, fmt.Sprintf(format, args...))
	}
}

// draw returns the next random number in [0, 1) for the kind.
func (p *process) draw(kind string) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.draws[kind]
	p.draws[kind]++
	h := n
	for _, c := range kind {
		h = h*1099511628211 + uint64(c)
	}
	return rand.New(rand.NewPCG(p.w.seed*1000003+uint64(p.id), h)).Float64()
}

func (p *process) chance(kind string, probability float64) bool {
	return probability > 0 && p.draw(kind) < probability
}

// moment is a point between two instructions at which the process may be paused or
// killed.
func (p *process) moment(kind string, crash, pause float64) {
	if p.chance(kind+" crash", crash) {
		p.mu.Lock()
		if p.died.IsZero() {
			p.died = time.Now()
			defer p.trace("crashes: %s", kind)
		}
		p.mu.Unlock()
		p.kill()
	}
	if p.chance(kind+" pause", pause) {
		d := time.Duration(p.draw(kind+" pause for") * 40 * float64(time.Second))
		p.mu.Lock()
		defer p.trace("pauses for %v: %s", d, kind)
		if now := time.Now(); p.paused.Before(now.Add(d)) {
			p.paused = now.Add(d)
			if d > claimLimit {
				p.slept = append(p.slept, now)
			}
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	rest := time.Until(p.paused)
	p.mu.Unlock()
	time.Sleep(rest)
	if p.life.Err() != nil {
		runtime.Goexit() // it is dead; what is deferred, such as giving a lock back, the kernel does
	}
}

// call is one call of the store.
func (p *process) call(ctx context.Context, kind string, op func() error) error {
	crash := p.w.sc.crash / 2 // before and after make a step
	if kind == "get" {
		crash /= 10 // most are looks at another's attempt, of which there are dozens
	}
	p.moment(kind+" before", crash, 0)
	d := time.Millisecond + time.Duration(p.draw(kind+" latency")*float64(20*time.Millisecond))
	if p.chance(kind+" slow", p.w.sc.slow) {
		d = time.Duration(p.draw(kind+" slowness") * 4 * float64(time.Second))
	}
	if limit := p.w.sc.latency; limit > 0 {
		d = time.Duration(p.draw(kind+" delay") * float64(limit) / 2)
	}
	time.Sleep(d)
	if until := p.hungUntil(kind); time.Now().Before(until) {
		err := p.hang(ctx, until, op)
		p.trace("%s, after it hung: %v", kind, err)
		p.moment(kind+" after", crash, p.w.sc.pause)
		return err
	}
	p.w.mu.Lock()
	if p.chance(kind+" outage", p.w.sc.outage) && time.Now().After(p.w.down) {
		p.w.down = time.Now().Add(time.Duration(p.draw("outage") * 90 * float64(time.Second)))
		p.w.outages = append(p.w.outages, outage{time.Now(), p.w.down})
		p.trace("the store is down until %v", p.w.down.UTC().Format("15:04:05.000"))
	}
	down := time.Now().Before(p.w.down)
	p.w.mu.Unlock()
	var err error
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case down && p.draw(kind+" half done") < 0.5:
		err = errDown
	default:
		err = op()
		if down && err == nil {
			err = errDown // it happened, but nobody was told
		}
	}
	time.Sleep(d)
	if kind != "get" {
		p.trace("%s: %v", kind, err)
	}
	p.moment(kind+" after", crash, p.w.sc.pause)
	return err
}

// hungUntil is until when the process's calls of the store hang.
func (p *process) hungUntil(kind string) time.Time {
	w, sc := p.w, p.w.sc
	all, some := p.chance(kind+" hang", sc.hang), p.chance(kind+" hang some", sc.hangSome)
	w.mu.Lock()
	defer w.mu.Unlock()
	if (all || some) && time.Now().After(w.hung) {
		w.hung = time.Now().Add(time.Duration((5 + 5*p.draw("hang for")) * float64(time.Second)))
		w.hanging = func(int) bool { return true }
		if some {
			odd := p.id % 2
			w.hanging = func(id int) bool { return id%2 == odd }
		}
		p.trace("the store hangs until %v", w.hung.UTC().Format("15:04:05.000"))
	}
	if w.hanging == nil || !w.hanging(p.id) {
		return time.Time{}
	}
	return w.hung
}

// hang is a call that reaches the store late, whether anyone waits for it or not. Of two
// processes one goes on a little earlier than the other.
func (p *process) hang(ctx context.Context, until time.Time, op func() error) error {
	until = until.Add(time.Duration(p.draw("resume") * 0.6 * float64(time.Second)))
	done := make(chan error, 1)
	go func() {
		time.Sleep(time.Until(until))
		done <- op()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errDown = errors.New("the simulated store is down")

func (p *process) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	var got struct {
		value   []byte
		version storage.Version
	}
	err := p.call(ctx, "get", func() (err error) {
		got.value, got.version, err = p.w.store.Get(context.Background(), name)
		return err
	})
	if err != nil { // got may be written later
		return nil, "", err
	}
	return got.value, got.version, nil
}

func (p *process) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	var put storage.Version
	err := p.call(ctx, "put", func() (err error) {
		put, err = p.w.store.Put(context.Background(), name, value, old)
		if err == nil {
			p.w.stored(value)
		}
		return err
	})
	if err != nil { // put may be written later
		return "", err
	}
	return put, nil
}

func (p *process) Delete(ctx context.Context, key string, old storage.Version) error {
	return p.call(ctx, "delete", func() error { return p.w.store.Delete(context.Background(), key, old) })
}

func (p *process) Lock(ctx context.Context, key string) (func(), error) {
	unlock, err := p.w.store.Lock(ctx, key)
	if err == nil && p.life.Err() != nil {
		unlock()
		runtime.Goexit()
	}
	return unlock, err
}

// stored checks what is written: nothing may go back to an older token.
func (w *world) stored(value []byte) {
	rec, err := decodeRecord(value)
	if err != nil {
		w.fail("unreadable record stored: %v", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.history); n > 0 {
		last := w.history[n-1]
		if last.ID == rec.ID {
			return
		}
		if serial(last) > serial(rec) {
			w.trouble = append(w.trouble, fmt.Sprintf("token %d stored over token %d", serial(rec), serial(last)))
		}
	}
	w.history = append(w.history, rec)
}

func serial(r *record) int {
	n, _ := r.Extra["serial"].(float64)
	return int(n)
}

// plain is a Sealer that doesn't, so that the simulation can read what is stored.
type plain struct{}

func (plain) Seal(_ context.Context, b, _ []byte) ([]byte, error) { return b, nil }
func (plain) Open(_ context.Context, b, _ []byte) ([]byte, error) { return b, nil }

// simProvider is a fakeProvider that knows who asked it.
type simProvider struct {
	fakeProvider

	mu    sync.Mutex
	sends map[string][]send // by refresh token
	got   []receipt
}

type send struct {
	by   *process
	at   time.Time
	lost bool
}

// receipt is a token that a process was given by the provider.
type receipt struct {
	by     *process
	serial int
	parent string
}

// Registration is that of every fake.
func (p *process) Registration() (issuer, clientID string) { return testIssuer, testClient }

// TokenSource is the network between a process and the provider.
func (p *process) TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
	return tokenFunc(func() (*oauth2.Token, error) { return p.post(ctx, t.RefreshToken) })
}

func (p *process) post(ctx context.Context, refresh string) (*oauth2.Token, error) {
	prov, sc := p.w.prov, p.w.sc
	p.moment("send", sc.crash/2, sc.stall)
	prov.mu.Lock()
	prov.sends[refresh] = append(prov.sends[refresh], send{by: p, at: time.Now()})
	p.trace("sends %s", refresh)
	n := len(prov.sends[refresh]) - 1
	prov.mu.Unlock()
	lose := func() (*oauth2.Token, error) {
		prov.mu.Lock()
		prov.sends[refresh][n].lost = true
		prov.mu.Unlock()
		p.moment("receive", sc.crash/2, 0)
		return nil, &net.OpError{Op: "read", Err: errors.New("connection reset")}
	}
	travel := func() { time.Sleep(time.Duration((0.01 + 0.3*p.draw("network")) * float64(time.Second))) }
	travel()
	if p.chance("lost request", sc.lostRequest) {
		return lose()
	}
	if p.chance("trouble", sc.trouble) {
		travel()
		p.moment("receive", sc.crash/2, 0)
		return nil, answer(503, "")
	}
	t, err := prov.spend(refresh)
	p.trace("%s is spent: %v", refresh, err)
	if p.chance("late answer", sc.lateAnswer) {
		select {
		case <-time.After(time.Duration(p.draw("lateness") * 25 * float64(time.Second))):
		case <-ctx.Done():
			return lose()
		}
	}
	travel()
	if p.chance("lost answer", sc.lostAnswer) {
		return lose()
	}
	p.moment("receive", sc.crash/2, 0)
	if err == nil {
		n, _ := t.Extra("serial").(float64)
		prov.mu.Lock()
		prov.got = append(prov.got, receipt{p, int(n), refresh})
		prov.mu.Unlock()
	}
	return t, err
}
