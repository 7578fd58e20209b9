package mcpauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// recordFormat is written into every record. One of a later format is never read or
// overwritten by this version.
const recordFormat = 1

// record is what is kept beside the tokens, as JSON, sealed: all of it is as secret as they
// are. ID and LoginID make it a record of nobody's for package tokensource, whose Managers
// pass over those when they list or refresh all connections.
type record struct {
	Format  int    `json:"format"`
	ID      string `json:"id"`
	LoginID string `json:"login_id"`

	Registration *registration `json:"registration,omitempty"`
	Client       *client       `json:"client,omitempty"`

	// Declined is when a consent failed last, so that those who waited for it don't
	// ask the user again.
	Declined time.Time `json:"declined,omitzero"`
}

// registration is what an authorization server answered to a client that registered
// (RFC 7591, section 3.2.1). It may have a client_secret and a registration_access_token.
type registration struct {
	Issuer   string          `json:"issuer"`
	Endpoint string          `json:"endpoint"`
	Request  json.RawMessage `json:"request"`
	Response json.RawMessage `json:"response"`
}

// expiryMargin is how long a client's secret must be good for if it is to be used for a new
// consent, which takes its time.
const expiryMargin = 10 * time.Minute

// answers reports whether r is what the issuer would answer to this request.
func (r *registration) answers(issuer, endpoint string, request []byte, now time.Time) bool {
	if r == nil || r.Issuer != issuer || r.Endpoint != endpoint || string(r.Request) != string(request) {
		return false
	}
	var answer oauthex.ClientRegistrationResponse
	if json.Unmarshal(r.Response, &answer) != nil {
		return false
	}
	end := answer.ClientSecretExpiresAt
	return end.IsZero() || now.Add(expiryMargin).Before(end)
}

// clientID returns the client that was registered.
func (r *registration) clientID() string {
	var answer oauthex.ClientRegistrationResponse
	if r == nil || json.Unmarshal(r.Response, &answer) != nil {
		return ""
	}
	return answer.ClientID
}

// client is the client that the user has consented to, and where its tokens are refreshed.
// Nothing is discovered again for that: a refresh token goes to the endpoint that the issuer
// had when it issued it.
type client struct {
	Issuer    string               `json:"issuer"`
	TokenURL  string               `json:"token_endpoint"`
	RevokeURL string               `json:"revocation_endpoint,omitempty"`
	ClientID  string               `json:"client_id"`
	Auth      endpoints.ClientAuth `json:"token_endpoint_auth_method"`
	Resource  string               `json:"resource,omitempty"` // RFC 8707
	Scopes    []string             `json:"scopes,omitempty"`   // that were granted
	Asked     []string             `json:"asked,omitempty"`    // the scopes that were asked for

	Dynamic      bool   `json:"dynamic,omitempty"`       // it was registered by RFC 7591
	ClientSecret string `json:"client_secret,omitempty"` // if Dynamic
}

// sameAs reports whether a refresh by c and by other is the same.
func (c client) sameAs(other *client) bool {
	o := *other
	c.Scopes, c.Asked, o.Scopes, o.Asked = nil, nil, nil, nil
	return reflect.DeepEqual(c, o)
}

// refresher returns what refreshes and revokes the tokens of c.
func (c client) refresher(secret string) tokensource.Refresher {
	return c.provider().Config(oauth2.Config{ClientID: c.ClientID, ClientSecret: secret})
}

func (c client) provider() endpoints.Provider {
	p := endpoints.Provider{
		Name:      c.Issuer,
		Issuer:    c.Issuer,
		Endpoint:  oauth2.Endpoint{TokenURL: c.TokenURL},
		RevokeURL: c.RevokeURL,
		Style:     endpoints.AuthStyle{Auth: c.Auth},
	}
	if c.Resource != "" { // RFC 8707, section 2.2
		p.Refresh.Params = endpoints.Params{"resource": {c.Resource}}
	}
	return p
}

// hasAll reports whether all scopes are among those.
func hasAll(those, scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(those, s) })
}

// of reports whether c is a client of this issuer.
func (c *client) of(issuer string) bool { return c != nil && sameIssuer(c.Issuer, issuer) }

// sameIssuer compares issuers as the SDK does, which is lenient about a slash at the end.
func sameIssuer(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

// recordName is where the record is.
func (h *Handler) recordName() string { return h.name + "#client" }

// read returns what is kept, which may be nothing.
func (h *Handler) read(ctx context.Context) (record, storage.Version, error) {
	r := record{Format: recordFormat, ID: "mcpauth", LoginID: "mcpauth"}
	data, version, err := h.Store.Get(ctx, h.recordName())
	if errors.Is(err, storage.ErrNotFound) {
		return r, "", nil
	}
	if err != nil {
		return r, "", fmt.Errorf("mcpauth: can't read the client of %s: %w", h.server, err)
	}
	var header struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(data, &header) == nil && header.Format > recordFormat {
		return r, "", fmt.Errorf("mcpauth: the client of %s is kept in format %d, and this version of oauth2keep reads up to %d: update it", h.server, header.Format, recordFormat)
	}
	if json.Unmarshal(data, &r) != nil || r.Format != recordFormat {
		return r, "", fmt.Errorf("mcpauth: what is kept under %q isn't the client of an MCP server", h.recordName())
	}
	return r, version, nil
}

// update writes what edit makes of the record. It starts over if another process
// was faster, and writes nothing if edit returns false.
func (h *Handler) update(ctx context.Context, edit func(*record) bool) error {
	for {
		r, version, err := h.read(ctx)
		if err != nil || !edit(&r) {
			return err
		}
		data, err := json.Marshal(r)
		if err != nil {
			return errors.New("mcpauth: the client can't be stored as JSON")
		}
		if _, err = h.Store.Put(ctx, h.recordName(), data, version); !errors.Is(err, storage.ErrConflict) {
			if err != nil {
				return fmt.Errorf("mcpauth: can't save the client of %s: %w", h.server, err)
			}
			return nil
		}
	}
}

// forgetClient drops the registration of a client that the server doesn't know any more.
func (h *Handler) forgetClient(ctx context.Context, clientID string) error {
	return h.update(ctx, func(r *record) bool {
		if r.Registration.clientID() != clientID {
			return false // another process has registered anew
		}
		r.Registration = nil
		return true
	})
}
