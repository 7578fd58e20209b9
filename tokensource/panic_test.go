package tokensource

import (
	"context"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// sourceFunc is a Refresher that is one function.
type sourceFunc func(context.Context, *oauth2.Token) oauth2.TokenSource

func (s sourceFunc) TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
	return s(ctx, t)
}

func (sourceFunc) Registration() (issuer, clientID string) { return testIssuer, testClient }

const plantedPanic = "refresh-in-a-panic"

// ends are the ways in which a call doesn't return.
var ends = map[string]func(){
	"panic":  func() { panic(plantedPanic) },
	"nil":    func() { var s oauth2.TokenSource; _, _ = s.Token() },
	"Goexit": runtime.Goexit,
}

func TestRefresherThatDoesNotReturnIsAnErrorAndHoldsNobodyUp(t *testing.T) {
	for how, end := range ends {
		for where, wrap := range map[string]func(m *Manager, broken func() bool){
			"TokenSource": func(m *Manager, broken func() bool) {
				p := m.Config
				m.Config = sourceFunc(func(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
					if broken() {
						end()
					}
					return p.TokenSource(ctx, t)
				})
			},
			"Token": func(m *Manager, broken func() bool) {
				p := m.Config
				m.Config = sourceFunc(func(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
					return tokenFunc(func() (*oauth2.Token, error) {
						if broken() {
							end()
						}
						return p.TokenSource(ctx, t).Token()
					})
				})
			},
			"nil source": func(m *Manager, broken func() bool) {
				p := m.Config
				m.Config = sourceFunc(func(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
					if broken() {
						return nil
					}
					return p.TokenSource(ctx, t)
				})
			},
			"RequestContext": func(m *Manager, broken func() bool) {
				m.RequestContext = func(ctx context.Context) context.Context {
					if broken() {
						end()
					}
					return ctx
				}
			},
		} {
			t.Run(where+", "+how, func(t *testing.T) {
				onEvery(t, func(f *fixture) {
					m, isBroken := f.process(), true
					wrap(m, func() bool { return isBroken })
					require.NoError(f, m.Save(f.Context(), "k", f.login()))
					time.Sleep(time.Hour)
					calls := []<-chan result{later(m.Source("k").Token), later(m.Source("k").Token)}
					for _, c := range calls {
						r := <-c
						var e *Error
						require.ErrorAs(f, r.err, &e)
						assert.Equal(f, ReasonUnavailable, e.Reason)
						assert.ErrorContains(f, r.err, "Manager.Config")
						assert.NotContains(f, r.err.Error(), plantedPanic)
						assert.Less(f, r.took, time.Second)
					}
					assert.Nil(f, f.stored().Attempt, "others needn't wait")
					f.flush()
					isBroken = false
					time.Sleep(maxBackoff)
					assert.Equal(f, "access-2", f.access(m))
				})
			})
		}
	}
}

func TestRevokerThatDoesNotReturnIsAnErrorAndItsLeaseEnds(t *testing.T) {
	for how, end := range ends {
		for _, where := range []string{"Revoke", "RequestContext"} {
			t.Run(where+", "+how, func(t *testing.T) {
				onEvery(t, func(f *fixture) {
					isBroken := true
					m, _ := f.revocable(func(context.Context) error {
						if isBroken && where == "Revoke" {
							end()
						}
						return nil
					})
					m.RequestContext = func(ctx context.Context) context.Context {
						if isBroken && where == "RequestContext" {
							end()
						}
						return ctx
					}
					err := m.Disconnect(f.Context(), "k")
					var e *Error
					require.ErrorAs(f, err, &e)
					assert.NotContains(f, err.Error(), plantedPanic)
					assert.Nil(f, f.stored().Attempt)
					puts := f.raw.count("put")
					time.Sleep(time.Minute)
					assert.Equal(f, puts, f.raw.count("put"), "nothing is renewed any more")
					assert.Equal(f, "access-1", f.access(f.process()))
					isBroken = false
					require.NoError(f, m.Disconnect(f.Context(), "k"))
				})
			})
		}
	}
}

