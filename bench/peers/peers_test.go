package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
)

// few are options with which everything is done, and nothing for long.
func few(t testing.TB) options {
	return options{rounds: 3, turn: time.Microsecond, herd: 500, idle: 1000, dir: testenv.DirInMemory(t)}
}

// testWorld is for what is done, and not how long it takes.
func testWorld(t testing.TB) *world {
	w, err := newWorld(context.Background(), few(t))
	require.NoError(t, err)
	t.Cleanup(w.close)
	w.patience, w.settle = time.Millisecond, func() {}
	return w
}

// TestTableIsComplete does what the program does. That each result carries the token that
// it should is checked where it is measured.
func TestTableIsComplete(t *testing.T) {
	if testing.Short() {
		t.Skip("measures everything once; run without -short")
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), few(t), &out))
	for name, want := range map[string][]string{
		"cached token, 1 goroutine":       {ours, xoauth2, google, aws, smithy},
		"cached token, 2 goroutines":      {ours, xoauth2, google, aws, smithy},
		"cached token, 64 goroutines":     {ours, xoauth2, google, aws, smithy},
		"cached token that is kept":       {ours, xoauth2},
		"cached token with extra fields":  {ours, xoauth2},
		"round trip, 1 goroutine":         {ours, bare, xoauth2, google, smithy},
		"round trip, 2 goroutines":        {ours, bare, xoauth2, google, smithy},
		"round trip, 64 goroutines":       {ours, bare, xoauth2, google, smithy},
		"round trip over loopback":        {ours, xoauth2, google},
		"exchange over loopback":          {ours, xoauth2},
		"refresh over loopback":           {ours + ", saved in Memory", ours + ", saved in Dir", xoauth2 + ", not saved"},
		"herd of 500":                     {ours, xoauth2, google, aws, smithy},
		"idle connection":                 {"the bare token"},
		"idle connection, over its token": {ours, xoauth2, google, aws, smithy},
	} {
		var got []string
		for line := range strings.Lines(out.String()) {
			cells := strings.Split(line, "|")
			if len(cells) < 4 || strings.TrimSpace(cells[1]) != name {
				continue
			}
			got = append(got, strings.TrimSpace(cells[2]))
			assert.NotEmpty(t, strings.TrimSpace(cells[3]), line)
		}
		assert.Equal(t, want, got, name)
	}
	for _, path := range modules {
		assert.Regexp(t, `(?m)^- `+path+` (v[0-9]|[0-9a-f]{40}|\(devel\))`, out.String())
	}
}

// TestResultsAreChecked makes each side do what is not asked of it.
func TestResultsAreChecked(t *testing.T) {
	if testing.Short() {
		t.Skip("measures everything once; run without -short")
	}
	rows, err := testWorld(t).rows()
	require.NoError(t, err)
	for _, r := range rows {
		r.want = "another "
		for _, s := range r.sides {
			_, err := r.take(s, 1)
			assert.ErrorContains(t, err, `and not "another "`, r.name+", "+s.library)
		}
	}
}

func TestEveryClientSendsItsTokenAndLeavesTheRequestAlone(t *testing.T) {
	w := testWorld(t)
	k, err := w.keeper()
	require.NoError(t, err)
	g, err := googleClient(noop{})
	require.NoError(t, err)
	m := k.manager(new(storage.Memory), noopURL)
	m.Base = noop{}
	name, err := k.saved(m, newToken(current, time.Hour))
	require.NoError(t, err)
	for library, trip := range map[string]roundTripper{
		ours:    m.Client(name).Transport.RoundTrip,
		bare:    newBareCopies(noop{}).RoundTrip,
		xoauth2: xTransport(noop{}).RoundTrip,
		google:  g.Transport.RoundTrip,
		smithy:  smithySigned(noop{}),
	} {
		call := newNoopCall()
		r := request(call, noopURL)
		before := r.Clone(r.Context())
		_, err := trip(r)
		require.NoError(t, err, library)
		require.Len(t, call.header["Authorization"], 1, library)
		assert.Regexp(t, "^Bearer "+current+"[A-Z2-7]{104}$", call.header.Get("Authorization"), library)
		assert.Equal(t, before.Header, r.Header, library)
	}
}

