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
		"for a moment":        {maxLateTimer, 0},
		"for a minute":        {time.Minute, catchUp},
		"a clock set back":    {-time.Hour, 0},
		"a bit more than one": {maxLateTimer + time.Millisecond, catchUp},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				parent := context.WithValue(t.Context(), key{}, "value")
				ctx, cancel := withTimeLimit(parent, began.Add(-test.stopped), 30*time.Second, catchUp)
				defer cancel()
				child, cancelChild := context.WithTimeout(ctx, time.Hour)
				defer cancelChild()
				_, ok := ctx.Deadline()
				assert.False(t, ok)
				at, ok := child.Deadline()
				assert.True(t, ok && at.Equal(began.Add(time.Hour)), "%v", at)
				assert.Equal(t, "value", ctx.Value(key{}))
				require.NoError(t, ctx.Err())
				<-ctx.Done()
				assert.Equal(t, 30*time.Second+test.more, time.Since(began))
				assert.Equal(t, context.DeadlineExceeded, ctx.Err())
				<-child.Done()
				assert.Equal(t, context.DeadlineExceeded, child.Err())
				assert.Equal(t, context.DeadlineExceeded, context.Cause(child))
			})
		})
	}
}

func TestTimeLimitEndsWithItsParentAndWhenItIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancelParent := context.WithCancel(t.Context())
		ctx, cancel := withTimeLimit(parent, time.Now(), time.Minute, catchUp)
		defer cancel()
		cancelParent()
		assert.Equal(t, context.Canceled, ctx.Err(), "at once")

		began := time.Now()
		parent, cancelParent = context.WithTimeout(t.Context(), time.Second)
		defer cancelParent()
		ctx, cancel = withTimeLimit(parent, began, time.Minute, catchUp)
		defer cancel()
		at, _ := ctx.Deadline()
		assert.Equal(t, time.Second, at.Sub(began))
		<-ctx.Done()
		assert.Equal(t, time.Second, time.Since(began))
		assert.Equal(t, context.DeadlineExceeded, ctx.Err())

		ctx, cancel = withTimeLimit(t.Context(), time.Now(), time.Minute, catchUp)
		cancel()
		cancel()
		<-ctx.Done()
		assert.Equal(t, context.Canceled, ctx.Err())
		synctest.Wait()
		assert.Equal(t, time.Second, time.Since(began))
	})
}
