package tokensource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReplayIsNotMadeWithATokenThatIsAboutToEnd has a process find, instead of the
// token that the API refused, another process's that is due for refresh: it would
// perhaps end on the way, and there is only one replay.
func TestReplayIsNotMadeWithATokenThatIsAboutToEnd(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		other := f.process()
		f.access(other) // access-1
		s := m.Source("k")
		s.reject(s.known())
		require.Equal(f, "access-2", f.access(m))
		time.Sleep(time.Hour - 2*time.Minute) // access-2 is due, and access-1 is nearly over
		api := withAPI(other)
		api.respond = refusing("access-3")
		status, body := f.get(other.Client("k"))
		assert.Equal(f, 200, status)
		assert.Equal(f, "ok access-3", body)
		assert.Equal(f, 2, f.count(), "one refresh for each token that ended")
	})
}
