package endpoints

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// request returns the request to send in place of r, which holds form, and the
// secrets in it. It doesn't change r or form.
func (p *Provider) request(r *http.Request, form url.Values) (sent *http.Request, secrets []string, err error) {
	s := &p.Style
	grant := form.Get("grant_type")
	sent = r.Clone(tokenerror.WithAdapted(r.Context(), tokenerror.Adapted{Grant: grant}))
	sent.Body, sent.GetBody, sent.ContentLength = nil, nil, 0
	sent.Method = s.method()
	params := make(url.Values, len(form))
	for name, values := range form {
		params[name] = slices.Clone(values)
	}
	switch grant {
	case "authorization_code":
		addMissing(params, p.ExchangeParams)
	case "refresh_token":
		addMissing(params, p.RefreshParams)
		if u, err := url.Parse(p.RefreshURL); err == nil && p.RefreshURL != "" {
			sent.URL, sent.Host = u, ""
		}
	}
	if s.CredentialsInBoth {
		completeCredentials(sent, params)
	}
	secrets = requestSecrets(sent, params) // under the RFC's names
	s.setHeader(sent, params)
	params = s.params(params)
	if grant == "refresh_token" {
		for _, name := range s.OmitAtRefresh {
			params.Del(cmp.Or(s.RequestNames[name], name))
		}
	}
	if s.Request != nil {
		err = s.Request(sent, params)
	}
	secrets = append(secrets, requestSecrets(sent, params)...) // and what was added
	switch {
	case err != nil:
		err = fmt.Errorf("Style.Request: %w", err)
	case sent.Body != nil:
		err = resetBody(sent)
	default:
		err = encode(sent, params, s.Body)
	}
	return sent, secrets, err
}

// setHeader sets the headers of r, and takes from the parameters those that are
// sent there.
func (s *AuthStyle) setHeader(r *http.Request, params url.Values) {
	r.Header.Set("Accept", "application/json")
	for name, value := range s.Header {
		r.Header.Set(name, value)
	}
	for param, header := range s.HeaderParams {
		if v := params.Get(param); v != "" {
			r.Header.Set(header, v)
		}
		params.Del(param)
	}
}

// params returns in the provider's own terms: without what it doesn't take, and
// without empty values, which RFC 6749, sections 3.1 and 3.2, treats as omitted.
func (s *AuthStyle) params(in url.Values) url.Values {
	out := make(url.Values, len(in))
	renamed := make(url.Values, len(s.RequestNames))
	for name, values := range in {
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
		if len(values) == 0 || s.omits(name) {
			continue
		}
		if theirs, ok := s.RequestNames[name]; ok {
			renamed[theirs] = values
		} else {
			out[name] = values
		}
	}
	for name, values := range renamed {
		out[name] = values
	}
	return out
}

// addMissing adds the provider's parameters that the request doesn't have. A
// parameter that is there but empty was removed on purpose.
func addMissing(params url.Values, defaults map[string]string) {
	for name, value := range defaults {
		if _, ok := params[name]; !ok {
			params.Set(name, value)
		}
	}
}

// completeCredentials copies the client's id and secret from the header to the
// parameters or the other way.
func completeCredentials(r *http.Request, params url.Values) {
	if id := params.Get("client_id"); id != "" {
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(params.Get("client_secret")))
	} else if id, secret, ok := basicAuth(r); ok {
		params.Set("client_id", id)
		params.Set("client_secret", secret)
	}
}

// basicAuth returns the client's credentials as x/oauth2 puts them into the header:
// form-encoded first (RFC 6749, section 2.3.1).
func basicAuth(r *http.Request) (id, secret string, ok bool) {
	id, secret, ok = r.BasicAuth()
	if !ok {
		return "", "", false
	}
	if s, err := url.QueryUnescape(id); err == nil {
		id = s
	}
	if s, err := url.QueryUnescape(secret); err == nil {
		secret = s
	}
	return id, secret, true
}

// encode puts the parameters into r.
func encode(r *http.Request, params url.Values, format BodyFormat) error {
	r.Header.Del("Content-Type")
	if len(params) == 0 {
		setBody(r, nil) // a revocation that consists of its header
		return nil
	}
	switch format {
	case JSONBody:
		body, err := marshalParams(params)
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		setBody(r, body)
	case QueryBody:
		u := *r.URL
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += params.Encode()
		r.URL = &u
		setBody(r, nil)
	default:
		r.Header.Set("Content-Type", formType)
		setBody(r, []byte(params.Encode()))
	}
	return nil
}

// marshalParams makes a JSON object of strings, in the order of their names. A
// parameter that occurs more than once becomes an array.
func marshalParams(params url.Values) ([]byte, error) {
	members := make(map[string]any, len(params))
	for name, values := range params {
		members[name] = values
		if len(values) == 1 {
			members[name] = values[0]
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(members); err != nil {
		return nil, err // not reached: strings always marshal
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// resetBody makes the body that Style.Request has set one of known length.
func resetBody(r *http.Request) error {
	defer r.Body.Close()
	body, err := readAll(r.Body)
	if err != nil {
		return fmt.Errorf("can't read the body that Style.Request has set: %w", err)
	}
	setBody(r, body)
	return nil
}

// setBody gives r its body, and GetBody, so that net/http can send the request on
// another connection if nothing of it was written to the first one.
func setBody(r *http.Request, body []byte) {
	r.ContentLength = int64(len(body))
	switch {
	case len(body) > 0:
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	case r.Method == http.MethodGet:
		// net/http repeats a GET after a lost answer, when the code in it may be
		// spent, unless the request has a body that it can't get again.
		r.Body, r.GetBody = io.NopCloser(bytes.NewReader(nil)), nil
	default:
		r.Body, r.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
}
