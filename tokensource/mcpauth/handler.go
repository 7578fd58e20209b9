package mcpauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// Handler is an auth.OAuthHandler for one MCP server. Its tokens, and the client that it
// is registered as, are kept in a store that other processes may use at the same time.
//
// Server, Store and Config are required. The fields must not be changed once a method was
// called. A Handler is safe for concurrent use and must not be copied; several transports
// of the same server may share it. For several servers make several Handlers, with the
// same Store.
type Handler struct {
	// Server is the URL of the MCP server, the Endpoint of the transport. It must be an
	// https URL, or one of http at this machine. It is no secret, nor is its query: errors
	// and the names of records have it.
	Server string

	// Store keeps everything. One is enough for all servers.
	Store *storage.Encrypted

	// Config is what the handler of the SDK would be made of: how the client is known or
	// registered, where the user is sent, and by whom. It is copied, and three of its fields
	// are the Handler's: NewTokenSource and InitialTokenSource must be nil, and
	// RequestRefreshToken is always true. A dynamic registration without GrantTypes
	// asks for refresh_token beside authorization_code (RFC 7591, section 2).
	//
	// AuthorizationCodeFetcher is called by one process at a time, if the store has locks:
	// see the package's documentation.
	Config *auth.AuthorizationCodeHandlerConfig

	// Name is the connection's name in Store. Empty means "mcp/" and Server in its canonical
	// form, such as "mcp/https://mcp.example.com/mcp". Give one to tell a second account at
	// the same server apart. What is kept of the client is at the name with "#client" after
	// it.
	Name string

	// OnConsent, if not nil, is called before the user is asked, and told why. An error of
	// it is that of the call, and the user isn't asked: a program without a user returns
	// one. It is called by one goroutine at a time.
	OnConsent func(context.Context, Consent) error

	// OnEvent is that of the tokensource.Manager.
	OnEvent func(context.Context, tokensource.Event)

	once   sync.Once // guards what follows
	err    error
	config auth.AuthorizationCodeHandlerConfig
	server string // canonical
	name   string
	turn   chan struct{} // held by the caller who asks the user

	mu      sync.Mutex // guards what follows
	current *connection
	last    declined
}

var _ auth.OAuthHandler = (*Handler)(nil)

// connection is what serves the tokens of a client.
type connection struct {
	client  client
	manager *tokensource.Manager
	source  *tokensource.Source
}

func (h *Handler) init() error {
	h.once.Do(func() { h.err = h.settle() })
	return h.err
}

// settle checks the fields, and makes of them what is used.
func (h *Handler) settle() error {
	var err error
	switch c := h.Config; {
	case h.Store == nil:
		return errors.New("mcpauth: Handler.Store is not set")
	case c == nil:
		return errors.New("mcpauth: Handler.Config is not set")
	case c.NewTokenSource != nil || c.InitialTokenSource != nil:
		return errors.New("mcpauth: leave NewTokenSource and InitialTokenSource of Handler.Config nil: the Handler keeps the tokens")
	}
	if h.server, err = canonical(h.Server); err != nil {
		return err
	}
	h.name = cmp.Or(h.Name, "mcp/"+h.server)
	h.turn = make(chan struct{}, 1)
	h.config = *h.Config
	h.config.RequestRefreshToken = true
	h.config.Client = cmp.Or(h.config.Client, http.DefaultClient)
	if d := h.config.DynamicClientRegistrationConfig; d != nil && d.Metadata != nil {
		m := *d.Metadata
		if len(m.GrantTypes) == 0 {
			m.GrantTypes = []string{"authorization_code", "refresh_token"}
		}
		h.config.DynamicClientRegistrationConfig = &auth.DynamicClientRegistrationConfig{Metadata: &m}
	}
	config := h.config
	if _, err := auth.NewAuthorizationCodeHandler(&config); err != nil { // which fills in more
		return fmt.Errorf("mcpauth: Handler.Config: %w", err)
	}
	h.config = config
	return nil
}

// canonical returns the canonical URI of an MCP server (RFC 8707, section 2).
func canonical(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", errServer
	}
	o, err := httpclient.OriginOf(u)
	switch {
	case err != nil || u.User != nil:
		return "", errServer
	case !httpclient.SecureURL(u):
		return "", errors.New("mcpauth: Handler.Server is not an https URL, nor one of this machine: tokens would be sent in the clear")
	}
	rest := url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	if rest.Path == "/" {
		rest.Path = ""
	}
	return o.String() + rest.String(), nil
}

var errServer = errors.New("mcpauth: Handler.Server is not the URL of an MCP server, such as https://mcp.example.com/mcp")

// TokenSource implements auth.OAuthHandler. What it returns is nil if there has been no
// consent yet: the transport then sends its request without a token, and calls Authorize.
func (h *Handler) TokenSource(ctx context.Context) (oauth2.TokenSource, error) {
	if err := h.init(); err != nil {
		return nil, err
	}
	c, err := h.connection(ctx)
	if err != nil || c == nil {
		return nil, err
	}
	return source{h, ctx}, nil
}

