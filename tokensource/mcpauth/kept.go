package mcpauth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// kept is the http.RoundTripper of the SDK's handler while it asks the user. The metadata
// that the handler looks for are those that were found; a client that is registered already
// isn't registered again; and nothing is sent but to the registration and token
// endpoints of the one authorization server, wherever these redirect to.
//
// The metadata were fetched with Config.Client itself, since the SDK checks the addresses
// it connects to only if it has a client without a RoundTripper of another's.
type kept struct {
	h     *Handler
	found *discovery
	base  http.RoundTripper

	// What became of it. The SDK's handler makes one request after the other.
	dynamic bool                 // a registration was asked for
	reused  bool                 // and is an earlier one
	method  endpoints.ClientAuth // how the client authenticated last
	useless string               // the client, unless something shows that it is good for this
}

// exchangeTime is how long an exchange may take, unless Config.Client says it.
const exchangeTime = time.Minute

// maxAnswer bounds what is read of a registration, as the SDK does.
const maxAnswer = 1 << 20

// RoundTrip implements http.RoundTripper.
func (t *kept) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	switch to := r.URL.String(); {
	case r.Method == http.MethodGet:
		return t.metadata(r)
	case r.Method == http.MethodPost && to == t.found.registrationURL() && r.Header.Get("Content-Type") == "application/json":
		t.dynamic = true
		return t.register(r, body)
	case r.Method == http.MethodPost && to == t.found.tokenURL():
		return t.exchange(r, body)
	}
	return nil, errors.New("mcpauth: a request that isn't for the authorization server's endpoints isn't sent")
}

func (t *kept) metadata(r *http.Request) (*http.Response, error) {
	document := t.found.document(r.URL)
	if document == nil {
		return answer(r, http.StatusNotFound, nil), nil
	}
	data, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	return answer(r, http.StatusOK, data), nil
}

// register returns the registration that is kept, or makes one and keeps it. Of several
// processes that register at once, the first to save wins, and the others adopt its client:
// the user consents to one.
func (t *kept) register(r *http.Request, request []byte) (*http.Response, error) {
	issuer, endpoint := t.found.issuer(), r.URL.String()
	var response []byte
	find := func(k *record) bool {
		if k.Registration.answers(issuer, endpoint, request, time.Now()) {
			response = k.Registration.Response
			return true
		}
		return false
	}
	k, _, err := t.h.read(r.Context())
	if err != nil {
		return nil, err
	}
	if find(&k) {
		t.useless, t.reused = k.Registration.clientID(), true
		return answer(r, http.StatusCreated, response), nil
	}
	resp, err := t.send(r, request)
	if err != nil {
		return nil, err
	}
	made, err := readAll(resp)
	if err != nil {
		return nil, err
	}
	var client oauthex.ClientRegistrationResponse
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK || json.Unmarshal(made, &client) != nil || client.ClientID == "" {
		return refusal(resp, made).answer(r), nil
	}
	err = t.h.update(r.Context(), func(k *record) bool {
		if find(k) {
			return false
		}
		response = made
		k.Registration = &registration{Issuer: issuer, Endpoint: endpoint, Request: request, Response: made}
		return true
	})
	if err != nil {
		return nil, err
	}
	t.useless = client.ClientID
	return answer(r, http.StatusCreated, response), nil
}

// exchange sends the code, and notes how the client authenticates: that is how it does when
// it refreshes. One without a secret is named in the body (RFC 6749, section 3.2.1), where
// x/oauth2 would try an empty password first. A caller who gives up now doesn't end it: what
// the user has consented to would be lost.
func (t *kept) exchange(r *http.Request, body []byte) (*http.Response, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	id, secret, basic := r.BasicAuth()
	t.useless = ""                                   // there is a code for it
	if id, err = url.QueryUnescape(id); err != nil { // RFC 6749, section 2.3.1
		return nil, err
	}
	if !basic {
		id = form.Get("client_id")
	}
	switch {
	case secret != "":
		t.method = endpoints.ClientSecretBasic
	case form.Get("client_secret") != "":
		t.method = endpoints.ClientSecretPost
	default:
		t.method = endpoints.PublicClient
		if basic {
			r = r.Clone(r.Context())
			r.Header.Del("Authorization")
			form.Set("client_id", id)
			body = []byte(form.Encode())
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), cmp.Or(t.h.config.Client.Timeout, exchangeTime))
	defer cancel()
	r = r.WithContext(ctx)
	resp, err := t.send(r, body)
	if err != nil {
		return nil, err
	}
	data, err := readAll(resp)
	if err != nil {
		return nil, err
	}
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	if resp.StatusCode == http.StatusOK && json.Unmarshal(data, &issued) == nil && issued.AccessToken != "" {
		return answer(r, resp.StatusCode, data), nil
	}
	refused := refusal(resp, data)
	if refused.Error == "invalid_client" {
		t.useless = id
	}
	return refused.answer(r), nil
}

// send has a request sent as it is.
func (t *kept) send(r *http.Request, body []byte) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	return t.base.RoundTrip(r)
}

func readAll(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("mcpauth: reading the authorization server's answer: %w", err)
	}
	return data, nil
}

// serverError is an error of the authorization server (RFC 6749, section 5.2; RFC 7591, section
// 3.2.2).
type serverError struct {
	Error  string `json:"error"`
	status int
}

// refusal returns what may be told of an answer that isn't one. The SDK and x/oauth2 quote
// all of it in their errors, in which there may be a code or a secret that the server
// repeats.
func refusal(resp *http.Response, body []byte) serverError {
	r := serverError{status: resp.StatusCode}
	if json.Unmarshal(body, &r) != nil || !tokenerror.LooksLikeCode(r.Error) {
		r.Error = "unreadable_answer"
	}
	if r.status < http.StatusBadRequest {
		r.status = http.StatusBadGateway
	}
	return r
}

func (e serverError) answer(r *http.Request) *http.Response {
	data, _ := json.Marshal(e) // of a string
	return answer(r, e.status, data)
}

// answer makes a response.
func answer(r *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       r,
	}
}
