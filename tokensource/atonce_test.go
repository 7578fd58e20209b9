package tokensource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNewProcessServesAValidTokenAtOnce, though it is due and its refresh has to wait.
func TestNewProcessServesAValidTokenAtOnce(t *testing.T) {
	for name, hold := range map[string]func(f *fixture){
		"the token endpoint hangs": func(f *fixture) { f.latency = func() time.Duration { return time.Hour } },
		"another process has stopped": func(f *fixture) {
			f.put(f.stored().claimed("stopped", f.locked, time.Now()))
			if f.locked {
				unlock, err := encrypted(f.raw.Store).Lock(f.Context(), "k")
				require.NoError(f, err)
				f.Cleanup(unlock)
			}
		},
		"writes hang": func(f *fixture) {
			f.raw.set(func(op string) error {
				if op == "put" || op == "lock" {
					return errHang
				}
				return nil
			}, nil)
		},
		"writes fail": func(f *fixture) { f.raw.fail("put", "lock") },
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				f.connected()
				time.Sleep(56 * time.Minute) // due, and valid
				hold(f)
				m := f.process()
				m.RefreshTimeout = 10 * time.Second
				start := time.Now()
				assert.Equal(f, "access-1", f.access(m))
				assert.Zero(f, time.Since(start))
				for range 40 { // while a refresh is tried again and again
					time.Sleep(4300 * time.Millisecond)
					start := time.Now()
					f.access(m)
					assert.Zero(f, time.Since(start))
				}
			})
		})
	}
}

// TestNewProcessWaitsForASlowReadOnly: what it has to know is whether there is a token.
func TestNewProcessWaitsForASlowReadOnly(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.connected()
		time.Sleep(56 * time.Minute)
		f.raw.set(func(op string) error {
			time.Sleep(2 * time.Second)
			return nil
		}, nil)
		m := f.process()
		start := time.Now()
		assert.Equal(f, "access-1", f.access(m))
		assert.Equal(f, 2*time.Second, time.Since(start))
		time.Sleep(time.Minute)
		assert.Equal(f, "access-2", f.access(m))
	})
}
