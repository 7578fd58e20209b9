package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/pipenet"
)

// receiver is a Handler, and what happened to it.
type receiver struct {
	Handler
	events []Event
	errs   []error
	result func(context.Context, Event) error // what Handle does, if not nil
}

func newReceiver() *receiver {
	rc := &receiver{}
	rc.Verifier = must(Finch(finchSecret))
	rc.Handle = func(ctx context.Context, e Event) error {
		rc.events = append(rc.events, e)
		if rc.result != nil {
			return rc.result(ctx, e)
		}
		return nil
	}
	rc.OnError = func(_ context.Context, err error) { rc.errs = append(rc.errs, err) }
	return rc
}

// deliver has Finch deliver an event, and returns the status of the answer.
func (rc *receiver) deliver(t *testing.T, id string) int {
	t.Helper()
	return rc.serve(http.MethodPost, finchHeader(t, finchSecret, id, time.Now(), finchBody), strings.NewReader(finchBody)).Code
}

func (rc *receiver) serve(method string, header http.Header, body io.Reader) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/", body)
	r.Header = header
	rc.ServeHTTP(w, r)
	return w
}

func TestEventIsHandledOnce(t *testing.T) {
	rc := newReceiver()
	assert.Equal(t, 200, rc.deliver(t, "msg_1"))
	require.Len(t, rc.events, 1)
	assert.Equal(t, "conn-1", rc.events[0].ConnectionID)
	assert.Equal(t, finchBody, string(rc.events[0].Body))
	assert.Equal(t, 200, rc.deliver(t, "msg_1"), "another try, since the first answer was lost")
	assert.Len(t, rc.events, 1)
	assert.Equal(t, 200, rc.deliver(t, "msg_2"))
	assert.Len(t, rc.events, 2)
	assert.Empty(t, rc.errs)
}

func TestReplayIsNotHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := newReceiver()
		recorded := finchHeader(t, finchSecret, "msg_1", time.Now().Add(5*time.Minute), finchBody)
		for range 12 {
			rc.serve(http.MethodPost, recorded.Clone(), strings.NewReader(finchBody))
			time.Sleep(time.Minute)
		}
		assert.Len(t, rc.events, 1)
		assert.Len(t, rc.errs, 1, "after 10 minutes it is too old")
	})
}

func TestWhatFailsIsHandledAgain(t *testing.T) {
	broken := errors.New("the database is down")
	for name, fail := range map[string]func(context.Context, Event) error{
		"an error":     func(context.Context, Event) error { return broken },
		"a panic":      func(context.Context, Event) error { panic(broken.Error()) },
		"a nil panic":  func(context.Context, Event) error { panic(nil) },
		"a refusal":    func(context.Context, Event) error { return malformed("of another webhook") },
		"another's OK": func(context.Context, Event) error { return &answer{200, broken} },
	} {
		t.Run(name, func(t *testing.T) {
			rc := newReceiver()
			rc.result = fail
			for range 2 {
				w := rc.serve(http.MethodPost, finchHeader(t, finchSecret, "msg_1", time.Now(), finchBody), strings.NewReader(finchBody))
				assert.Equal(t, 500, w.Code)
				assert.Equal(t, "Internal Server Error\n", w.Body.String(), "what is wrong is our business")
			}
			rc.result = nil
			assert.Equal(t, 200, rc.deliver(t, "msg_1"))
			assert.Len(t, rc.events, 3)
			require.Len(t, rc.errs, 2)
			assert.ErrorContains(t, rc.errs[0], "webhook: event Finch/msg_1: ")
		})
	}
}

func TestPanicIsReported(t *testing.T) {
	rc := newReceiver()
	rc.result = func(context.Context, Event) error { panic("at the disco") }
	rc.deliver(t, "msg_1")
	require.Len(t, rc.errs, 1)
	assert.ErrorContains(t, rc.errs[0], "panic: at the disco\n")
	assert.ErrorContains(t, rc.errs[0], "handler_test.go", "the stack")
}

