package tokensourcetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
)

// adversity is what two processes go through that find tokens due at the same moment. No
// refresh token may be sent twice, and no grant be lost.
type adversity struct {
	name        string
	connections int
	answers     []time.Duration     // how long the provider takes, in turn
	valid       time.Duration       // how long tokens are valid when they are saved, 0: not any more
	hangs       [2]time.Duration    // how long each process's store hangs, a second after the beginning
	locks       bool                // the store must have locks
	job         func(j *job, i int) // changes the job of process i, if not nil
}

var adversities = []adversity{{
	name:        "every process's store hangs, then goes on",
	connections: 20,
	answers:     []time.Duration{3 * time.Second, 9 * time.Second},
	hangs:       [2]time.Duration{8300 * time.Millisecond, 8 * time.Second},
}, {
	// For less than a lease. Who can't reach the store for longer is taken for dead: that
	// can't be told from a process that was killed, whose refresh has to be taken over while
	// a grace window lasts.
	name:        "one process's store hangs, then goes on",
	connections: 20,
	answers:     []time.Duration{8 * time.Second},
	valid:       24 * time.Second,
	hangs:       [2]time.Duration{0, 5500 * time.Millisecond},
}, {
	name:        "the store is slow",
	connections: 2 * len(latencies),
	answers:     []time.Duration{10 * time.Second},
	job: func(j *job, _ int) {
		for i := range j.Connections {
			j.Latency = append(j.Latency, latencies[i%len(latencies)])
		}
	},
}, {
	name:        "one process hides the store's Lock",
	locks:       true,
	connections: 20,
	answers:     []time.Duration{8 * time.Second},
	job:         func(j *job, i int) { j.Locks = i == 0 },
}, {
	name:        "a thousand tokens are due within five seconds",
	connections: 1000,
	answers:     []time.Duration{100 * time.Millisecond},
	job: func(j *job, _ int) {
		j.AtATime, j.Latency = 4, slices.Repeat([]time.Duration{20 * time.Millisecond}, j.Connections)
	},
}}

// latencies of a store, up to what package tokensource can live with.
var latencies = []time.Duration{0, 300 * time.Millisecond, time.Second, 2 * time.Second, 2100 * time.Millisecond, 2500 * time.Millisecond, 2900 * time.Millisecond}

// run goes through a with the store at a place.
func (a *adversity) run(t *testing.T, at string) {
	f := openFleet(t, at, Size{Connections: a.connections, TokenLife: time.Hour}, 0)
	defer f.tell()
	if _, ok := f.store.(storage.Locker); a.locks && !ok {
		t.Skip("the store isn't a Locker")
	}
	for i := range a.connections {
		delay := a.answers[i%len(a.answers)]
		f.server.Fail(endpoints.TaxRock, endpointstest.Fault{On: endpointstest.TokenEndpoint, AnswerDelay: delay, Times: 1})
		f.names = append(f.names, connection(i))
	}
	f.loginAll(a.valid)
	for i := range a.hangs {
		f.processes = append(f.processes, f.start(func(j *job) {
			j.Once = true
			if a.job != nil {
				a.job(j, i)
			}
		}))
	}
	time.Sleep(max(a.valid/2, time.Second)) // until they are due, and the processes have started
	for _, p := range f.processes {
		fmt.Fprintln(p.Stdin, goOn)
	}
	time.Sleep(time.Second)
	for i, d := range a.hangs {
		fmt.Fprintln(f.processes[i].Stdin, d)
	}
	for _, p := range f.processes {
		r, err := p.report()
		if err != nil {
			t.Error(err)
		}
		f.sum.add(r)
	}
	for _, name := range f.names {
		f.isLost(name)
	}
	f.wantNoReuse()
	f.wantNothingLost()
	if s := f.stats(); s.RefreshRequests != a.connections {
		t.Errorf("%d refresh requests for %d tokens", s.RefreshRequests, a.connections)
	}
	if f.sum.Failed > 0 || f.sum.LoginRequired > 0 {
		t.Errorf("%d times there was no new token, and %d times it would have needed a login; the first: %s", f.sum.Failed, f.sum.LoginRequired, f.sum.First)
	}
}

// loginAll saves a login for each connection, of whose token so much is left.
func (f *fleet) loginAll(left time.Duration) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < len(f.names); i += 8 {
				token := f.server.Connect(endpoints.TaxRock, "offline_access", "read:client-accounts")
				token.Expiry, token.ExpiresIn = time.Now().Add(left-time.Millisecond), int64(left/time.Second)
				if err := f.m.Save(f.t.Context(), f.names[i], token); err != nil {
					f.t.Errorf("can't save a login: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
