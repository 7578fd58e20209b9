package tokensource

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"

	"github.com/oauth2keep/oauth2keep/storage"
)

// grants is a provider that gives tokens to a client itself.
type grants struct {
	latency time.Duration
	fault   func() error // asked before, may be nil
	loss    func() error // and after

	mu    sync.Mutex
	posts int
}

func (g *grants) TokenSource(ctx context.Context) oauth2.TokenSource {
	return tokenFunc(func() (*oauth2.Token, error) {
		g.mu.Lock()
		g.posts++
		n := g.posts
		g.mu.Unlock()
		time.Sleep(g.latency)
		for _, f := range []func() error{g.fault, g.loss} {
			if f != nil {
				if err := f(); err != nil {
					return nil, err
				}
			}
		}
		return &oauth2.Token{AccessToken: fmt.Sprintf("own-%d", n), TokenType: "Bearer", Expiry: time.Now().Add(time.Hour)}, nil
	})
}

var ownRegistration = Registration{Issuer: testIssuer, ClientID: testClient, TwoLegged: true}

// twoLegged returns a Manager of a process that obtains tokens from g.
func (f *fixture) twoLegged(g *grants) *Manager {
	m := f.process()
	m.Config, m.Registration = TwoLegged(g), testOwner
	return m
}

func TestTwoLeggedTokenIsObtainedOnceByAllProcesses(t *testing.T) {
	onEvery(t, func(f *fixture) {
		g := &grants{latency: 3 * time.Second}
		var waits sync.WaitGroup
		for range 4 {
			m := f.twoLegged(g)
			for range 16 {
				waits.Go(func() { assert.Equal(f, "own-1", f.access(m)) })
			}
		}
		waits.Wait()
		assert.Equal(f, 1, g.posts)
		assert.Equal(f, ownRegistration, *f.stored().Registration)
		assert.Equal(f, 1, f.stored().Generation)
		assert.Equal(f, 1, f.seen(EventRefreshed))
		assert.Equal(f, "own-1", f.access(f.twoLegged(g)), "of the store")
		data, _, err := f.raw.Store.Get(f.Context(), "k")
		require.NoError(f, err)
		assert.NotContains(f, string(data), "own-1", "sealed")

		time.Sleep(56 * time.Minute) // due, and valid
		m := f.all[0]
		assert.Equal(f, "own-1", f.access(m))
		time.Sleep(4 * time.Second)
		assert.Equal(f, "own-2", f.access(m))
		assert.Equal(f, 2, g.posts)
	})
}

func TestTwoLeggedTokenIsObtainedInPlaceOfAProcessThatDied(t *testing.T) {
	onEvery(t, func(f *fixture) {
		g := new(grants)
		m := f.twoLegged(g)
		rec := unobtained(ownRegistration, time.Now())
		f.put(rec.claimed("dead", f.locked, time.Now()))
		st := f.status(m)
		assert.Equal(f, StateRefreshing, st.State)
		assert.True(f, st.Refreshable)
		_, err := m.Source("k").Stored(f.Context())
		assert.Error(f, err, "there is none yet")
		assert.Equal(f, "own-1", f.access(m))
		assert.Equal(f, 1, g.posts)
		assert.False(f, f.stored().MayBeSpent, "nothing could be spent")
		assert.Zero(f, f.seen(EventAdopted))
	})
}

func TestTwoLeggedRequestWhoseAnswerIsLostIsMadeAgain(t *testing.T) {
	onEvery(t, func(f *fixture) {
		losses := 1
		g := &grants{loss: func() error {
			if losses--; losses >= 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}}
		m := f.twoLegged(g)
		assert.Equal(f, "own-2", f.access(m))
		losses = 2
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		assert.True(f, isReason(err, ReasonUnavailable), "%v", err)
		time.Sleep(time.Minute)
		assert.Equal(f, "own-5", f.access(m))
		assert.Equal(f, StateHealthy, f.status(m).State)
	})
}

// TestTwoLeggedErrorsNeverRequireALogin, since there is no user.
func TestTwoLeggedErrorsNeverRequireALogin(t *testing.T) {
	for _, code := range []string{"invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope"} {
		t.Run(code, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				g := &grants{fault: func() error { return answer(400, code) }}
				m := f.twoLegged(g)
				_, err := m.Source("k").Token()
				assert.True(f, isReason(err, ReasonMisconfigured), "%v", err)
				assert.NotErrorIs(f, err, ErrLoginRequired)
				assert.Contains(f, err.Error(), code)
				for range 25 {
					time.Sleep(4 * time.Second)
					_, err = m.Source("k").Token()
					assert.NotErrorIs(f, err, ErrLoginRequired)
				}
				assert.Less(f, g.posts, 12)
				assert.Equal(f, StateFailing, f.status(m).State)
				assert.Zero(f, f.seen(EventLoginRequired))
				g.fault = nil
				time.Sleep(maxBackoff)
				f.access(m)
				assert.Equal(f, StateHealthy, f.status(m).State)
			})
		})
	}
}