func TestOnEventThatDoesNotReturnStopsNothing(t *testing.T) {
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				m.OnEvent = func(ctx context.Context, e Event) {
					f.record(ctx, e)
					end()
				}
				time.Sleep(time.Hour)
				assert.Equal(f, "access-2", f.access(m))
				f.raw.fail("put")
				time.Sleep(time.Hour)
				_, err := m.Source("k").Token()
				require.Error(f, err)
				f.raw.mended()
				time.Sleep(maxBackoff)
				f.unsavedAnswer()
				assert.Equal(f, "access-3", f.access(m))
				f.raw.mended()
				f.flush()
				assert.Equal(f, "access-3", f.stored().AccessToken)
				f.revoke()
				time.Sleep(time.Hour)
				for range 2 {
					_, err = m.Source("k").Token()
					require.ErrorIs(f, err, ErrLoginRequired)
				}
				assert.Equal(f, 2, f.seen(EventRefreshed))
				assert.Equal(f, 1, f.seen(EventUnsaved))
				assert.Equal(f, 1, f.seen(EventFailed))
				assert.Equal(f, 1, f.seen(EventRecovered), "an event that ended with the goroutine keeps no other back")
				assert.Equal(f, 1, f.seen(EventLoginRequired))
				f.flush()
			})
		})
	}
}

// unsavedAnswer has the store go down while the provider answers.
func (f *fixture) unsavedAnswer() {
	f.fault = func() error {
		f.fault = nil
		f.raw.fail("put")
		return nil
	}
}

func TestPanicOfTheStoreIsAnErrorOfTheStore(t *testing.T) {
	for _, op := range []string{"get", "put", "lock"} {
		t.Run(op, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				if op == "lock" && !f.locked {
					return
				}
				m := f.connected()
				time.Sleep(time.Hour)
				f.raw.set(func(o string) error {
					if o == op {
						panic(plantedPanic)
					}
					return nil
				}, nil)
				_, err := m.Source("k").Token()
				require.Error(f, err)
				assert.NotContains(f, err.Error(), plantedPanic)
				assert.True(f, isReason(err, ReasonStore))
				f.raw.mended()
				time.Sleep(2 * leaseTime)
				assert.Equal(f, "access-2", f.access(m))
			})
		})
	}
}

// panicky is a store of which one method panics.
type panicky struct {
	*storage.Memory
	method string
}

func (p panicky) at(method string) {
	if p.method == method {
		panic(plantedPanic)
	}
}

func (p panicky) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	p.at("Get")
	return p.Memory.Get(ctx, name)
}

func (p panicky) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	p.at("Put")
	return p.Memory.Put(ctx, name, value, old)
}

func (p panicky) Delete(ctx context.Context, name string, old storage.Version) error {
	p.at("Delete")
	return p.Memory.Delete(ctx, name, old)
}

func (p panicky) Lock(ctx context.Context, name string) (func(), error) {
	p.at("Lock")
	return p.Memory.Lock(ctx, name)
}

func (p panicky) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		p.at("Names")
		p.Memory.Names(ctx)(yield)
	}
}