func TestWhatIsNotTheProvidersIsRefused(t *testing.T) {
	long := `{"x":"` + strings.Repeat("x", 1<<20) + `"}`
	now := time.Now()
	for name, test := range map[string]struct {
		method string
		header http.Header
		body   io.Reader
		want   int
	}{
		"GET":             {http.MethodGet, finchHeader(t, finchSecret, "msg_1", now, finchBody), strings.NewReader(finchBody), 405},
		"PUT":             {http.MethodPut, finchHeader(t, finchSecret, "msg_1", now, finchBody), strings.NewReader(finchBody), 405},
		"no headers":      {http.MethodPost, http.Header{}, strings.NewReader(finchBody), 400},
		"another secret":  {http.MethodPost, finchHeader(t, "Zm9v", "msg_1", now, finchBody), strings.NewReader(finchBody), 401},
		"another body":    {http.MethodPost, finchHeader(t, finchSecret, "msg_1", now, finchBody), strings.NewReader(finchBody + " "), 401},
		"too old":         {http.MethodPost, finchHeader(t, finchSecret, "msg_1", now.Add(-time.Hour), finchBody), strings.NewReader(finchBody), 401},
		"Chart's":         {http.MethodPost, chartHeader(finchSecret, now, chartBody), strings.NewReader(chartBody), 400},
		"no JSON":         {http.MethodPost, finchHeader(t, finchSecret, "msg_1", now, "x"), strings.NewReader("x"), 400},
		"a long body":     {http.MethodPost, finchHeader(t, finchSecret, "msg_1", now, long), strings.NewReader(long), 413},
		"half of a body":  {http.MethodPost, finchHeader(t, finchSecret, "msg_1", now, finchBody), io.MultiReader(strings.NewReader(finchBody), broken{}), 400},
		"an endless body": {http.MethodPost, finchHeader(t, finchSecret, "msg_1", now, finchBody), endless{}, 413},
	} {
		t.Run(name, func(t *testing.T) {
			rc := newReceiver()
			w := rc.serve(test.method, test.header, test.body)
			assert.Equal(t, test.want, w.Code)
			assert.Equal(t, http.StatusText(test.want)+"\n", w.Body.String())
			assert.Equal(t, test.want == 405, w.Header().Get("Allow") == "POST")
			assert.Empty(t, rc.events)
			require.Len(t, rc.errs, 1)
			assert.NotContains(t, rc.errs[0].Error(), finchSecret)
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// The body of a request whose headers are wrong isn't read.
func TestHeadersAreCheckedFirst(t *testing.T) {
	rc := newReceiver()
	body := &bytes.Buffer{}
	body.WriteString(finchBody)
	h := finchHeader(t, finchSecret, "msg_1", time.Now().Add(-time.Hour), finchBody)
	assert.Equal(t, 401, rc.serve(http.MethodPost, h, body).Code)
	assert.Equal(t, len(finchBody), body.Len())
}

func TestHandlerThatIsNotSetUp(t *testing.T) {
	for _, h := range []*Handler{
		{},
		{Verifier: must(Finch(finchSecret))},
		{Verifier: new(Verifier), Handle: func(context.Context, Event) error { return nil }},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(finchBody))
		r.Header = finchHeader(t, finchSecret, "msg_1", time.Now(), finchBody)
		h.ServeHTTP(w, r)
		assert.Equal(t, 500, w.Code)
	}
}

func TestSecondTryWhileTheFirstIsHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc, first := newReceiver(), make(chan int)
		release := make(chan error)
		rc.result = func(_ context.Context, e Event) error {
			if e.ID == "msg_2" {
				return nil
			}
			return <-release
		}
		go func() { first <- rc.deliver(t, "msg_1") }()
		synctest.Wait()
		assert.Equal(t, 503, rc.deliver(t, "msg_1"))
		assert.Equal(t, 200, rc.deliver(t, "msg_2"), "another event waits for nobody")
		release <- nil
		assert.Equal(t, 200, <-first)
		assert.Equal(t, 200, rc.deliver(t, "msg_1"))
		assert.Len(t, rc.events, 2)
		assert.Empty(t, rc.inFlight)
	})
}

// A Goexit ends the goroutine, and leaves nothing behind.
func TestGoexitIsNotInFlightForEver(t *testing.T) {
	rc, done := newReceiver(), make(chan struct{})
	rc.result = func(context.Context, Event) error { runtime.Goexit(); return nil }
	go func() {
		defer close(done)
		rc.deliver(t, "msg_1")
	}()
	<-done
	rc.result = nil
	assert.Equal(t, 200, rc.deliver(t, "msg_1"))
}

// store is a Memory that can fail.
type store struct {
	memory
	seen, remember error
	until          time.Time
	ctxErr         error
}

func (s *store) Seen(ctx context.Context, key string) (bool, error) {
	if s.seen != nil {
		return false, s.seen
	}
	return s.memory.Seen(ctx, key)
}

func (s *store) Remember(ctx context.Context, key string, until time.Time) error {
	s.until, s.ctxErr = until, ctx.Err()
	if s.remember != nil {
		return s.remember
	}
	return s.memory.Remember(ctx, key, until)
}