func TestTwoLeggedTokenThatTheAPIRefusesIsObtainedAnew(t *testing.T) {
	onSwap(t, func(f *fixture) {
		g := new(grants)
		m := f.twoLegged(g)
		m.APIURLs = []string{"https://api.test"}
		m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}}
			if r.Header.Get("Authorization") == "Bearer own-1" {
				resp.StatusCode = 401
			}
			return resp, nil
		})
		resp, err := m.Client("k").Get("https://api.test")
		require.NoError(f, err)
		assert.Equal(f, 200, resp.StatusCode)
		assert.Equal(f, 2, g.posts)
		token, err := m.Source("k").Token()
		require.NoError(f, err)
		m.Source("k").Reject(token)
		_, err = m.Source("k").Token()
		assert.NoError(f, err)
		assert.Zero(f, f.seen(EventLoginRequired))
	})
}

func TestTwoLeggedForgetAndDisconnect(t *testing.T) {
	onEvery(t, func(f *fixture) {
		g := &grants{latency: 2 * time.Second}
		m, other := f.twoLegged(g), f.twoLegged(g)
		_, err := m.Status(f.Context(), "k")
		assert.True(f, isReason(err, ReasonNotConnected), "%v", err)
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		f.access(m)
		f.access(other)
		assert.ErrorIs(f, m.Disconnect(f.Context(), "k"), errors.ErrUnsupported)
		require.NoError(f, m.Forget(f.Context(), "k"))
		assert.Equal(f, "own-2", f.access(m))
		time.Sleep(veryStale*defaultStale + time.Second)
		assert.Equal(f, "own-2", f.access(other))
		require.NoError(f, m.Forget(f.Context(), "k"))
		time.Sleep(veryStale*defaultStale + time.Second)
		adopted := f.seen(EventAdopted)
		assert.Equal(f, "own-3", f.access(other), "whoever comes first")
		assert.Equal(f, adopted, f.seen(EventAdopted))
	})
}

// TestTwoLeggedTokenThatIsForgottenWhileItIsObtained leads to another one, not to a login.
func TestTwoLeggedTokenThatIsForgottenWhileItIsObtained(t *testing.T) {
	onSwap(t, func(f *fixture) {
		g := &grants{latency: 3 * time.Second}
		m := f.twoLegged(g)
		r := later(m.Source("k").Token)
		time.Sleep(time.Second)
		require.NoError(f, f.twoLegged(g).Forget(f.Context(), "k"))
		got := <-r
		require.NoError(f, got.err)
		assert.Equal(f, got.AccessToken, f.stored().AccessToken)
	})
}

func TestTwoLeggedTokenMayBeSaved(t *testing.T) {
	onSwap(t, func(f *fixture) {
		g := new(grants)
		m := f.twoLegged(g)
		require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "theirs", Expiry: time.Now().Add(time.Hour)}))
		assert.Equal(f, "theirs", f.access(m))
		time.Sleep(time.Hour)
		assert.Equal(f, "own-1", f.access(m))
		require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "theirs", Expiry: time.Now().Add(-time.Hour)}))
		assert.Zero(f, f.seen(EventLoginRequired))
		assert.Equal(f, "own-2", f.access(m))
	})
}

// TestTwoLeggedTokensAndThoseOfUsersAreKeptApart: one client may have both, in one store. The
// client's own token must not take the place of a user's.
func TestTwoLeggedTokensAndThoseOfUsersAreKeptApart(t *testing.T) {
	onSwap(t, func(f *fixture) {
		users, own := f.connected(), f.twoLegged(new(grants))
		own.Store = encrypted(f.raw.Store.(unlocked).Store) // which can list
		require.NoError(f, users.Save(f.Context(), "k", f.login()))
		_, err := own.Source("k").Token()
		assert.True(f, isReason(err, ReasonOtherClient), "%v", err)
		assert.Contains(f, err.Error(), ownRegistration.String())
		time.Sleep(30 * 24 * time.Hour)
		before := f.stored()
		require.NoError(f, own.sweep(f.Context(), time.Minute))
		assert.Equal(f, before, f.stored())
		for st := range own.Connections(f.Context()) {
			f.Errorf("%s is another's", st.Connection)
		}
		_, err = own.Source("app").Token()
		require.NoError(f, err)
		for st, err := range own.Connections(f.Context()) {
			require.NoError(f, err)
			assert.Equal(f, "app", st.Connection)
		}
		_, err = users.Source("app").Token()
		assert.True(f, isReason(err, ReasonOtherClient), "%v", err)
	})
}