// TestPanicOfTheStoreIsAnErrorOfEachCall, also of Run, which a goroutine of its own calls.
func TestPanicOfTheStoreIsAnErrorOfEachCall(t *testing.T) {
	calls := map[string]struct {
		methods []string // of the store, that it comes to
		call    func(f *fixture, m *Manager) error
	}{
		"Save":       {[]string{"Get", "Put"}, func(f *fixture, m *Manager) error { return m.Save(f.Context(), "k", f.login()) }},
		"Disconnect": {[]string{"Get", "Put", "Delete", "Lock"}, func(f *fixture, m *Manager) error { return m.Disconnect(f.Context(), "k") }},
		"Forget":     {[]string{"Get", "Delete"}, func(f *fixture, m *Manager) error { return m.Forget(f.Context(), "k") }},
		"Move": {[]string{"Get", "Put", "Lock"}, func(f *fixture, m *Manager) error {
			m.Registration = moved
			return m.Move(f.Context(), "k", testOwner)
		}},
		"Connections": {[]string{"Get", "Names"}, func(f *fixture, m *Manager) (last error) {
			for _, err := range m.Connections(f.Context()) {
				last = err
			}
			return last
		}},
		"Run": {[]string{"Get", "Names"}, func(f *fixture, m *Manager) (last error) {
			m.OnEvent = func(_ context.Context, e Event) { last = e.Err }
			ctx, cancel := context.WithTimeout(f.Context(), time.Second)
			defer cancel()
			require.ErrorIs(f, m.Run(ctx), context.DeadlineExceeded)
			return last
		}},
	}
	for name, c := range calls {
		for _, method := range c.methods {
			t.Run(name+", "+method, func(t *testing.T) {
				onSwap(t, func(f *fixture) {
					memory := new(storage.Memory)
					saver := f.process()
					saver.Config, saver.Store = &revoker{fakeProvider: f.fakeProvider}, encrypted(memory)
					require.NoError(f, saver.Save(f.Context(), "k", f.login()))
					m := f.process()
					m.Config, m.Store = saver.Config, encrypted(panicky{memory, method})
					err := c.call(f, m)
					require.True(f, isReason(err, ReasonStore), "%v", err)
					assert.NotContains(f, err.Error(), plantedPanic)
				})
			})
		}
	}
}

func TestPanicOfWhoWalksOverConnectionsIsTheirOwn(t *testing.T) {
	m := &Manager{Config: new(fakeProvider), Store: newMemory()}
	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "t"}))
	assert.PanicsWithValue(t, "theirs", func() {
		for range m.Connections(t.Context()) {
			panic("theirs")
		}
	})
}

func TestPanicOfTheStoreDuringARequestCostsNeitherTheProcessNorTheToken(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.latency = after(4 * time.Second)
		c := later(m.Source("k").Token)
		time.Sleep(500 * time.Millisecond)
		f.raw.set(func(string) error { panic(plantedPanic) }, nil) // renewals, the save and those after it
		r := <-c
		require.NoError(f, r.err)
		assert.Equal(f, "access-2", r.AccessToken)
		time.Sleep(10 * time.Second)
		f.raw.mended()
		f.flush()
		assert.Equal(f, "access-2", f.stored().AccessToken)
	})
}

// panicking is a Refresher whose own methods panic.
type panicking struct{ *fakeProvider }

func (panicking) Registration() (string, string) { panic(plantedPanic) }

func TestPanicOfRegistrationIsNotForgotten(t *testing.T) {
	m := &Manager{Config: panicking{new(fakeProvider)}, Store: newMemory()}
	assert.Panics(t, func() { _ = m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "t"}) })
	assert.ErrorContains(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "t"}), "panicked", "a server has recovered; the record would be nobody's")
}

// particular is an API that needs what came beside a token.
type particular struct{ finch }

func (particular) APIHeader(t *oauth2.Token) http.Header {
	return http.Header{"X-Token": {t.AccessToken}, "X-Tenant": {t.Extra("tenant").(string)}}
}

func TestPanicOfAPIHeaderIsNotForgotten(t *testing.T) {
	m := &Manager{Config: particular{finch{new(fakeProvider)}}, Store: newMemory()}
	require.NoError(t, m.Save(t.Context(), "k", (&oauth2.Token{AccessToken: "t"}).WithExtra(map[string]any{"tenant": "acme"})))
	assert.Panics(t, func() { _, _ = m.Client("k").Get(apiURL) })
	_, err := m.Client("k").Get(apiURL)
	assert.ErrorContains(t, err, "panicked", "a server has recovered; in which fields a token is, isn't known")
}

