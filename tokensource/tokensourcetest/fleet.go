package tokensourcetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// fleet is a store, a provider, and the processes that use both.
type fleet struct {
	t      *testing.T
	size   Size
	server *endpointstest.Server
	client oauth2.Config
	begun  time.Time

	at    string
	store storage.Store        // the parent's
	keys  [][]byte             // of the processes that are started from now on
	m     *tokensource.Manager // the parent's, which logs in and looks on

	names     []string // of all connections
	processes []process
	underWay  int // refreshes, when the connections were last looked after
	kills     int
	atStake   int // refreshes that the kills can have hit
	lost      map[tokensource.Reason]int
	sum       report // of the processes that weren't killed
}

// openFleet returns one without connections and processes.
func openFleet(t *testing.T, at string, size Size, grace time.Duration) *fleet {
	f := &fleet{t: t, size: size, server: endpointstest.New(t), at: at, keys: [][]byte{storage.NewKey()},
		lost: make(map[tokensource.Reason]int), begun: time.Now()}
	policy := f.server.Policy(endpoints.TaxRock)
	policy.AccessLifetime, policy.Rotate, policy.Grace = size.TokenLife, true, grace
	f.server.SetPolicy(endpoints.TaxRock, policy)
	f.client = f.server.Config(endpoints.TaxRock, "http://localhost/callback")

	s, err := opener(at)
	if err != nil {
		t.Fatalf("can't open the store: %v", err)
	}
	if c, ok := s.(io.Closer); ok {
		t.Cleanup(func() { c.Close() })
	}
	f.store = s
	f.m = f.manager(f.keys...)
	return f
}

func newFleet(t *testing.T, at string, size Size, grace time.Duration) *fleet {
	f := openFleet(t, at, size, grace)
	// If the answer came at once, hardly a process would be killed while it waits for
	// one, or meet another that does.
	f.server.Fail(endpoints.TaxRock, endpointstest.Fault{On: endpointstest.TokenEndpoint, AnswerDelay: size.TokenLife / 10})
	for i := range size.Connections {
		// Tokens that end together are refreshed together, and one kill would hit several.
		f.connect(connection(i), size.TokenLife-size.TokenLife/3*time.Duration(i)/time.Duration(size.Connections))
	}
	for range size.Processes {
		f.processes = append(f.processes, f.start(nil))
	}
	return f
}

func connection(i int) string { return fmt.Sprint("connection ", i) }

// connect saves a login whose token is taken for valid so long.
func (f *fleet) connect(name string, left time.Duration) {
	f.names = append(f.names, name)
	f.login(name, left)
}

func (f *fleet) login(name string, left time.Duration) {
	token := f.server.Connect(endpoints.TaxRock, "offline_access", "read:client-accounts")
	token.Expiry = time.Now().Add(left)
	if err := f.m.Save(f.t.Context(), name, token); err != nil {
		f.t.Fatalf("can't save a login: %v", err)
	}
}

// encrypted returns the parent's store with a keyset of these keys.
func (f *fleet) encrypted(keys ...[]byte) *storage.Encrypted {
	ring, err := storage.NewKeyset(keys[0], keys[1:]...)
	if err != nil {
		f.t.Fatal(err)
	}
	return storage.Encrypt(f.store, ring)
}

func (f *fleet) manager(keys ...[]byte) *tokensource.Manager {
	p := f.server.Provider(endpoints.TaxRock)
	return &tokensource.Manager{Config: p.Config(f.client), Store: f.encrypted(keys...)}
}

// start starts a process. with, if it isn't nil, changes its job.
func (f *fleet) start(with func(*job)) process {
	f.t.Helper()
	provider := f.server.Provider(endpoints.TaxRock)
	j := &job{
		At: f.at, Keys: f.keys,
		TokenURL: provider.Endpoint.TokenURL, APIURL: provider.APIURLs[0],
		ClientID: f.client.ClientID, ClientSecret: f.client.ClientSecret,
		Goroutines: f.size.Goroutines, Connections: f.size.Connections,
		TokenLife: f.size.TokenLife,
	}
	if with != nil {
		with(j)
	}
	return j.start(f.t)
}

// finish ends a process as a program ends that is told to.
func (f *fleet) finish(p process) {
	r, err := p.finish()
	if err != nil {
		f.t.Error(err)
	}
	f.sum.add(r)
}

func (f *fleet) stats() endpointstest.Stats { return f.server.Stats(endpoints.TaxRock) }

// work lets the fleet go on until n more tokens have been refreshed. Every tenth of a
// second it looks after the connections, and calls meanwhile if it isn't nil.
func (f *fleet) work(n int, meanwhile func()) {
	f.t.Helper()
	before := f.stats().Refreshed
	rounds := time.Duration(n/f.size.Connections + 1)
	limit := time.Minute + 4*rounds*f.size.TokenLife
	for start := time.Now(); f.stats().Refreshed < before+n; {
		if time.Since(start) > limit {
			f.t.Fatalf("%d tokens were refreshed in %v, and not %d", f.stats().Refreshed-before, limit, n)
		}
		time.Sleep(100 * time.Millisecond)
		for _, p := range f.processes {
			if p.over() {
				_, err := p.report()
				f.t.Fatalf("a process ended by itself: %v", err)
			}
		}
		f.underWay = 0
		for _, name := range f.names {
			if f.isLost(name) {
				f.login(name, f.size.TokenLife)
			}
		}
		if meanwhile != nil {
			meanwhile()
		}
	}
}

// isLost counts a connection that needs a login, or is being refreshed.
func (f *fleet) isLost(name string) bool {
	f.t.Helper()
	st, err := f.m.Status(f.t.Context(), name)
	if err != nil {
		f.t.Fatalf("no status of %q: %v", name, err)
	}
	switch st.State {
	case tokensource.StateRefreshing:
		f.underWay++
	case tokensource.StateLoginRequired:
		f.lost[st.Reason]++
		return true
	}
	return false
}

// end ends the processes. Then every connection must have a token for a process that
// is started with these keys, or be counted as lost.
func (f *fleet) end(keys ...[]byte) {
	f.t.Helper()
	for _, p := range f.processes {
		p.Stdin.Close()
	}
	for _, p := range f.processes {
		f.finish(p)
	}
	f.processes = nil
	m := f.manager(keys...)
	f.use(m, f.names)
	f.m = m
	for _, name := range f.names {
		f.isLost(name)
	}
}

// use asks for the tokens of connections, all at the same time.
func (f *fleet) use(m *tokensource.Manager, names []string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			_, err := m.Source(name).TokenContext(ctx)
			if err != nil && !errors.Is(err, tokensource.ErrLoginRequired) {
				f.t.Errorf("no token of %q: %v", name, err)
			}
		})
	}
	wg.Wait()
	if err := m.Flush(ctx); err != nil {
		f.t.Error(err)
	}
}

// tell logs the figures.
func (f *fleet) tell() {
	s := f.stats()
	f.t.Logf("%d refreshes, %d posts, %d reused, %d repeated in the grace window; %d API calls, %d refused, %d failed, %d late, %d without a login; %d kills, grants lost: %v; %v",
		s.Refreshed-s.Graced, s.RefreshRequests, s.Reused, s.Graced, s.APIAnswered, s.APIRefused, f.sum.Failed, f.sum.Late, f.sum.LoginRequired, f.kills, f.lost, time.Since(f.begun).Round(time.Second))
}
