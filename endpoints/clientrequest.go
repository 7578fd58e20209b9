package endpoints

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"golang.org/x/oauth2"
)

// SendAsClient makes a request of a provider's own, beside those of OAuth, by which the
// client asks for something with its id and secret: Finch's for a Connect session, Chart's
// for a token that was lost. Packages for single providers are made of it.
//
// The request goes to path, such as "/connect/sessions", at the origin of the token
// endpoint. A query may follow. What was put into path has to be checked or escaped by then.
// It is a GET if body is nil, and otherwise a POST of body as JSON. It has the header of
// Provider.Style, and the id and the secret as [ClientSecretBasicRaw] sends them.
//
// The answer is decoded into v, which points to something, as encoding/json would; a form
// counts as an object of texts. If v is an *oauth2.Token, that becomes the token in the
// answer, as Provider.Answer says, with what came beside it. If v is nil, the answer isn't
// decoded. An error in an element of a list isn't the answer's, if the status is a success.
//
// As with a token request, redirects aren't followed, nothing is sent twice, an answer is
// read up to 1 MiB, and an error of the provider's is an *oauth2.RetrieveError without
// secrets: see [KindOf]. An answer that v can't be made of is one of [KindUnreadable]; a
// part of v may be set then.
func (c *Config) SendAsClient(ctx context.Context, path string, body, v any) error {
	conf := c.config()
	if conf.err != nil {
		return conf.err
	}
	if target := reflect.ValueOf(v); v != nil && (target.Kind() != reflect.Pointer || target.IsNil()) {
		return conf.mistake("SendAsClient: the answer can't be decoded into a %T", v)
	}
	call := conf.call(grantClient, nil)
	if err := call.describe(path, body); err != nil {
		return conf.mistake("SendAsClient: %w", err)
	}
	var got *answer
	call.members = func(a *answer) { got = a }
	if err := call.do(ctx, url.Values{}); err != nil || v == nil {
		return err
	}
	if err := conf.decode(got, v); err != nil {
		return conf.unusable(got, err)
	}
	return nil
}

// describe makes the request one with that path and body.
func (in *input) describe(path string, body any) error {
	at, err := url.Parse(path)
	if err != nil || !isPlainPath(at) {
		return errors.New("the path must begin with a /, have no part that is empty or dots, no backslash and no fragment") // it may be hostile: not quoted
	}
	style := AuthStyle{Method: http.MethodGet, Auth: ClientSecretBasicRaw}
	if body != nil {
		style.Method = http.MethodPost
		var encoded bytes.Buffer
		enc := json.NewEncoder(&encoded)
		enc.SetEscapeHTML(false)
		if enc.Encode(body) != nil {
			return errors.New("the body has no JSON form")
		}
		in.body = bytes.TrimSuffix(encoded.Bytes(), []byte("\n"))
	}
	target, err := in.provider.conversationOf(grantExchange).target(in)
	if err != nil {
		return err
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

// decode sets what v points to. Its error is the cause why the answer can't be used.
func (c *config) decode(a *answer, v any) error {
	if t, ok := v.(*oauth2.Token); ok {
		return c.decodeToken(a, t)
	}
	encoded := a.json()
	if encoded == nil {
		return a.whyNone()
	}
	if json.Unmarshal(encoded, v) != nil {
		return errors.New("it, or a member of it, has another type") // the error may quote it
	}
	return nil
}

func (c *config) decodeToken(a *answer, t *oauth2.Token) error {
	if a.members == nil {
		return a.whyNone()
	}
	issued, err := c.Answer.token(a.members, grantExchange)
	if err != nil {
		return err
	}
	*t = *c.tokenOf(a, issued)
	return nil
}

// json returns the answer as JSON: as it was sent, if it is an object or a list and no hook
// has had it, or else its members. It is nil if there are none.
func (a *answer) json() []byte {
	if body := trim(a.body); (a.isSent('{') || a.isSent('[')) && json.Valid(body) {
		return body
	}
	if a.members == nil {
		return nil
	}
	encoded, _ := json.Marshal(a.members) // which were decoded from JSON or a form
	return encoded
}

// isSent reports whether the answer is whole, no hook has had it, and it begins with that.
func (a *answer) isSent(begin byte) bool {
	body := trim(a.body)
	return !a.hooked && a.err == nil && len(body) > 0 && body[0] == begin
}

// whyNone is the cause why an answer without members can't be used.
func (a *answer) whyNone() error { return cmp.Or(a.none, errNotJSON) }

// unusable returns the error for the answer to a call, which was no error.
func (p *adapter) unusable(a *answer, cause error) error {
	asked := &http.Request{Method: a.in.conversation().style.Method, URL: a.in.at}
	return retrieveError(a.rfcResponse(asked, p.unreadable(a, cause)))
}
