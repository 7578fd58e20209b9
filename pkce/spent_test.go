package pkce

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// used reports whether state was used for the first time.
func (m *spentStates) used(state string, maxAge time.Duration) bool {
	_, first := m.spend(state, maxAge)
	return first
}

func TestSpentStates(t *testing.T) {
	if testing.Short() {
		t.Skip("remembers a hundred thousand states; run without -short")
	}
	var m spentStates
	assert.True(t, m.used("a", time.Hour))
	assert.False(t, m.used("a", time.Hour))
	for i := range maxSpent - 1 {
		require.True(t, m.used(fmt.Sprint(i), time.Hour))
	}
	assert.Len(t, m.current, maxSpent)
	assert.True(t, m.used("b", time.Hour))
	assert.False(t, m.used("a", time.Hour), "forgotten with the generation still there")
	for i := range 10 * maxSpent {
		m.used(fmt.Sprint("more", i), time.Hour)
		if len(m.current)+len(m.older) > 2*maxSpent {
			t.Fatal("the memory is not bounded")
		}
	}
	assert.True(t, m.used("a", time.Hour))
}

// However the generations fall, a state is remembered for as long as its attempt
// could live.
func TestSpentStatesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for offset := range 20 {
			var m spentStates
			m.used("first", time.Minute)
			time.Sleep(time.Duration(offset) * 7 * time.Second)
			require.True(t, m.used("a", time.Minute))
			for range 59 {
				time.Sleep(time.Second)
				m.used(time.Now().String(), time.Minute)
				require.False(t, m.used("a", time.Minute), "offset %d", offset)
			}
			time.Sleep(2 * time.Minute)
			m.used("b", time.Minute)
			time.Sleep(2 * time.Minute)
			require.True(t, m.used("a", time.Minute))
			assert.LessOrEqual(t, len(m.current)+len(m.older), 2, "never forgotten")
		}
	})
}
