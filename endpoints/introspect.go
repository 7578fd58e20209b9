package endpoints

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Introspection is what a provider tells about a token, and so about the connection
// that it belongs to.
type Introspection struct {
	// Active tells whether the token is good: what the member active says (RFC 7662,
	// section 2.2), or if there is none, that the provider has answered. A server that
	// tells a client nothing of a token, such as of any refresh token, says the same as
	// of a dead one: where that is so, have Provider.Introspect ask about
	// {access_token}. Before a connection is given up, let a refresh decide, as
	// tokensource.Source.Reject does.
	Active bool

	// Kind is what has to be done about a token that isn't active, if the provider
	// or Answer.Errors says so, such as [KindLoginRequired].
	Kind ErrorKind

	// Members are all that the provider has told, with numbers as Token.Extra has
	// them.
	Members map[string]any
}

// Decode decodes the members into v, as encoding/json would.
func (i *Introspection) Decode(v any) error {
	encoded, err := json.Marshal(i.Members)
	if err == nil {
		err = json.Unmarshal(encoded, v)
	}
	if err != nil {
		return fmt.Errorf("endpoints: can't decode what was told about the token: %w", err)
	}
	return nil
}

// Introspect asks the provider about t: its refresh token if it has one, and its access
// token otherwise, unless Provider.Introspect says which. A token that the provider
// calls dead, also by refusing to be asked with it, isn't active; an error is one of
// the question. For a provider that has no endpoint for it, the error wraps
// errors.ErrUnsupported.
func (c *Config) Introspect(ctx context.Context, t *oauth2.Token) (*Introspection, error) {
	conf := c.config()
	if conf.err != nil {
		return nil, conf.err
	}
	if conf.IntrospectURL == "" {
		return nil, conf.mistake("the provider has no endpoint to ask about tokens: %w", errors.ErrUnsupported)
	}
	call := conf.call(grantIntrospect, t)
	told := &Introspection{Active: true}
	var got *answer
	call.members = func(a *answer) { got = a; told.read(conf, a) }
	err := conf.tell(ctx, call, "ask about")
	switch {
	case conf.refusesBearer(grantIntrospect, err):
		return &Introspection{Kind: conf.deadKind(t)}, nil
	case err != nil:
		return nil, err
	case told.Members == nil:
		return nil, conf.unusable(got, got.whyNone())
	}
	return told, nil
}

// read takes the answer to the question.
func (i *Introspection) read(c *config, a *answer) {
	if a.members == nil {
		return
	}
	if active, ok := a.members["active"]; ok && text(active) != "true" {
		i.Active, i.Kind = false, c.deadKind(a.in.token)
	}
	if rule, _ := ruleFor(c.Answer.Errors, a.status, a.members, nil); rule != nil {
		i.Kind = rule.Kind
		i.Active = i.Active && meanings[rule.Kind] != tokenerror.GrantRejected
	}
	n := numbers{decoded: true}
	n.exact(a.members)
	i.Members = a.members
}

// deadKind is what has to be done if the token that was asked about is dead: if it was
// the access token, a refresh token may still be good.
func (c *config) deadKind(t *oauth2.Token) ErrorKind {
	if t.RefreshToken != "" && c.conversationOf(grantIntrospect).needsAccessToken() {
		return KindTokenRejected
	}
	return KindLoginRequired
}