func TestMemoryIsShared(t *testing.T) {
	shared := new(store)
	one, other := newReceiver(), newReceiver()
	one.Memory, other.Memory = shared, shared
	assert.Equal(t, 200, one.deliver(t, "msg_1"))
	assert.Equal(t, 200, other.deliver(t, "msg_1"))
	assert.Len(t, one.events, 1)
	assert.Empty(t, other.events)

	chartOne := &Handler{Verifier: must(Chart(chartSecret)), Handle: one.Handle, Memory: shared}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"id":"msg_1"}`))
	r.Header = chartHeader(chartSecret, time.Now(), `{"id":"msg_1"}`)
	chartOne.ServeHTTP(w, r)
	assert.Equal(t, 200, w.Code)
	assert.Len(t, one.events, 2, "the same ID at another provider")
}

func TestMemoryThatFails(t *testing.T) {
	down := errors.New("the memory is down")
	rc, memory := newReceiver(), &store{seen: down}
	rc.Memory = memory
	assert.Equal(t, 503, rc.deliver(t, "msg_1"))
	assert.Empty(t, rc.events)
	require.Len(t, rc.errs, 1)
	assert.ErrorIs(t, rc.errs[0], down)

	memory.seen, memory.remember = nil, down
	assert.Equal(t, 200, rc.deliver(t, "msg_1"), "it has been handled")
	require.Len(t, rc.errs, 2)
	assert.ErrorIs(t, rc.errs[1], down)
}

// The provider may hang up while Handle works.
func TestEventIsKeptAlthoughTheProviderHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc, memory := newReceiver(), new(store)
		rc.Memory, rc.Verifier.Tolerance = memory, time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		rc.result = func(ctx context.Context, _ Event) error {
			cancel()
			<-ctx.Done() // it is the request's
			return nil
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(finchBody))
		r.Header = finchHeader(t, finchSecret, "msg_1", time.Now(), finchBody)
		rc.ServeHTTP(httptest.NewRecorder(), r)
		assert.NoError(t, memory.ctxErr)
		assert.Equal(t, time.Now().Add(72*time.Hour), memory.until)
		assert.Equal(t, 200, rc.deliver(t, "msg_1"))
		assert.Len(t, rc.events, 1)

		rc.Verifier.Tolerance = 72 * time.Hour // so it can be replayed for 144 hours
		rc.result = nil
		rc.deliver(t, "msg_2")
		assert.Equal(t, time.Now().Add(144*time.Hour), memory.until)
	})
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := new(memory), t.Context()
		const all = maxRemembered + 1000
		for i := range all {
			require.NoError(t, m.Remember(ctx, fmt.Sprint("key ", i), time.Now().Add(time.Hour)))
		}
		assert.Len(t, m.until, maxRemembered)
		assert.Len(t, m.order, maxRemembered)
		has := func(i int) bool { seen, _ := m.Seen(ctx, fmt.Sprint("key ", i)); return seen }
		assert.True(t, has(all-1) && has(1000))
		assert.False(t, has(999))
		time.Sleep(time.Hour)
		assert.False(t, has(all-1))
		require.NoError(t, m.Remember(ctx, "new", time.Now().Add(time.Hour)))
		require.NoError(t, m.Remember(ctx, "new", time.Now().Add(time.Hour)))
		assert.Equal(t, []string{"new"}, m.order, "what has expired is dropped")
	})
}

// A provider that delivers every event again and again, at the same time, until it is
// answered 200.
func TestServer(t *testing.T) {
	const events, deliverers = 40, 8
	var mu sync.Mutex
	handled, failed := make(map[string]int), make(map[string]bool)
	transport := pipenet.Serve(t, &Handler{Verifier: must(Finch(finchSecret)), Handle: func(_ context.Context, e Event) error {
		mu.Lock()
		defer mu.Unlock()
		if !failed[e.ID] {
			failed[e.ID] = true
			return errors.New("at the first try")
		}
		handled[e.ID]++
		return nil
	}})
	transport.MaxIdleConnsPerHost = deliverers
	client := &http.Client{Transport: transport}
	var all sync.WaitGroup
	for range deliverers {
		all.Go(func() {
			for i := range events {
				for status := 0; status != 200; {
					r, err := http.NewRequest(http.MethodPost, "https://app.example/webhook", io.MultiReader(strings.NewReader(finchBody))) // chunked
					if !assert.NoError(t, err) {
						return
					}
					r.Header = finchHeader(t, finchSecret, fmt.Sprint("msg_", i), time.Now(), finchBody)
					resp, err := client.Do(r)
					if !assert.NoError(t, err) {
						return
					}
					resp.Body.Close()
					status = resp.StatusCode
					if !assert.Contains(t, []int{200, 500, 503}, status) {
						return
					}
				}
			}
		})
	}
	all.Wait()
	assert.Len(t, handled, events)
	for id, times := range handled {
		assert.Equal(t, 1, times, id)
	}
}