func TestRegistrationOfTwoLeggedConfigs(t *testing.T) {
	credentials := &clientcredentials.Config{ClientID: "id", TokenURL: "https://provider.test:8443/oauth/token"}
	assertion := &jwt.Config{Email: "robot@provider.test", TokenURL: "https://provider.test/token"}
	for _, c := range []struct {
		config interface {
			TokenSource(context.Context) oauth2.TokenSource
		}
		set, want Registration
		err       string
	}{
		{config: credentials, want: Registration{"https://provider.test:8443", "id", true}},
		{config: assertion, want: Registration{"https://provider.test", "robot@provider.test", true}},
		{config: credentials, set: Registration{Issuer: "https://issuer.test", ClientID: "other"}, want: Registration{"https://issuer.test", "other", true}},
		{config: new(grants), set: testOwner, want: ownRegistration},
		{config: new(grants), err: "Manager.Registration"},
		{config: new(clientcredentials.Config), err: "token URL"},
		{config: &clientcredentials.Config{TokenURL: "/relative"}, err: "token URL"},
		{config: &clientcredentials.Config{TokenURL: "http://provider.test/token"}, err: "https"},
	} {
		m := &Manager{Config: TwoLegged(c.config), Registration: c.set, Store: newMemory()}
		set, err := m.settings()
		if c.err != "" {
			assert.ErrorContains(t, err, c.err)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, c.want, set.registration)
	}
}

// rsaKey returns a key of two primes that are known: to find others takes long.
func rsaKey() *rsa.PrivateKey {
	one, e := big.NewInt(1), 65537
	p := new(big.Int).Lsh(one, 512)
	p.Sub(p, big.NewInt(569))
	q := new(big.Int).Lsh(big.NewInt(3), 510)
	q.Add(q, big.NewInt(761))
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: e},
		D:         new(big.Int).ModInverse(big.NewInt(int64(e)), phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	return key
}

// TestTwoLeggedConfigsOfXOAuth2 has both of them get a token, and be refused one.
func TestTwoLeggedConfigsOfXOAuth2(t *testing.T) {
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey())})
	for name, config := range map[string]interface {
		TokenSource(context.Context) oauth2.TokenSource
	}{
		"client_credentials":                          &clientcredentials.Config{ClientID: "id", ClientSecret: "s", TokenURL: "https://provider.test/token", AuthStyle: oauth2.AuthStyleInParams},
		"urn:ietf:params:oauth:grant-type:jwt-bearer": &jwt.Config{Email: "robot@provider.test", PrivateKey: private, TokenURL: "https://provider.test/token"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				posts, status, body := 0, 200, ""
				base := roundTripper(func(r *http.Request) (*http.Response, error) {
					posts++
					require.NoError(t, r.ParseForm())
					assert.Equal(t, name, r.PostForm.Get("grant_type"))
					text := body
					if status == 200 {
						text = fmt.Sprintf(`{"access_token":"own-%d","token_type":"Bearer","expires_in":3600}`, posts)
					}
					h := http.Header{"Content-Type": {"application/json"}}
					return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
				})
				store := encrypted(new(storage.Memory))
				a, b := &Manager{Config: TwoLegged(config), Store: store, Base: base}, &Manager{Config: TwoLegged(config), Store: store, Base: base}
				for _, m := range []*Manager{a, b, a} {
					token, err := m.Source("app").Token()
					require.NoError(t, err)
					assert.Equal(t, "own-1", token.AccessToken)
				}
				for _, refused := range []struct {
					status int
					code   string
				}{{400, "invalid_grant"}, {401, "invalid_client"}} {
					time.Sleep(3 * time.Hour)
					status, body = refused.status, fmt.Sprintf(`{"error":%q}`, refused.code)
					_, err := a.Source("app").Token()
					assert.True(t, isReason(err, ReasonMisconfigured), "%v", err)
					assert.ErrorContains(t, err, refused.code)
					status = 200
					time.Sleep(maxBackoff)
					token, err := a.Source("app").Token()
					require.NoError(t, err)
					assert.Equal(t, fmt.Sprintf("own-%d", posts), token.AccessToken)
				}
				require.NoError(t, a.Flush(t.Context()))
				require.NoError(t, b.Flush(t.Context()))
			})
		})
	}
}

func TestTwoLeggedGrantThatHasEndedIsObtainedAgain(t *testing.T) {
	onEvery(t, func(f *fixture) {
		g := new(grants)
		m := f.twoLegged(g)
		assert.Equal(f, "own-1", f.access(m))
		stored, err := m.Source("k").Stored(f.Context())
		require.NoError(f, err)
		require.NoError(f, m.Source("k").RequireLogin(f.Context(), stored, "revoked"))
		assert.Equal(f, "own-2", f.access(m), "there is nobody who could log in")
		assert.Zero(f, f.seen(EventLoginRequired))
	})
}
