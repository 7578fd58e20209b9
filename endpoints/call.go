package endpoints

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
)

// Who does what: a call is a request that a method of Config makes, and a transport picks
// the token requests out of what a plain *oauth2.Config sends. Either gives what it knows,
// an input, to the adapter of the provider: that makes the request as the conversation of
// its grant says, has a base send it, and reads the answer.

// call is one request that a method of Config makes, and what comes of it. It stands in
// for the transport of the caller's client, so that the client's timeout and cookies
// apply, and is sent a request with nothing in it but the URL. x/oauth2 has no part in it:
// that would write a form for the adapter to read, and read what the adapter has written.
type call struct {
	input
	base    http.RoundTripper // of the caller's client; nil means http.DefaultTransport
	members func(*answer)     // sees the members of an answer without a token

	issued *oauth2.Token // was in the answer
}

// call returns a call of that grant. t is the token that it is about, or nil.
func (c *config) call(grant string, t *oauth2.Token) *call {
	return &call{input: *c.input(grant, t)}
}

// do makes the request, of which form are the parameters as the RFC calls them, and
// returns the error of its answer. The client that ctx carries, or else
// http.DefaultClient, does the work underneath.
func (c *call) do(ctx context.Context, form url.Values) error {
	c.vars = c.provider.takeVars(form)
	target, err := c.conversation().target(&c.input)
	if err != nil {
		return c.provider.mistake("%w", err)
	}
	c.at, c.rfc = target, form
	client := *clientOf(ctx)
	c.base, client.Transport = client.Transport, c
	r := &http.Request{
		Method: http.MethodPost, URL: target, Host: target.Host, Header: make(http.Header),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	resp, err := client.Do(r.WithContext(ctx))
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		failed.URL = printable(target).String()
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if !isFailure(resp.StatusCode) {
		return nil
	}
	return retrieveError(resp)
}

// RoundTrip implements http.RoundTripper.
func (c *call) RoundTrip(r *http.Request) (*http.Response, error) {
	return c.provider.send(r, baseOf(c.base), &answer{in: &c.input, call: c})
}

// retrieve makes the call, and returns the token in its answer with all that came beside
// it. Form are the parameters as the RFC calls them.
func (c *call) retrieve(ctx context.Context, form url.Values, opts []oauth2.AuthCodeOption) (*oauth2.Token, error) {
	if err := setOptions(form, opts); err != nil {
		return nil, c.provider.mistake("%w", err)
	}
	if c.clientID != "" {
		delete(form, "client_id") // no option changes who the client is
	}
	if c.secret != "" {
		delete(form, "client_secret")
	}
	spent := form.Get("refresh_token")
	if err := c.do(ctx, form); err != nil {
		return nil, err
	}
	if c.issued.RefreshToken == "" {
		c.issued.RefreshToken = spent // it lives on
	}
	return c.issued, nil
}

// setOptions sets the options of a call in form.
func setOptions(form url.Values, opts []oauth2.AuthCodeOption) error {
	if len(opts) == 0 {
		return nil
	}
	const none = "\x00" // marks the two that AuthCodeURL has without an option
	all := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("response_type", none), oauth2.SetAuthURLParam("client_id", none)}
	params, err := authParams(new(oauth2.Config), "", append(all, opts...))
	if err != nil {
		return err
	}
	for _, name := range []string{"response_type", "client_id"} {
		if params.Get(name) == none {
			delete(params, name)
		}
	}
	maps.Copy(form, params)
	return nil
}

// retrieveError makes the error of an adapted response that x/oauth2 would make of it.
func retrieveError(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var f failureBody
	if err := json.Unmarshal(body, &f); err != nil {
		return err
	}
	return &oauth2.RetrieveError{
		Response: resp, Body: body,
		ErrorCode: f.Error, ErrorDescription: f.Description, ErrorURI: f.URI,
	}
}
