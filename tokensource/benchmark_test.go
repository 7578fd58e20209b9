package tokensource

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// steady returns a source with a valid token.
func steady(t testing.TB) *Source {
	m := &Manager{Config: new(fakeProvider), Store: newMemory()}
	login := &oauth2.Token{AccessToken: "a", RefreshToken: "r", Expiry: time.Now().Add(24 * time.Hour)}
	require.NoError(t, m.Save(context.Background(), "k", login))
	return m.Source("k")
}

func TestHotPathAllocatesNothing(t *testing.T) {
	s, ctx := steady(t), context.Background()
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := s.get(ctx); err != nil {
			panic(err)
		}
	}))
	// The caller's copy is on the heap only if the caller keeps it, or the compiler can't see
	// that it doesn't.
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		if token, err := s.Token(); err != nil || token.AccessToken != "a" {
			panic(err)
		}
		if token, err := s.TokenContext(ctx); err != nil || token.AccessToken != "a" {
			panic(err)
		}
	}))
	var kept *oauth2.Token
	assert.Equal(t, 1.0, testing.AllocsPerRun(1000, func() {
		var err error
		if kept, err = s.Token(); err != nil {
			panic(err)
		}
	}), "the copy")
	assert.NotNil(t, kept)
}

func TestRequestIsCopiedWithItsHeaderAndNothingMore(t *testing.T) {
	m := steady(t).m
	m.APIURLs = []string{apiURL}
	resp := reply(200, "")
	m.Base = roundTripper(func(*http.Request) (*http.Response, error) { return resp, nil })
	r, err := http.NewRequest("GET", apiURL, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "application/json")
	transport := m.Client("k").Transport
	assert.Equal(t, 3.0, testing.AllocsPerRun(1000, func() {
		if _, err := transport.RoundTrip(r); err != nil {
			panic(err)
		}
	}), "the request, and a map's two")
}

func TestHotPathDoesNotTouchTheStore(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		f.access(m)
		f.raw.set(func(op string) error { panic(op) }, nil)
		for range 1000 {
			f.access(m)
		}
		f.raw.mended()
	})
}

// BenchmarkToken compares a Source with what x/oauth2 offers for one process.
func BenchmarkToken(b *testing.B) {
	s := steady(b)
	ctx := context.Background()
	static := oauth2.ReuseTokenSource(nil, s)
	for name, token := range map[string]func() error{
		"get":              func() error { _, err := s.get(ctx); return err },
		"Source.Token":     func() error { _, err := s.Token(); return err },
		"ReuseTokenSource": func() error { _, err := static.Token(); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := token(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := token(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkRoundTrip tells what the time of a request goes to, beside what x/oauth2 takes.
// The least of many runs is what they take while nothing else is at work:
//
//	go test -run '^$' -bench RoundTrip -benchtime 20000x -count 50
func BenchmarkRoundTrip(b *testing.B) {
	s := steady(b)
	s.m.APIURLs = []string{apiURL}
	resp := reply(200, "")
	base := roundTripper(func(*http.Request) (*http.Response, error) { return resp, nil })
	s.m.Base = base
	ours := s.m.Client("k").Transport.(*apiTransport)
	theirs := &oauth2.Transport{Source: oauth2.ReuseTokenSource(nil, s), Base: base}
	r, err := http.NewRequest("GET", apiURL, nil)
	require.NoError(b, err)
	for name, value := range map[string]string{"Accept": "application/json", "User-Agent": "sdk/1.2.3", "X-Request-Id": "5e3f8e5c"} {
		r.Header.Set(name, value)
	}
	v, err := s.get(r.Context())
	require.NoError(b, err)
	api := s.m.apiSettings()
	var sent struct { // as if base kept it
		request *http.Request
		header  http.Header
	}
	for _, part := range []struct {
		name string
		do   func()
	}{
		{"all", func() { ours.RoundTrip(r) }},
		{"x/oauth2", func() { theirs.RoundTrip(r) }},
		{"request", func() { c := *r; sent.request = &c }},
		{"header", func() { sent.header = withBearer(r.Header, headerPlain, v.bearer[:]) }},
		{"names", func() { api.names.kindOf(r.Header, api.scheme) }},
		{"walk", func() { kindOf(r.Header, api.scheme) }},
		{"token", func() { s.get(r.Context()) }},
		{"clock", func() { monotonic() }},
		{"origin", func() { ours.takesToken(r, api.origins) }},
		{"context", func() { r.Context().Value(tokenRequest{}) }},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				part.do()
			}
		})
	}
}
