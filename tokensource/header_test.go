package tokensource

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestNamesSeenBeforeDoNotHideWhatIsNew compares with a walk over each header.
func TestNamesSeenBeforeDoNotHideWhatIsNew(t *testing.T) {
	fields := []struct {
		name   string
		values []string
	}{
		{"Accept", []string{"application/json"}},
		{"User-Agent", []string{"sdk/1.2.3"}},
		{"X-Request-Id", []string{"5e3f8e5c"}},
		{"X-Request-Id", slices.Grow([]string{"room"}, 4)},
		{"x-request-id", nil},
		{"Content-Type", []string{"a", "b"}},
		{"Authorization", []string{"Bearer other"}},
		{"authorization", []string{"Basic Y2xpZW50OnNlY3JldA=="}},
		{"AUTHORIZATION", []string{"Bearer other"}},
		{"A", []string{}}, {"B", []string{""}}, {"C", []string{"c"}},
	}
	names := new(headerNames)
	headers := 5000
	if testing.Short() {
		headers = 1000
	}
	var all sync.WaitGroup
	for seed := range uint64(4) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, 0))
			found := make(map[headerKind]int)
			for range headers {
				h := make(http.Header)
				for range random.IntN(len(fields)) {
					f := fields[random.IntN(len(fields))]
					h[f.name] = f.values
				}
				want := kindOf(h, "Bearer")
				if got := names.kindOf(h, "Bearer"); got != want {
					assert.Equal(t, want, got, "%v", h)
					return
				}
				found[want]++
			}
			for _, kind := range []headerKind{headerPlain, headerRough, headerOwn} {
				assert.Greater(t, found[kind], headers/10)
			}
		})
	}
	all.Wait()
	for length := range names {
		assert.Len(t, *names[length].Load(), length)
	}
}

func TestNamesOfLongHeadersAreNotRemembered(t *testing.T) {
	h := make(http.Header)
	for name := 'A'; name <= 'Z'; name++ {
		h[string(name)] = []string{""}
	}
	names := new(headerNames)
	assert.Equal(t, headerPlain, names.kindOf(h, "Bearer"))
	h["authorization"] = []string{"Basic Y2xpZW50OnNlY3JldA=="}
	assert.Equal(t, headerOwn, names.kindOf(h, "Bearer"))
	assert.Equal(t, headerPlain, names.kindOf(nil, "Bearer"))
}
