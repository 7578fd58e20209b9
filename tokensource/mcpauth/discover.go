package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
)

// discovery is what an MCP server and its authorization server say of themselves, as the
// SDK has fetched and checked it.
type discovery struct {
	resourceURL string // where resource was found; "" if it wasn't
	resource    *oauthex.ProtectedResourceMetadata
	server      *oauthex.AuthServerMeta // nil: it has none
}

// discoverResource fetches the metadata of the MCP server (RFC 9728): from where the
// challenge says, at the path of the server, or at the root. One that has none is its own
// authorization server, as the protocol's revision of 2025-03-26 had it; but not if it had
// another before, c's: then its metadata can't be fetched just now, and the user isn't sent
// elsewhere for that.
func (h *Handler) discoverResource(ctx context.Context, challenges []oauthex.Challenge, server string, c *client) (*discovery, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, errServer
	}
	root := *u
	root.Path, root.RawPath = "", ""
	wellKnown := func(path string) string {
		at := *u
		at.Path, at.RawPath = "/.well-known/oauth-protected-resource"+path, ""
		return at.String()
	}
	for _, at := range []struct{ url, resource string }{
		{challenged(challenges, "resource_metadata"), server},
		{wellKnown("/" + strings.TrimLeft(u.Path, "/")), server},
		{wellKnown(""), root.String()},
	} {
		if at.url == "" {
			continue
		}
		m, err := oauthex.GetProtectedResourceMetadata(ctx, at.url, at.resource, h.config.Client)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil || m == nil:
			continue
		case len(m.AuthorizationServers) == 0:
			return nil, fmt.Errorf("mcpauth: the metadata of %s name no authorization server", h.server)
		}
		return &discovery{resourceURL: at.url, resource: m}, nil
	}
	if c != nil && !c.of(root.String()) {
		return nil, fmt.Errorf("mcpauth: the metadata of %s, which it had, can't be fetched", h.server)
	}
	return &discovery{resource: &oauthex.ProtectedResourceMetadata{Resource: server, AuthorizationServers: []string{root.String()}}}, nil
}

// trusts reports whether the MCP server takes the tokens of this issuer.
func (d *discovery) trusts(issuer string) bool {
	return slices.ContainsFunc(d.resource.AuthorizationServers, func(s string) bool { return sameIssuer(s, issuer) })
}

// discoverServer fetches the metadata of the authorization server (RFC 8414): the one that
// the client is of, if the MCP server still trusts it, or else the first. One that had
// metadata when the client was used there hasn't lost them because it refuses them just now,
// which the SDK takes for that, and then guesses where its endpoints are.
func (h *Handler) discoverServer(ctx context.Context, d *discovery, c *client) error {
	issuer := d.resource.AuthorizationServers[0]
	if i := slices.IndexFunc(d.resource.AuthorizationServers, c.of); i >= 0 {
		issuer = d.resource.AuthorizationServers[i]
	}
	if err := h.checkOutside(issuer); err != nil {
		return err
	}
	only := *d.resource
	only.AuthorizationServers = []string{issuer}
	d.resource = &only
	var err error
	if d.server, err = auth.GetAuthServerMetadata(ctx, issuer, h.config.Client); err != nil {
		return fmt.Errorf("mcpauth: the metadata of the authorization server %s: %w", issuer, err)
	}
	if d.server == nil && c.of(issuer) && (c.TokenURL != d.tokenURL() || c.RevokeURL != "") {
		return fmt.Errorf("mcpauth: the metadata of the authorization server %s, which it had, can't be fetched", issuer)
	}
	if m := d.server; m != nil {
		return h.checkOutside(m.AuthorizationEndpoint, m.TokenEndpoint, m.RegistrationEndpoint, m.RevocationEndpoint)
	}
	return nil
}

// checkOutside refuses URLs of this machine that are named by an MCP server elsewhere, or its
// authorization server: what listens on the loopback takes who can reach it for a user of
// the machine. The SDK lets them through, so that one can try with a server of one's own.
func (h *Handler) checkOutside(urls ...string) error {
	if u, err := url.Parse(h.server); err != nil || httpclient.LoopbackURL(u) {
		return err
	}
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil && httpclient.LoopbackURL(u) {
			return fmt.Errorf("mcpauth: %s, which isn't on this machine, names a server that is: %s://%s", h.server, u.Scheme, u.Host)
		}
	}
	return nil
}

// issuer is the authorization server's.
func (d *discovery) issuer() string {
	if d.server == nil {
		return d.resource.AuthorizationServers[0]
	}
	return d.server.Issuer
}

// endpoint returns an endpoint of the authorization server, or where one without metadata
// has it.
func (d *discovery) endpoint(published func(*oauthex.AuthServerMeta) string, otherwise string) string {
	if d.server == nil {
		return d.resource.AuthorizationServers[0] + otherwise
	}
	return published(d.server)
}

func (d *discovery) tokenURL() string {
	return d.endpoint(func(m *oauthex.AuthServerMeta) string { return m.TokenEndpoint }, "/token")
}

func (d *discovery) registrationURL() string {
	return d.endpoint(func(m *oauthex.AuthServerMeta) string { return m.RegistrationEndpoint }, "/register")
}

// client returns where the tokens of a client are refreshed and revoked. It is an error if
// they can't be, as if the endpoint isn't an https URL.
func (d *discovery) client() (*client, error) {
	c := &client{Issuer: d.issuer(), TokenURL: d.tokenURL(), Resource: d.resource.Resource}
	if d.server != nil {
		c.RevokeURL = d.server.RevocationEndpoint
	}
	if c.provider().Validate() == nil {
		return c, nil
	}
	c.RevokeURL = "" // which the SDK doesn't look at
	if err := c.provider().Validate(); err != nil {
		return nil, fmt.Errorf("mcpauth: the metadata of the authorization server %s can't be used: %w", c.Issuer, err)
	}
	return c, nil
}

// document returns what was found at a URL, as the SDK's handler asks for it again.
func (d *discovery) document(at *url.URL) any {
	switch {
	case d.resourceURL != "" && at.String() == d.resourceURL:
		return d.resource
	case d.server != nil && (strings.Contains(at.Path, "/.well-known/oauth-authorization-server") || strings.Contains(at.Path, "/.well-known/openid-configuration")):
		return d.server
	}
	return nil
}

// challenged returns a parameter of the challenges: of any for the metadata's URL, and of
// a bearer token's (RFC 6750, section 3) for the others.
func challenged(challenges []oauthex.Challenge, name string) string {
	for _, c := range challenges {
		if v := c.Params[name]; v != "" && (c.Scheme == "bearer" || name == "resource_metadata") {
			return v
		}
	}
	return ""
}

// parseChallenges reads the challenges of a response.
func parseChallenges(resp *http.Response) ([]oauthex.Challenge, error) {
	challenges, err := oauthex.ParseWWWAuthenticate(resp.Header.Values("WWW-Authenticate"))
	if err != nil {
		return nil, errors.New("mcpauth: the WWW-Authenticate header of the MCP server can't be read")
	}
	return challenges, nil
}
