package tokensource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/storage"
)

// internet is all servers that a request of these tests can reach. Each token says in its
// text whose it is, so that one that comes to the wrong place is seen.
type internet struct {
	refuse func() bool // whether an API refuses a token

	mu     sync.Mutex
	issued int
	seen   int      // tokens that came in requests
	leaks  []string // requests with a token of someone else
}

// tokenText is how internet's tokens look: kind, issuer's host, client and a number.
var tokenText = regexp.MustCompile(`(access|refresh)~([a-z.]+)~([a-z]+)~\d+`)

func (n *internet) issue(host, client string) *oauth2.Token {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.issued++
	tail := fmt.Sprintf("~%s~%s~%d", host, client, n.issued)
	return &oauth2.Token{AccessToken: "access" + tail, RefreshToken: "refresh" + tail, Expiry: time.Now().Add(time.Hour)}
}

// RoundTrip implements http.RoundTripper.
func (n *internet) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	form, _ := url.ParseQuery(string(body))
	client := form.Get("client_id")
	if id, _, ok := r.BasicAuth(); ok {
		client = id
	}
	if client == "" { // at the API the path names it
		client = strings.TrimPrefix(r.URL.Path, "/api/")
	}
	var all bytes.Buffer
	fmt.Fprintln(&all, r.URL, r.Host, r.Header, string(body))
	unescaped, _ := url.QueryUnescape(all.String())
	n.mu.Lock()
	for _, m := range tokenText.FindAllStringSubmatch(unescaped, -1) {
		n.seen++
		if m[2] != r.URL.Host || m[3] != client {
			n.leaks = append(n.leaks, fmt.Sprintf("%s, by client %s: %s", r.URL, client, m[0]))
		}
	}
	n.mu.Unlock()
	resp := &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{"Content-Type": {"application/json"}}, Request: r, Body: http.NoBody}
	switch {
	case r.URL.Path == "/token":
		t := n.issue(r.URL.Host, client)
		data, _ := json.Marshal(map[string]any{"access_token": t.AccessToken, "refresh_token": t.RefreshToken, "token_type": "Bearer", "expires_in": 3600})
		resp.Body = io.NopCloser(bytes.NewReader(data))
	case strings.HasPrefix(r.URL.Path, "/api/") && n.refuse():
		resp.StatusCode = 401
	}
	return resp, nil
}

// party is a Manager of one registration, and the server that its tokens are for.
type party struct {
	*Manager
	Registration
	host string
}

func (n *internet) party(host, client string, plain bool, store *storage.Encrypted) *party {
	c := oauth2.Config{ClientID: client, ClientSecret: "s"}
	e := oauth2.Endpoint{AuthURL: "https://" + host + "/auth", TokenURL: "https://" + host + "/token", AuthStyle: oauth2.AuthStyleInParams}
	m := &Manager{Store: store, Base: n, APIURLs: []string{"https://" + host}}
	if plain {
		c.Endpoint, c.Endpoint.AuthStyle = e, oauth2.AuthStyleInHeader
		m.Config = &c
	} else {
		m.Config = endpoints.Provider{Name: host, Endpoint: e, RevokeURL: "https://" + host + "/revoke", APIURLs: m.APIURLs}.Config(c)
	}
	return &party{m, Registration{Issuer: "https://" + host, ClientID: client}, host}
}

// ownership is several parties over one store.
type ownership struct {
	*testing.T
	*internet
	*rand.Rand
	raw     *storage.Memory
	parties []*party
	owner   map[string]Registration // by name
}

var connections = []string{"a", "b", "c"}

// others returns the records that p doesn't own.
func (o *ownership) others(p *party) map[string]string {
	records := make(map[string]string)
	for _, name := range connections {
		if owner, ok := o.owner[name]; ok && owner != p.Registration {
			data, _, err := encrypted(o.raw).Get(o.Context(), name)
			require.NoError(o, err)
			records[name] = string(data)
		}
	}
	return records
}

// checkError checks an error that p was given for name, and reports whether it has to do
// with the owner.
func (o *ownership) checkError(p *party, name string, err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Reason != ReasonOtherClient {
		return false
	}
	assert.Equal(o, o.owner[name], e.Owner)
	assert.Equal(o, p.Registration, e.Manager)
	assert.NotEqual(o, e.Owner, e.Manager)
	assert.NotErrorIs(o, err, ErrLoginRequired)
	assert.Contains(o, e.Error(), e.Owner.String())
	assert.Contains(o, e.Error(), e.Manager.String())
	return true
}

