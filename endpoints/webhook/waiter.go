package webhook

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// waitable is how long a Waiter remembers a status for those who begin to wait after
	// it came. It is short, as the status of a login must not end the wait for the next.
	waitable = 5 * time.Minute

	// maxWaitable is how many it remembers.
	maxWaitable = 10_000
)

// ErrRejected says that a connection won't be completed: Chart's status is REJECTED, or the
// taxpayer has been disconnected.
var ErrRejected = errors.New("webhook: the connection was rejected or disconnected")

// Waiter waits for Chart to complete a connection: after an exchange with the option
// chart.Async, a taxpayer's data may be read once the status is COMPLETED, of
// which a webhook tells. A zero Waiter can be used, by any number of goroutines.
//
// It knows of events only by Feed, which Handle calls, or whatever brings them from the
// replica where they arrived.
type Waiter struct {
	mu      sync.Mutex // guards the following
	latest  map[party]*told
	order   []*told // what was told last is last
	waiting map[*wait]bool
}

// party is a taxpayer's connection to one of Chart's providers, or to any if that is "".
type party struct{ taxpayer, provider string }

// told is what was last told of a party.
type told struct {
	party   party
	by      string // the provider of whose connection it was told, if that is known
	final   bool   // nothing is to be waited for any more
	err     error  // how that ended
	created time.Time
	at      time.Time // when w was told
}

// wait is one call of Wait.
type wait struct {
	party party
	ended chan error // has room for one
}

// Feed tells w of an event. Those that don't say how a taxpayer's connection is doing are
// ignored, and so is one that happened before another that w knows.
func (w *Waiter) Feed(e Event) {
	if e.Provider != chartName || e.ConnectionID == "" || len(e.ConnectionID) > maxID || len(e.ProviderID) > maxID {
		return
	}
	if e.Type != chartStatusChanged && e.Type != chartDisconnected {
		return
	}
	t := told{party: party{e.ConnectionID, e.ProviderID}, by: e.ProviderID, created: e.Created, at: time.Now()}
	t.final, t.err = outcome(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget()
	if was := w.latest[t.party]; was != nil && t.created.Before(was.created) && !t.created.IsZero() {
		return
	}
	w.remember(t)
	if e.ProviderID != "" {
		t.party.provider = ""
		w.remember(t)
	}
	if !t.final {
		return
	}
	for waiting := range w.waiting {
		if waiting.party.takes(&t) {
			waiting.ended <- t.err
			delete(w.waiting, waiting)
		}
	}
}

// Wait returns when the connection of that taxpayer to that provider of Chart's, which
// both stand beside the access token, is completed. An empty providerID stands for any.
// If the event that says so came up to five minutes ago, Wait returns at once.
//
// The error is [ErrRejected], or that of ctx, which needs a limit: Chart can take
// minutes, and an event can get lost.
func (w *Waiter) Wait(ctx context.Context, taxpayerID, providerID string) error {
	waiting, known := w.begin(party{taxpayerID, providerID})
	if known != nil {
		return known.err
	}
	return w.await(ctx, waiting)
}

func (w *Waiter) await(ctx context.Context, waiting *wait) error {
	select {
	case err := <-waiting.ended:
		return err
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting, waiting)
	select {
	case err := <-waiting.ended: // at the same time
		return err
	default:
		return ctx.Err()
	}
}

// begin begins to wait, unless how that ends is known already.
func (w *Waiter) begin(p party) (*wait, *told) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget()
	for _, known := range []party{p, {taxpayer: p.taxpayer}} {
		if t := w.latest[known]; t != nil && t.final && p.takes(t) {
			return nil, t
		}
	}
	waiting := &wait{p, make(chan error, 1)}
	if w.waiting == nil {
		w.waiting = make(map[*wait]bool)
	}
	w.waiting[waiting] = true
	return waiting, nil
}

// takes reports whether t is about p. What isn't said of a provider counts for any.
func (p party) takes(t *told) bool {
	return p.taxpayer == t.party.taxpayer && (p.provider == "" || t.by == "" || p.provider == t.by)
}

func (w *Waiter) remember(t told) {
	if w.latest == nil {
		w.latest = make(map[party]*told)
	}
	w.latest[t.party] = &t
	w.order = append(w.order, &t)
}

// forget drops what is too old or too much.
func (w *Waiter) forget() {
	for len(w.order) > 0 && (len(w.order) > maxWaitable || time.Since(w.order[0].at) > waitable) {
		if t := w.order[0]; w.latest[t.party] == t {
			delete(w.latest, t.party)
		}
		w.order[0] = nil
		w.order = w.order[1:]
	}
}

// outcome returns whether nothing is to be waited for after e, and how that ended.
func outcome(e Event) (final bool, err error) {
	switch {
	case e.Type == chartDisconnected, e.Status == "REJECTED":
		return true, ErrRejected
	case e.Status == "COMPLETED":
		return true, nil
	}
	return false, nil
}
