package otelmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
	"github.com/oauth2keep/oauth2keep/tokensource/otelmetrics"
)

// fake refreshes as it is told to.
type fake struct {
	answer *oauth2.Token
	err    error
}

func (f *fake) TokenSource(context.Context, *oauth2.Token) oauth2.TokenSource { return f }

func (f *fake) Token() (*oauth2.Token, error) { return f.answer, f.err }

const secret = "token-value-that-nobody-may-see"

func token(expiry time.Time) *oauth2.Token {
	return &oauth2.Token{AccessToken: secret + "-access", RefreshToken: secret + "-refresh", Expiry: expiry}
}

func sealed(t *testing.T, store storage.Store) *storage.Encrypted {
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	return storage.Encrypt(store, keys)
}

func registration(issuer string) tokensource.Registration {
	return tokensource.Registration{Issuer: issuer, ClientID: "app"}
}

// scrape returns each series whose name begins with prefix, as "name{key=value …} number".
func scrape(t *testing.T, reader metric.Reader, prefix string) []string {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &data))
	var series []string
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if !strings.HasPrefix(m.Name, prefix) {
				continue
			}
			series = append(series, seriesOf(t, m)...)
		}
	}
	return series
}

func seriesOf(t *testing.T, m metricdata.Metrics) (series []string) {
	add := func(attributes attribute.Set, value int64) {
		series = append(series, fmt.Sprintf("%s{%s} %d", m.Name, attributes.Encoded(attribute.DefaultEncoder()), value))
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		assert.True(t, data.IsMonotonic)
		for _, p := range data.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, int64(p.Value))
		}
	default:
		t.Errorf("%s is a %T", m.Name, data)
	}
	return series
}

func TestEventsAreCounted(t *testing.T) {
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	store := sealed(t, new(storage.Memory))
	for name, config := range map[string]*fake{
		"good": {answer: token(time.Now().Add(time.Hour))},
		"bad":  {err: &oauth2.RetrieveError{ErrorCode: "invalid_grant", ErrorDescription: secret}},
	} {
		metrics, err := otelmetrics.New(provider, name)
		require.NoError(t, err)
		m := &tokensource.Manager{Config: config, Registration: registration("https://" + name), Store: store, OnEvent: metrics.OnEvent}
		for i := range 3 {
			connection := fmt.Sprintf("%s/%s-%d", name, secret, i)
			require.NoError(t, m.Save(t.Context(), connection, token(time.Now().Add(-time.Minute))))
			_, err := m.Source(connection).TokenContext(t.Context())
			require.Equal(t, name == "bad", errors.Is(err, tokensource.ErrLoginRequired))
		}
		require.NoError(t, m.Flush(t.Context()))
	}
	series := scrape(t, reader, "oauth2keep.events")
	assert.Contains(t, series, "oauth2keep.events{kind=failed,provider=good,reason=misconfigured} 0", "a rate sees the first one")
	series = slices.DeleteFunc(series, func(s string) bool { return strings.HasSuffix(s, " 0") })
	assert.ElementsMatch(t, []string{
		"oauth2keep.events{kind=saved,provider=good} 3",
		"oauth2keep.events{kind=refreshed,provider=good} 3",
		"oauth2keep.events{kind=saved,provider=bad} 3",
		"oauth2keep.events{kind=login_required,provider=bad,reason=revoked_or_expired} 3",
	}, series)
	assert.NotContains(t, strings.Join(series, "\n"), secret)
}

// hangingStore hangs while it lists if hang isn't nil, and can fail to.
type hangingStore struct {
	storage.Memory
	took time.Duration

	mu   sync.Mutex // guards what follows
	hang chan struct{}
	fail error
}

func (s *hangingStore) set(hang chan struct{}, fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang, s.fail = hang, fail
}

func (s *hangingStore) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	time.Sleep(s.took)
	return s.Memory.Get(ctx, name)
}

func (s *hangingStore) Names(ctx context.Context) iter.Seq2[string, error] {
	s.mu.Lock()
	hang, fail := s.hang, s.fail
	s.mu.Unlock()
	if fail != nil {
		return func(yield func(string, error) bool) { yield("", fail) }
	}
	if hang != nil {
		<-hang
	}
	return s.Memory.Names(ctx)
}

func TestConnectionsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := metric.NewManualReader()
		provider := metric.NewMeterProvider(metric.WithReader(reader))
		metrics, err := otelmetrics.New(provider, "here")
		require.NoError(t, err)
		memory := new(hangingStore)
		store := sealed(t, memory)
		m := &tokensource.Manager{Config: &fake{err: &oauth2.RetrieveError{ErrorCode: "invalid_grant"}}, Registration: registration("https://here"), Store: store}
		other := &tokensource.Manager{Config: new(fake), Registration: registration("https://there"), Store: store}
		require.NoError(t, other.Save(t.Context(), "another's", token(time.Time{})))
		for i := range 5 {
			require.NoError(t, m.Save(t.Context(), fmt.Sprint("healthy ", i), token(time.Time{})))
		}
		require.NoError(t, m.Save(t.Context(), "ended", token(time.Now().Add(-time.Hour))))
		_, err = m.Source("ended").TokenContext(t.Context())
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
		assert.Empty(t, scrape(t, reader, "oauth2keep.co"), "nothing was counted yet")

		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- metrics.Watch(ctx, m, time.Minute) }()
		synctest.Wait()
		first := time.Now().Unix()
		expected := func(healthy, at int64) []string {
			return []string{
				fmt.Sprintf("oauth2keep.connections{provider=here,state=healthy} %d", healthy),
				"oauth2keep.connections{provider=here,state=expiring} 0",
				"oauth2keep.connections{provider=here,state=refreshing} 0",
				"oauth2keep.connections{provider=here,state=unsaved} 0",
				"oauth2keep.connections{provider=here,state=failing} 0",
				"oauth2keep.connections{provider=here,state=login_required} 0",
				"oauth2keep.connections{provider=here,reason=revoked_or_expired,state=login_required} 1",
				"oauth2keep.connections{provider=here,state=unreadable} 0",
				fmt.Sprintf("oauth2keep.count.time{provider=here} %d", at),
			}
		}
		assert.ElementsMatch(t, expected(5, first), scrape(t, reader, "oauth2keep.co"))

		require.NoError(t, m.Save(t.Context(), "one more", token(time.Time{})))
		time.Sleep(90 * time.Second)
		assert.ElementsMatch(t, expected(6, first+60), scrape(t, reader, "oauth2keep.co"))

		hang := make(chan struct{})
		memory.set(hang, nil)
		time.Sleep(time.Hour)
		assert.ElementsMatch(t, expected(6, first+60), scrape(t, reader, "oauth2keep.co"), "of the last count that was complete")
		memory.set(nil, nil)
		close(hang)
		synctest.Wait()
		assert.ElementsMatch(t, expected(6, time.Now().Unix()), scrape(t, reader, "oauth2keep.co"))

		memory.set(nil, errors.New("the store is down"))
		at := time.Now().Unix()
		time.Sleep(time.Hour)
		assert.ElementsMatch(t, expected(6, at), scrape(t, reader, "oauth2keep.co"))
		memory.set(nil, nil)
		time.Sleep(time.Minute + time.Second)
		assert.NotContains(t, scrape(t, reader, "oauth2keep.co"), fmt.Sprintf("oauth2keep.count.time{provider=here} %d", at))
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
	})
}

// TestWatchRests: the store isn't kept busy for more than half of the time.
func TestWatchRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := new(hangingStore)
		m := &tokensource.Manager{Config: new(fake), Registration: registration("https://here"), Store: sealed(t, memory)}
		for i := range 1000 { // a batch
			require.NoError(t, m.Save(t.Context(), fmt.Sprint(i), token(time.Time{})))
		}
		memory.took = 5 * time.Millisecond
		reader := metric.NewManualReader()
		metrics, err := otelmetrics.New(metric.NewMeterProvider(metric.WithReader(reader)), "here")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- metrics.Watch(ctx, m, 0) }()
		time.Sleep(9 * time.Second)
		assert.Empty(t, scrape(t, reader, "oauth2keep.co"), "5 s of reading, and no rest")
		time.Sleep(2 * time.Second)
		assert.NotEmpty(t, scrape(t, reader, "oauth2keep.co"))
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
	})
}

// unlisted is a store that can't list.
type unlisted struct{ storage.Store }

func TestWatchWantsAStoreThatLists(t *testing.T) {
	metrics, err := otelmetrics.New(metric.NewMeterProvider(), "here")
	require.NoError(t, err)
	m := &tokensource.Manager{Config: new(fake), Registration: registration("https://here"), Store: sealed(t, unlisted{new(storage.Memory)})}
	assert.ErrorIs(t, metrics.Watch(t.Context(), m, time.Minute), errors.ErrUnsupported)
}