// step has one party do something.
func (o *ownership) step(seed uint64) {
	p, name := o.parties[o.IntN(len(o.parties))], connections[o.IntN(len(connections))]
	owner, connected := o.owner[name]
	foreign := connected && owner != p.Registration
	time.Sleep(recheck) // an error is repeated for as long
	synctest.Wait()
	before := o.others(p)
	var err error
	strict := true
	action := o.IntN(11)
	switch action {
	case 0:
		if err = p.Save(o.Context(), name, o.issue(p.host, p.ClientID)); err == nil {
			o.owner[name] = p.Registration
		}
	case 1, 2:
		var t *oauth2.Token
		t, err = p.Source(name).Token()
		strict = false // it may have been ours a moment ago
		if err == nil {
			m := tokenText.FindStringSubmatch(t.AccessToken)
			assert.Equal(o, p.Registration, Registration{Issuer: "https://" + m[2], ClientID: m[3]})
		}
	case 3:
		var resp *http.Response
		if resp, err = p.Client(name).Get("https://" + p.host + "/api/" + p.ClientID); err == nil {
			resp.Body.Close()
		}
		strict = false
	case 4:
		require.NoError(o, p.sweep(o.Context(), time.Minute))
		strict = false
	case 5:
		if err = p.Disconnect(o.Context(), name); err == nil {
			delete(o.owner, name)
		}
	case 6:
		if err = p.Forget(o.Context(), name); err == nil {
			delete(o.owner, name)
		}
	case 7:
		_, err = p.Status(o.Context(), name)
	case 8:
		for st, err := range p.Connections(o.Context()) {
			require.NoError(o, err)
			assert.Equal(o, p.Registration, o.owner[st.Connection])
		}
		strict = false
	case 10:
		_, err = p.Store.Rekey(o.Context())
		require.NoError(o, err)
		strict = false
	case 9:
		time.Sleep([]time.Duration{time.Second, 2 * time.Minute, 30 * time.Minute, 2 * time.Hour}[o.IntN(4)])
		strict = false
	}
	synctest.Wait()
	isOther := o.checkError(p, name, err)
	assert.False(o, isOther && !foreign, "seed %d: %v", seed, err)
	if foreign && strict {
		assert.True(o, isOther, "seed %d: action %d of %v at a connection of %v: %v", seed, action, p.Registration, owner, err)
	}
	if action != 9 { // then the owner's background work goes on
		assert.Equal(o, before, o.others(p), "seed %d: action %d of %v", seed, action, p.Registration)
	}
}

// TestRegistrationsShareAStore has Managers of several registrations do all sorts of things
// over one store: none sends, changes or ends what is another's.
func TestRegistrationsShareAStore(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	seeds, sent := 60, 0
	if testing.Short() {
		seeds = 4
	}
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			n := &internet{refuse: func() bool { return rnd.IntN(3) == 0 }}
			raw := new(storage.Memory)
			o := &ownership{T: t, internet: n, Rand: rnd, raw: raw, owner: make(map[string]Registration)}
			for range 2 + rnd.IntN(2) {
				host, client := []string{"one.test", "two.test"}[rnd.IntN(2)], []string{"web", "staging"}[rnd.IntN(2)]
				o.parties = append(o.parties, n.party(host, client, rnd.IntN(2) == 0, encrypted(raw)))
			}
			for range 100 {
				o.step(seed)
			}
			for _, p := range o.parties {
				require.NoError(t, p.Flush(context.Background()))
			}
			assert.Empty(t, n.leaks, "seed %d", seed)
			sent += n.seen
			synctest.Wait()
		})
	}
	assert.Greater(t, sent, 3*seeds, "tokens were sent")
}

// TestRunOfAnotherClientLeavesRecordsAlone is the layout of a quickstart: a Manager for
// each provider, and one store.
func TestRunOfAnotherClientLeavesRecordsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &internet{refuse: func() bool { return false }}
		store := newMemory()
		ours, other := n.party("one.test", "web", true, store), n.party("two.test", "web", true, store)
		require.NoError(t, ours.Save(t.Context(), "k", n.issue("one.test", "web")))
		before, _, err := store.Get(t.Context(), "k")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*24*time.Hour)
		defer cancel()
		assert.ErrorIs(t, other.Run(ctx), context.DeadlineExceeded)
		after, _, err := store.Get(t.Context(), "k")
		require.NoError(t, err)
		assert.True(t, bytes.Equal(before, after))
		assert.Zero(t, n.seen)
	})
}
