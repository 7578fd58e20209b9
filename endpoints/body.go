package endpoints

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

const (
	// maxBody is the most that is read of a request's or a response's body, in
	// bytes. Token responses are a few kilobytes; more comes from a broken or
	// hostile server.
	maxBody = 1 << 20

	formType = "application/x-www-form-urlencoded"
)

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

// resetBody makes the body that Request has set one of known length.
func resetBody(r *http.Request) error {
	defer r.Body.Close()
	body, err := readAll(r.Body)
	if err != nil {
		return fmt.Errorf("can't read the body that Request has set: %w", err)
	}
	setBody(r, body)
	return nil
}

// setBody gives r its body, and GetBody, so that net/http can send the request on
// another connection if nothing of it was written to the first one. A GET, and the methods
// like it, have no GetBody: net/http repeats them even after a lost answer, when the code in
// them may be spent, unless they have a body that it can't get again.
func setBody(r *http.Request, body []byte) {
	r.ContentLength = int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	if len(body) == 0 {
		r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	r.Body, _ = r.GetBody()
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "": // which is a GET
		r.Body, r.GetBody = io.NopCloser(bytes.NewReader(body)), nil
	}
}

// readAll reads at most maxBody bytes.
func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(body) > maxBody {
		return body[:maxBody], errTooLarge
	}
	return body, err
}