// TestCallbackMayDoAnything has the callback call every method, on each kind of event, for
// the connection that the event is about.
func TestCallbackMayDoAnything(t *testing.T) {
	for name, act := range map[string]func(f *fixture, m *Manager){
		"Disconnect": func(f *fixture, m *Manager) { _ = m.Disconnect(f.Context(), "k") },
		"Forget":     func(f *fixture, m *Manager) { _ = m.Forget(f.Context(), "k") },
		"Save":       func(f *fixture, m *Manager) { _ = m.Save(f.Context(), "k", f.login()) },
		"Token":      func(_ *fixture, m *Manager) { _, _ = m.Source("k").Token() },
		"Reject":     func(_ *fixture, m *Manager) { m.Source("k").Reject(&oauth2.Token{AccessToken: "access-1"}) },
		"Stored":     func(f *fixture, m *Manager) { _, _ = m.Source("k").Stored(f.Context()) },
		"Status":     func(f *fixture, m *Manager) { _, _ = m.Status(f.Context(), "k") },
		"Move":       func(f *fixture, m *Manager) { _ = m.Move(f.Context(), "k", testOwner) },
		"Client": func(_ *fixture, m *Manager) {
			if resp, err := m.Client("k").Get(apiURL); err == nil {
				resp.Body.Close()
			}
		},
		"Connections": func(f *fixture, m *Manager) {
			for range m.Connections(f.Context()) {
				_ = m.Forget(f.Context(), "k")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m, _ := f.revocable(nil)
				api := withAPI(m)
				api.respond = func(_ *http.Request, token, _ string) *http.Response {
					if token == "Bearer access-1" {
						return reply(401, "")
					}
					return reply(200, "")
				}
				depth := 0
				m.OnEvent = func(ctx context.Context, e Event) {
					f.record(ctx, e)
					if depth++; depth <= 20 { // a Save in the event of a Save has no end
						act(f, m)
					}
				}
				begun := time.Now()
				require.NoError(f, m.Save(f.Context(), "k", f.login()))
				time.Sleep(time.Hour)
				_, _ = m.Source("k").Token()
				f.revoke()
				time.Sleep(time.Hour)
				_, _ = m.Source("k").Token()
				_ = m.Disconnect(f.Context(), "k")
				f.flush()
				assert.Less(f, time.Since(begun), 2*time.Hour+10*time.Second, "nothing has waited for itself")
			})
		})
	}
}

// brittle is an error whose own methods panic, as those of a nil pointer do.
type brittle struct{}

func (brittle) Error() string { panic(plantedPanic) }
func (brittle) As(any) bool   { panic(plantedPanic) }

// mute is an error of a machine without a network whose text nobody gets.
type mute struct{}

func (mute) Error() string { runtime.Goexit(); return "" }
func (mute) Unwrap() error { return localFaults["no network"] }

func TestErrorWhoseMethodsDoNotReturnIsOneOfTheRefresher(t *testing.T) {
	for name, broken := range map[string]error{
		"RetrieveError": (*oauth2.RetrieveError)(nil), "url.Error": (*url.Error)(nil), "net.OpError": (*net.OpError)(nil),
		"wrapped": fmt.Errorf("refresh: %w", (*oauth2.RetrieveError)(nil)), "its own": brittle{}, "Goexit": mute{},
	} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m, _ := f.revocable(func(context.Context) error { return broken })
				f.fault = func() error { return broken }
				time.Sleep(time.Hour)
				_, err := m.Source("k").Token()
				assert.True(f, isReason(err, ReasonUnavailable), "%v", err)
				assert.Nil(f, f.stored().Attempt)
				err = m.Disconnect(f.Context(), "k")
				assert.True(f, isReason(err, ReasonUnavailable), "%v", err)
				assert.Nil(f, f.stored().Attempt)
			})
		})
	}
}
