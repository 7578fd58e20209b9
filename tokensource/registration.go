package tokensource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/storage"
)

// Registration names a client at an authorization server (RFC 7591). Every record holds
// the one that it was made for. A Manager with another never reads a token out of that
// record, sends anything from it, or overwrites, ends or deletes it: RFC 6749, section
// 5.2, has a server answer invalid_grant for another client's token, and another server
// must not see it at all.
type Registration struct {
	// Issuer is the authorization server's issuer identifier (RFC 8414, section 2), or
	// where none is known the origin of its token URL, such as "https://example.com".
	Issuer string `json:"issuer"`

	ClientID string `json:"client_id"`

	// TwoLegged says that the client gets tokens for itself: see [TwoLegged]. They are kept
	// apart from those of the users who have consented to the same client. A Manager knows
	// it by its Config.
	TwoLegged bool `json:"two_legged,omitempty"`
}

// String returns the client and the issuer, for people.
func (r Registration) String() string {
	if r.TwoLegged {
		return fmt.Sprintf("client %q at %s (two-legged)", r.ClientID, r.Issuer)
	}
	return fmt.Sprintf("client %q at %s", r.ClientID, r.Issuer)
}

// A Registrant is a Refresher that knows its [Registration]. *endpoints.Config is one,
// and of *oauth2.Config it is known too: the origin of Endpoint.TokenURL, and ClientID.
type Registrant interface {
	Registration() (issuer, clientID string)
}

// registrationOf returns what c says of itself.
func registrationOf(c Refresher) (Registration, error) {
	switch c := c.(type) {
	case Registrant:
		issuer, clientID := c.Registration()
		if issuer == "" {
			return Registration{}, errors.New("tokensource: the Registration of Manager.Config has no issuer: set its token URL, or Manager.Registration")
		}
		return Registration{Issuer: issuer, ClientID: clientID}, nil
	case *oauth2.Config:
		o, err := httpclient.ParseOrigin(c.Endpoint.TokenURL)
		if err != nil {
			return Registration{}, errors.New("tokensource: Endpoint.TokenURL of Manager.Config is not an absolute URL")
		}
		return Registration{Issuer: o.String(), ClientID: c.ClientID}, nil
	}
	return Registration{}, fmt.Errorf("tokensource: %T doesn't say whose tokens it refreshes: give it the method Registration, or set Manager.Registration", c)
}

// Move makes a connection of another registration one of this Manager's: after the
// application was registered anew, or the provider has moved to another host. Nothing is
// sent. It waits for a refresh that is in flight, since what that brings has to be moved.
// Moving what is this Manager's already does nothing. If the record is neither that nor
// from's, the error says whose it is, and has [ReasonOtherClient]: a refresh token is good
// for its own client only (RFC 6749, section 6). There is no event of it. After an error of
// the store it is perhaps moved: call it again.
//
// To move all connections, call it for each of [storage.Encrypted.Names], and pass over
// those whose error has that [Reason].
func (m *Manager) Move(ctx context.Context, name string, from Registration) (err error) {
	set, err := m.settings()
	if err != nil {
		return err
	}
	s := m.Source(name)
	lease := s.newLease()
	defer lease.release()
	inDoubt := m.takeNews(news{moving, name}) // a write of ours seemed to fail
	defer func() {
		if inDoubt {
			m.keepNews(news{moving, name}, time.Time{})
		}
		if err != nil {
			s.takeBack(lease)
		}
	}()
	for {
		look := span{began: time.Now()}
		c, err := m.load(ctx, name)
		look.ended = time.Now()
		switch {
		case err != nil:
			return err
		case *c.Registration == set.registration && !inDoubt:
			s.forget("", nil) // that it was another's
			return nil
		case *c.Registration == set.registration:
			// It is written once more: only a write that returned nil is known to be durable.
		case *c.Registration != from:
			return m.otherClient(name, *c.Registration)
		default:
			ok, err := lease.acquire(ctx, c, look)
			if errors.Is(err, errBusy) {
				return ctx.Err()
			}
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			c = versioned{lease.current().moved(set.registration), lease.current().version}
		}
		_, err = m.write(ctx, name, c.record, c.version)
		inDoubt = err != nil
		switch {
		case errors.Is(err, storage.ErrConflict):
			if err := lease.pauseAfterConflict(ctx); err != nil {
				return err
			}
		case err != nil:
			if lease.latest.Load() != nil {
				s.giveBack(lease)
			}
			return err
		}
	}
}
