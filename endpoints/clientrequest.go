package endpoints

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// ClientRequest is a request of a provider's own, beside those of OAuth, by which the
// client asks for something with its id and secret: Finch's for a Connect session,
// Chart's for a token that was lost. Packages for single providers are made of it.
type ClientRequest struct {
	// Method is "POST" or "GET". Empty means "POST".
	Method string

	// Path is where the request goes, at the origin of the token endpoint:
	// "/connect/sessions". A query may follow. What was put into it has to be checked
	// or escaped by then.
	Path string

	// Auth is [ClientSecretBasic] or [ClientSecretBasicRaw]. Empty means the first.
	Auth ClientAuth

	// Body is what a POST sends as JSON. Nil means no body.
	Body any
}

// Reply is the answer to a [ClientRequest]. It may hold a token, and hides what is in it
// from what prints values.
type Reply struct{ hidden func() *reply }

type reply struct {
	config *config
	answer *answer
}

// SendAsClient sends r, with the header of Provider.Style, and returns what the provider
// has answered. As with a token request, redirects aren't followed, nothing is sent
// twice, an answer is read up to 1 MiB, and an error of the provider's is an
// *oauth2.RetrieveError without secrets: see [KindOf].
func (c *Config) SendAsClient(ctx context.Context, r ClientRequest) (*Reply, error) {
	conf := c.config()
	if conf.err != nil {
		return nil, conf.err
	}
	call := conf.call(grantClient, nil)
	if err := call.describe(r); err != nil {
		return nil, conf.mistake("%w", err)
	}
	var got *answer
	call.members = func(a *answer) { got = a }
	if err := call.do(ctx, url.Values{}); err != nil {
		return nil, err
	}
	return &Reply{hide(&reply{conf, got})}, nil
}

// describe makes r the request.
func (in *input) describe(r ClientRequest) error {
	if !slices.Contains([]ClientAuth{"", ClientSecretBasic, ClientSecretBasicRaw}, r.Auth) {
		return wrong("ClientRequest.Auth", "can't be %q: it is %s or %s", r.Auth, ClientSecretBasic, ClientSecretBasicRaw)
	}
	style := AuthStyle{Method: http.MethodPost, Body: JSONBody, Auth: ClientSecretBasic}
	override(&style.Method, r.Method)
	override(&style.Auth, r.Auth)
	switch {
	case style.Method != http.MethodPost && style.Method != http.MethodGet:
		return wrong("ClientRequest.Method", "is unknown: %q", r.Method)
	case style.Method == http.MethodGet && r.Body != nil:
		return wrong("ClientRequest.Body", "has no effect: a GET has none")
	}
	at, err := url.Parse(r.Path)
	if err != nil || !isPlainPath(at) {
		return wrong("ClientRequest.Path", "must be a path from / on, without dots between slashes") // it may be hostile: not quoted
	}
	target, err := in.provider.conversationOf(grantExchange).target(in)
	if err != nil {
		return err
	}
	if r.Body != nil {
		var body bytes.Buffer
		enc := json.NewEncoder(&body)
		enc.SetEscapeHTML(false)
		if enc.Encode(r.Body) != nil {
			return wrong("ClientRequest.Body", "has no JSON form")
		}
		in.body = bytes.TrimSuffix(body.Bytes(), []byte("\n"))
	}
	at.Scheme, at.Host = target.Scheme, target.Host
	special := in.provider.newConversation(style, "")
	special.at, special.patches = at, nil
	in.special = special
	return nil
}

// isPlainPath reports whether u is a path and query, and no server takes the path for
// another one.
func isPlainPath(u *url.URL) bool {
	segments, ok := strings.CutPrefix(u.EscapedPath(), "/")
	for segment := range strings.SplitSeq(segments, "/") {
		plain, err := url.PathUnescape(segment)
		ok = ok && err == nil && plain != "" && plain != "." && plain != ".." && !strings.Contains(plain, "\\")
	}
	return ok && u.Scheme == "" && u.Host == "" && u.User == nil && u.Opaque == "" && u.Fragment == ""
}

// Decode decodes the answer into v, as encoding/json would. Its error is that of an
// answer that can't be used.
func (r *Reply) Decode(v any) error {
	a := r.hidden().answer
	if a.members == nil {
		return r.Unusable(errNotJSON)
	}
	encoded, err := json.Marshal(a.members)
	if err == nil {
		err = json.Unmarshal(encoded, v)
	}
	if err != nil {
		return r.Unusable(errors.New("a member of it has another type")) // err may quote it
	}
	return nil
}

// Token returns the token that is in the answer, as Provider.Answer says, with what came
// beside it.
func (r *Reply) Token() (*oauth2.Token, error) {
	conf, a := r.hidden().config, *r.hidden().answer
	if a.members == nil {
		return nil, r.Unusable(errNotJSON)
	}
	issued, err := conf.Answer.token(a.members, grantExchange)
	if err != nil {
		return nil, r.Unusable(err)
	}
	a.members = asSent(a.members).(map[string]any) // a copy, which becomes the token's
	return conf.tokenOf(&a, issued), nil
}

// Unusable returns the error for an answer that isn't as the provider documents it, an
// *oauth2.RetrieveError of [KindUnreadable]. The cause completes the sentence "the answer
// can't be used: …"; secrets are taken out of it.
func (r *Reply) Unusable(cause error) error {
	return r.hidden().config.unusable(r.hidden().answer, cause)
}

// unusable returns the error for the answer to a call, which was no error.
func (p *adapter) unusable(a *answer, cause error) error {
	asked := &http.Request{Method: a.in.conversation().style.Method, URL: a.in.at}
	return retrieveError(a.rfcResponse(asked, p.unreadable(a, cause)))
}
