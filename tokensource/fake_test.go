package tokensource

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// fakeProvider is a Config that issues tokens itself. The zero value doesn't rotate
// refresh tokens and issues access tokens that live for an hour.
type fakeProvider struct {
	life    time.Duration // of access tokens; 0 means an hour, negative for ever
	rotate  bool
	reuse   bool          // a spent refresh token ends its whole family
	grace   time.Duration // for which a spent refresh token is still taken
	latency func() time.Duration

	// fault, if not nil, is asked before a request is processed, and loss after,
	// for an error to return instead.
	fault, loss func() error

	mu     sync.Mutex
	next   int
	tokens map[string]*fakeGrant // by refresh token
	posts  int
	reused int
	issued []string // access tokens, in order
}

// fakeGrant is a refresh token.
type fakeGrant struct {
	family *fakeFamily
	spent  time.Time
}

// fakeFamily is all that descends from one login.
type fakeFamily struct {
	dead, revoked bool
	reused        time.Time // when a spent refresh token came back
}

// login returns the token of a new grant.
func (p *fakeProvider) login() *oauth2.Token {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.issue(new(fakeFamily))
}

func (p *fakeProvider) issue(family *fakeFamily) *oauth2.Token {
	p.next++
	t := &oauth2.Token{
		AccessToken:  fmt.Sprintf("access-%d", p.next),
		RefreshToken: fmt.Sprintf("refresh-%d", p.next),
		TokenType:    "Bearer",
	}
	life := p.life
	if life == 0 {
		life = time.Hour
	}
	if life > 0 {
		t.Expiry = time.Now().Add(life)
	}
	if p.tokens == nil {
		p.tokens = make(map[string]*fakeGrant)
	}
	p.tokens[t.RefreshToken] = &fakeGrant{family: family}
	p.issued = append(p.issued, t.AccessToken)
	return t.WithExtra(map[string]any{"scope": "read", "serial": float64(p.next)})
}

func (p *fakeProvider) TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
	return tokenFunc(func() (*oauth2.Token, error) { return p.refresh(ctx, t.RefreshToken) })
}

func (p *fakeProvider) refresh(ctx context.Context, refresh string) (*oauth2.Token, error) {
	p.mu.Lock()
	p.posts++
	p.mu.Unlock()
	if p.latency != nil {
		select {
		case <-time.After(p.latency()):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if p.fault != nil {
		if err := p.fault(); err != nil {
			return nil, err
		}
	}
	t, err := p.spend(refresh)
	if p.loss != nil {
		if lost := p.loss(); lost != nil {
			return nil, lost
		}
	}
	return t, err
}

func (p *fakeProvider) spend(refresh string) (*oauth2.Token, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.tokens[refresh]
	switch {
	case g == nil || g.family.dead:
		return nil, answer(400, "invalid_grant")
	case !p.rotate:
		t := p.issue(g.family)
		delete(p.tokens, t.RefreshToken)
		t.RefreshToken = refresh // x/oauth2 keeps it if none comes back
		return t, nil
	case !g.spent.IsZero() && time.Since(g.spent) > p.grace:
		p.reused++
		if p.reuse {
			g.family.dead, g.family.reused = true, time.Now()
		}
		return nil, answer(400, "invalid_grant")
	}
	if g.spent.IsZero() {
		g.spent = time.Now()
	}
	return p.issue(g.family), nil
}

// revoke ends the grants of all connections.
func (p *fakeProvider) revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.tokens {
		if !g.family.dead {
			*g.family = fakeFamily{dead: true, revoked: true}
		}
	}
}

func (p *fakeProvider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.posts
}

// tokenFunc is an oauth2.TokenSource.
type tokenFunc func() (*oauth2.Token, error)

func (f tokenFunc) Token() (*oauth2.Token, error) { return f() }

// answer is an error answer of a token endpoint.
func answer(status int, code string, header ...string) error {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &oauth2.RetrieveError{
		Response:  &http.Response{StatusCode: status, Status: http.StatusText(status), Header: h},
		Body:      []byte("a body with a secret in it"),
		ErrorCode: code,
	}
}

// Registration is that of every fake of these tests.
func (p *fakeProvider) Registration() (issuer, clientID string) { return testIssuer, testClient }

func (c configFunc) Registration() (issuer, clientID string) { return testIssuer, testClient }

const (
	testIssuer = "https://provider.test"
	testClient = "client"
)

var testOwner = Registration{Issuer: testIssuer, ClientID: testClient}
