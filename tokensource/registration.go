package tokensource

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"golang.org/x/oauth2"
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
}

// String returns the client and the issuer, for people.
func (r Registration) String() string {
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
			return Registration{}, errors.New("tokensource: the Registration of Manager.Config has no issuer: set its token URL")
		}
		return Registration{issuer, clientID}, nil
	case *oauth2.Config:
		u, err := url.Parse(c.Endpoint.TokenURL)
		if err != nil || u.Scheme == "" || u.Host == "" {
			return Registration{}, errors.New("tokensource: Endpoint.TokenURL of Manager.Config is not an absolute URL")
		}
		return Registration{u.Scheme + "://" + u.Host, c.ClientID}, nil
	}
	return Registration{}, fmt.Errorf("tokensource: %T doesn't say whose tokens it refreshes: give it the method Registration, or set Manager.Registration", c)
}

// Move makes a connection of another registration one of this Manager's: after the
// application was registered anew, or the provider has moved to another host. Nothing is
// sent. It is an error if the record is neither from's nor already this Manager's, since
// a refresh token is good for its own client only (RFC 6749, section 6).
//
// To move all connections, call it for each of [storage.Encrypted.Names], and pass over
// those whose error has the [Reason] ReasonOtherClient.
func (m *Manager) Move(ctx context.Context, name string, from Registration) error {
	set, err := m.settings()
	if err != nil {
		return err
	}
	var other error
	_, _, err = m.update(ctx, name, cell{}, func(stored *record) *record {
		other = nil
		switch {
		case stored == nil || stored.Registration == set.registration:
			return nil
		case stored.Registration != from:
			other = m.otherClient(name, stored.Registration)
			return nil
		}
		return stored.moved(set.registration)
	})
	return errors.Join(other, err)
}
