package tokensource

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// In a process that was stopped, timers end long after they should, all at the same time. That
// is so here for a call that began before its timer did.
func TestTimeLimitLeavesTimeToReadAnAnswerThatCameWhileTheProcessWasStopped(t *testing.T) {
	type key struct{}
	for name, test := range map[string]struct{ stopped, more time.Duration }{
		"not stopped":         {0, 0},
		"for a moment":        {maxLate, 0},
		"for a minute":        {time.Minute, maxLate},
		"a clock set back":    {-time.Hour, 0},
		"a bit more than one": {maxLate + time.Millisecond, maxLate},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				parent := context.WithValue(t.Context(), key{}, "value")
				ctx, cancel := withTimeLimit(parent, began.Add(-test.stopped), 30*time.Second)
				defer cancel()
				child, cancelChild := context.WithCancel(ctx)
				defer cancelChild()
				at, ok := ctx.Deadline()
				require.True(t, ok)
				assert.Equal(t, 30*time.Second-test.stopped, at.Sub(began))
				assert.Equal(t, "value", ctx.Value(key{}))
				require.NoError(t, ctx.Err())
				<-ctx.Done()
				assert.Equal(t, 30*time.Second+test.more, time.Since(began))
				assert.Equal(t, context.DeadlineExceeded, ctx.Err())
				<-child.Done()
				assert.Equal(t, context.DeadlineExceeded, context.Cause(child))
			})
		})
	}
}

func TestTimeLimitEndsWithItsParentAndWhenItIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancelParent := context.WithCancel(t.Context())
		ctx, cancel := withTimeLimit(parent, time.Now(), time.Minute)
		defer cancel()
		cancelParent()
		assert.Equal(t, context.Canceled, ctx.Err(), "at once")

		began := time.Now()
		parent, cancelParent = context.WithTimeout(t.Context(), time.Second)
		defer cancelParent()
		ctx, cancel = withTimeLimit(parent, began, time.Minute)
		defer cancel()
		at, _ := ctx.Deadline()
		assert.Equal(t, time.Second, at.Sub(began))
		<-ctx.Done()
		assert.Equal(t, time.Second, time.Since(began))
		assert.Equal(t, context.DeadlineExceeded, ctx.Err())

		ctx, cancel = withTimeLimit(t.Context(), time.Now(), time.Minute)
		cancel()
		cancel()
		<-ctx.Done()
		assert.Equal(t, context.Canceled, ctx.Err())
		synctest.Wait()
		assert.Equal(t, time.Second, time.Since(began))
	})
}