// source is the token source of one call.
type source struct {
	h   *Handler
	ctx context.Context
}

func (s source) Token() (*oauth2.Token, error) { return s.h.token(s.ctx) }

// token returns the connection's token. The error is a *consentError if the user has to be
// asked, as far as this process knows, and any other will pass.
func (h *Handler) token(ctx context.Context) (*oauth2.Token, error) {
	c, err := h.connection(ctx)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, &consentError{reason: FirstConsent}
	}
	t, err := c.source.TokenContext(ctx)
	if err == nil {
		return t, nil
	}
	if reason := reasonFor(err, c.client); reason != "" {
		return nil, &consentError{reason: reason, cause: err}
	}
	return nil, err
}

// reasonFor returns why an error makes it necessary to ask the user, or "".
func reasonFor(err error, c client) ConsentReason {
	var e *tokensource.Error
	switch {
	case errors.Is(err, tokensource.ErrLoginRequired):
		return GrantEnded
	case !errors.As(err, &e):
		return ""
	case e.Reason == tokensource.ReasonOtherClient:
		return GrantEnded // its token was never saved
	case e.Reason == tokensource.ReasonMisconfigured && e.Code == "invalid_client" && c.Dynamic:
		return ClientUnknown
	}
	return ""
}

// connection returns what serves the tokens, or nil if the user hasn't consented to a client
// of Config yet.
func (h *Handler) connection(ctx context.Context) (*connection, error) {
	h.mu.Lock()
	current := h.current
	h.mu.Unlock()
	if current != nil {
		return current, nil
	}
	return h.look(ctx)
}

// look is connection, by what is kept now: another process may have changed it.
func (h *Handler) look(ctx context.Context) (*connection, error) {
	k, _, err := h.read(ctx)
	if err != nil {
		return nil, err
	}
	return h.use(k.Client), nil
}

// use makes c the client whose tokens are served, and returns what serves them: nil if it is
// none of Config's.
func (h *Handler) use(c *client) *connection {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case c == nil || !h.knows(c):
		h.current = nil
	case h.current == nil || !h.current.client.sameAs(c):
		m := &tokensource.Manager{
			Config:  c.refresher(h.secretOf(c)),
			Store:   h.Store,
			OnEvent: h.OnEvent,
			APIURLs: []string{h.server},
			Base:    h.config.Client.Transport,
		}
		h.current = &connection{client: *c, manager: m, source: m.Source(h.name)}
	default:
		h.current = &connection{client: *c, manager: h.current.manager, source: h.current.source}
	}
	return h.current
}

// knows reports whether c is a client that Config may be. One that was registered beforehand
// at an issuer is nobody's at another, of the same name or not: its secret isn't for that.
func (h *Handler) knows(c *client) bool {
	if c.Dynamic {
		return h.config.DynamicClientRegistrationConfig != nil
	}
	if pre := h.config.PreregisteredClient; pre != nil && pre.ClientID == c.ClientID {
		return pre.Issuer == "" || c.of(pre.Issuer)
	}
	document := h.config.ClientIDMetadataDocumentConfig
	return document != nil && document.URL == c.ClientID
}

// secretOf returns the secret of c: of a client that was registered beforehand it is the one
// in Config, which is never stored.
func (h *Handler) secretOf(c *client) string {
	if c.Dynamic {
		return c.ClientSecret
	}
	if pre := h.config.PreregisteredClient; pre != nil && pre.ClientID == c.ClientID && pre.ClientSecretAuth != nil {
		return pre.ClientSecretAuth.ClientSecret
	}
	return ""
}

// Manager returns what keeps the connection's tokens, and the connection's name there: for
// Status, Disconnect, Run and whatever else it can do. It is another one after the user has
// consented to a client that was registered anew, so don't keep it. The error is
// [tokensource.ErrLoginRequired] if the user hasn't consented yet.
func (h *Handler) Manager(ctx context.Context) (m *tokensource.Manager, name string, err error) {
	if err := h.init(); err != nil {
		return nil, "", err
	}
	c, err := h.look(ctx)
	if err != nil {
		return nil, "", err
	}
	if c == nil {
		return nil, "", &consentError{reason: FirstConsent}
	}
	return c.manager, h.name, nil
}

// Flush is [tokensource.Manager.Flush]: call it before the program ends.
func (h *Handler) Flush(ctx context.Context) error {
	h.mu.Lock()
	c := h.current
	h.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.manager.Flush(ctx)
}

// String names the server, if that is one.
func (h *Handler) String() string {
	server, err := canonical(h.Server)
	if err != nil { // there may be a password in it
		return "mcpauth.Handler(of no server)"
	}
	return fmt.Sprintf("mcpauth.Handler(%q)", server)
}

// GoString returns what String returns.
func (h *Handler) GoString() string { return h.String() }

// LogValue returns what String returns.
func (h *Handler) LogValue() slog.Value { return slog.StringValue(h.String()) }
