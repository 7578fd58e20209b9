package endpoints

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// request returns the request to send in place of r, and its parameters as the
// provider calls them, made from those of r. It changes params, but not r.
func (p *adapter) request(r *http.Request, params url.Values) (sent *http.Request, theirs url.Values, err error) {
	s := &p.Style
	grant := params.Get("grant_type")
	sent = r.Clone(tokenerror.WithAdapted(r.Context(), tokenerror.Adapted{Grant: grant}))
	sent.Body, sent.GetBody, sent.ContentLength = nil, nil, 0
	sent.Method = s.method()
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
	switch {
	case err != nil:
		err = fmt.Errorf("Style.Request: %w", err)
	case sent.Body != nil:
		err = resetBody(sent)
	default:
		encode(sent, params, s.Body)
	}
	return sent, params, err
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

// params turns parameters into the provider's own terms: without what it doesn't
// take, and without empty values, which RFC 6749, sections 3.1 and 3.2, treats as
// omitted. It changes them, and returns them.
func (s *AuthStyle) params(params url.Values) url.Values {
	var renamed url.Values
	for name, values := range params {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		theirs, isRenamed := s.RequestNames[name]
		switch {
		case len(values) == 0 || s.omits(name):
			delete(params, name)
		case isRenamed:
			if renamed == nil {
				renamed = make(url.Values, len(s.RequestNames))
			}
			renamed[theirs] = values
			delete(params, name)
		default:
			params[name] = values
		}
	}
	maps.Copy(params, renamed)
	return params
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
func encode(r *http.Request, params url.Values, format BodyFormat) {
	r.Header.Del("Content-Type")
	if len(params) == 0 {
		setBody(r, nil) // a revocation that consists of its header
		return
	}
	switch format {
	case JSONBody:
		r.Header.Set("Content-Type", "application/json")
		setBody(r, marshalParams(params))
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
}

// marshalParams makes a JSON object of strings, in the order of their names. A
// parameter that occurs more than once becomes an array.
func marshalParams(params url.Values) []byte {
	body := append(make([]byte, 0, 512), '{')
	for i, name := range slices.Sorted(maps.Keys(params)) {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(appendString(body, name), ':')
		values := params[name]
		if len(values) == 1 {
			body = appendString(body, values[0])
			continue
		}
		for i, v := range values {
			body = appendString(append(body, "[,"[min(i, 1)]), v)
		}
		body = append(body, ']')
	}
	return append(body, '}')
}

// appendString appends s as a JSON string, in which the characters of HTML stay what
// they are.
func appendString(to []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		plain = plain && s[i] >= ' ' && s[i] <= '~' && s[i] != '"' && s[i] != '\\'
	}
	if plain {
		return append(append(append(to, '"'), s...), '"')
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always can be
	return append(to, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
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