// TestCachedTokensCostNoRequest finds a side that isn't a cache.
func TestCachedTokensCostNoRequest(t *testing.T) {
	w := testWorld(t)
	rows, err := w.rows()
	require.NoError(t, err)
	for _, r := range rows {
		if !strings.HasPrefix(r.want, current) && !strings.HasPrefix(r.want, "Bearer "+current) {
			continue
		}
		for _, s := range r.sides {
			got, err := r.take(s, 10)
			require.NoError(t, err)
			assert.Zero(t, got.requests, r.name+", "+s.library)
		}
	}
	assert.Zero(t, w.requests.Load())
}

func TestExchangesAndRefreshesCostOneRequestEach(t *testing.T) {
	rows, err := testWorld(t).rows()
	require.NoError(t, err)
	tried := 0
	for _, r := range rows {
		if r.want != issued || r.herd {
			continue
		}
		for _, s := range r.sides {
			got, err := r.take(s, 7)
			require.NoError(t, err)
			assert.EqualValues(t, 7, got.requests, r.name+", "+s.library)
			tried++
		}
	}
	assert.Equal(t, 5, tried)
}

func TestHerdMakesOneTokenRequest(t *testing.T) {
	w := testWorld(t)
	rows, err := w.rows()
	require.NoError(t, err)
	herd := rows[slices.IndexFunc(rows, func(r row) bool { return r.herd })]
	for _, s := range herd.sides {
		times := 3
		if testing.Short() {
			times = 1
		}
		for range times {
			got, err := herd.take(s, 1)
			require.NoError(t, err)
			assert.GreaterOrEqual(t, got.elapsed, w.patience, s.library)
			if s.library == ours {
				assert.EqualValues(t, 1, got.requests)
			} else {
				assert.Positive(t, got.requests, s.library)
			}
		}
	}
}

// TestRefreshedTokensAreSaved asks another process's Manager for them.
func TestRefreshedTokensAreSaved(t *testing.T) {
	w := testWorld(t)
	k, err := w.keeper()
	require.NoError(t, err)
	for name, s := range map[string]storage.Store{"Memory": new(storage.Memory), "Dir": w.dir} {
		ops, err := k.refresh(name, k.manager(s, noopURL)).begin(1, 1)
		require.NoError(t, err)
		token, err := ops[0]()
		require.NoError(t, err)
		requests := w.requests.Load()
		other, err := k.manager(s, noopURL).Source(connection(w.names.Load())).Token()
		require.NoError(t, err)
		assert.Equal(t, token, other.AccessToken)
		assert.Equal(t, requests, w.requests.Load())
	}
}

func TestIdleConnectionsAreHeld(t *testing.T) {
	w := testWorld(t)
	k, err := w.keeper()
	require.NoError(t, err)
	held, err := k.idle()(newToken(current, time.Hour))
	require.NoError(t, err)
	token, err := held.(oauth2.TokenSource).Token()
	require.NoError(t, err)
	assert.Contains(t, token.AccessToken, current)

	if testing.Short() {
		return // the heap is measured when it rests
	}
	bare, err := heapOf(1000, func(t *oauth2.Token) (any, error) { return t, nil })
	require.NoError(t, err)
	assert.InDelta(t, 300, bare, 60, "112 and 52 characters, and the struct")
}

// Benchmark has the rows of the table, one side after another.
func Benchmark(b *testing.B) {
	o := few(b)
	o.herd = 10_000
	w, err := newWorld(context.Background(), o)
	require.NoError(b, err)
	b.Cleanup(w.close)
	rows, err := w.rows()
	require.NoError(b, err)
	for _, r := range rows {
		for _, s := range r.sides {
			b.Run(r.name+"/"+s.library, func(b *testing.B) {
				n := max(b.N/r.goroutines, 1)
				if r.herd {
					n = 1
				}
				got, err := r.take(s, n)
				require.NoError(b, err)
				b.ReportMetric(float64(got.elapsed), "ns/op")
				b.ReportMetric(got.allocs, "allocs/op")
				if r.herd {
					b.ReportMetric(float64(got.requests), "requests")
				}
			})
		}
	}
}
