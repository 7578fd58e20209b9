package webhook

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// status is what Chart tells of a taxpayer's connection to a provider.
func status(taxpayer, provider, status string) Event {
	return Event{Provider: "Chart", Type: "taxpayer.status_changed", ConnectionID: taxpayer, ProviderID: provider, Status: status}
}

// waiting begins to wait, and returns how that ends.
func waiting(ctx context.Context, w *Waiter, taxpayer, provider string) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- w.Wait(ctx, taxpayer, provider) }()
	synctest.Wait()
	return ended
}

// stillWaiting reports whether nothing has ended the wait.
func stillWaiting(ended <-chan error) bool {
	synctest.Wait()
	return len(ended) == 0
}

func TestWaitEnds(t *testing.T) {
	disconnected := Event{Provider: "Chart", Type: "taxpayer.disconnected", ConnectionID: "tx_1", ProviderID: "irs"}
	for name, test := range map[string]struct {
		event Event
		ends  bool
		err   error
	}{
		"completed":              {status("tx_1", "irs", "COMPLETED"), true, nil},
		"of no provider":         {status("tx_1", "", "COMPLETED"), true, nil},
		"rejected":               {status("tx_1", "irs", "REJECTED"), true, ErrRejected},
		"disconnected":           {disconnected, true, ErrRejected},
		"another status":         {status("tx_1", "irs", "AUTHORIZED"), false, nil},
		"another taxpayer":       {status("tx_2", "irs", "COMPLETED"), false, nil},
		"another provider":       {status("tx_1", "turbotax", "COMPLETED"), false, nil},
		"of nobody":              {status("", "irs", "COMPLETED"), false, nil},
		"of Finch":               {Event{Provider: "Finch", Type: "taxpayer.status_changed", ConnectionID: "tx_1", Status: "COMPLETED"}, false, nil},
		"something else happens": {Event{Provider: "Chart", Type: "taxpayer.records_synced", ConnectionID: "tx_1", Status: "COMPLETED"}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var before, after Waiter
				early := waiting(ctx, &before, "tx_1", "irs")
				before.Feed(test.event)
				after.Feed(test.event) // before anyone waits
				late := waiting(ctx, &after, "tx_1", "irs")
				assert.Equal(t, test.ends, !stillWaiting(early))
				assert.Equal(t, test.ends, !stillWaiting(late))
				cancel()
				want := test.err
				if !test.ends {
					want = context.Canceled
				}
				assert.Equal(t, want, <-early)
				assert.Equal(t, want, <-late)
				assert.Empty(t, before.waiting)
				assert.Empty(t, after.waiting)
			})
		})
	}
}

func TestWaitForAnyProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Waiter
		any, irs := waiting(t.Context(), &w, "tx_1", ""), waiting(t.Context(), &w, "tx_1", "irs")
		w.Feed(status("tx_1", "turbotax", "COMPLETED"))
		assert.NoError(t, <-any)
		assert.NoError(t, w.Wait(t.Context(), "tx_1", ""))
		assert.NoError(t, w.Wait(t.Context(), "tx_1", "turbotax"))
		assert.True(t, stillWaiting(irs))
		w.Feed(status("tx_1", "irs", "REJECTED"))
		assert.ErrorIs(t, <-irs, ErrRejected)
		assert.NoError(t, w.Wait(t.Context(), "tx_1", "turbotax"))
	})
}

func TestManyWaitForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Waiter
		ctx, cancel := context.WithCancel(t.Context())
		gone := waiting(ctx, &w, "tx_1", "irs")
		var all []<-chan error
		for range 100 {
			all = append(all, waiting(t.Context(), &w, "tx_1", "irs"))
		}
		cancel()
		assert.ErrorIs(t, <-gone, context.Canceled)
		w.Feed(status("tx_1", "irs", "CREATED"))
		w.Feed(status("tx_1", "irs", "COMPLETED"))
		for _, ended := range all {
			assert.NoError(t, <-ended)
		}
		w.Feed(status("tx_1", "irs", "COMPLETED"))
		assert.Empty(t, w.waiting)
	})
}

// A login after the one that was completed has to be waited for again.
func TestStatusIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Waiter
		w.Feed(status("tx_1", "irs", "COMPLETED"))
		time.Sleep(5 * time.Minute)
		assert.NoError(t, w.Wait(t.Context(), "tx_1", "irs"))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.ErrorIs(t, w.Wait(ctx, "tx_1", "irs"), context.DeadlineExceeded)
		assert.Empty(t, w.latest)
		assert.Empty(t, w.order)

		w.Feed(status("tx_1", "irs", "COMPLETED"))
		time.Sleep(4 * time.Minute)
		w.Feed(status("tx_1", "irs", "COMPLETED"))
		time.Sleep(4 * time.Minute)
		assert.NoError(t, w.Wait(ctx, "tx_1", "irs"), "it was told again")

		w.Feed(status("tx_1", "irs", "CREATED"))
		again := waiting(t.Context(), &w, "tx_1", "irs")
		assert.True(t, stillWaiting(again))
		w.Feed(status("tx_1", "irs", "COMPLETED"))
		assert.NoError(t, <-again)
	})
}

// An event can arrive after a later one, by being delivered again.
func TestEventsOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Waiter
		earlier, later := status("tx_1", "irs", "AUTHORIZED"), status("tx_1", "irs", "COMPLETED")
		later.Created = time.Now()
		earlier.Created = later.Created.Add(-time.Minute)
		w.Feed(later)
		w.Feed(earlier)
		assert.NoError(t, w.Wait(t.Context(), "tx_1", "irs"))
		earlier.Created = time.Time{} // this one counts by when it arrives
		w.Feed(earlier)
		assert.True(t, stillWaiting(waiting(contextUntilEnd(t), &w, "tx_1", "irs")))
		w.Feed(later)
		assert.NoError(t, w.Wait(t.Context(), "tx_1", "irs"))
		earlier.Created = later.Created.Add(time.Minute) // of another login
		w.Feed(earlier)
		assert.True(t, stillWaiting(waiting(contextUntilEnd(t), &w, "tx_1", "irs")))
	})
}

// contextUntilEnd is done before the bubble ends.
func contextUntilEnd(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestWaitPrefersTheEventToTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		var w Waiter
		waiting, _ := w.begin(party{"tx_1", "irs"})
		w.Feed(status("tx_1", "irs", "COMPLETED"))
		assert.NoError(t, w.await(ctx, waiting))
		assert.NoError(t, w.Wait(ctx, "tx_1", "irs"), "it is known")
	}
}

func TestWaiterIsBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var w Waiter
	const all = maxWaitable + 1000
	for i := range all {
		w.Feed(status(fmt.Sprint("tx_", i), "irs", "COMPLETED"))
	}
	assert.LessOrEqual(t, len(w.order), maxWaitable+2)
	assert.LessOrEqual(t, len(w.latest), maxWaitable+2)
	assert.NoError(t, w.Wait(ctx, fmt.Sprint("tx_", all-1), "irs"))
	assert.NotContains(t, w.latest, party{"tx_0", "irs"})
	w = Waiter{}
	w.Feed(status(string(make([]byte, 1000)), "irs", "COMPLETED"))
	w.Feed(status("tx_1", string(make([]byte, 1000)), "COMPLETED"))
	assert.Empty(t, w.latest)
}
