package endpoints

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// maxRejection is how much of an API's 401 is read to find out what it means.
const maxRejection = 64 << 10

// TokenRejected tells what a 401 of the provider's API means: whether it is about
// the token, and the provider's code for that. The code is "" if the response
// doesn't say, as when it is a firewall's. The response's body can still be read
// afterwards. Package tokensource asks.
func (c *Config) TokenRejected(resp *http.Response) (code string, rejected bool) {
	head, err := io.ReadAll(io.LimitReader(resp.Body, maxRejection))
	rest := io.MultiReader(bytes.NewReader(head), resp.Body)
	if err != nil {
		rest = io.MultiReader(bytes.NewReader(head), failingReader{err})
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{rest, resp.Body}

	for _, challenge := range resp.Header.Values("WWW-Authenticate") { // RFC 6750, section 3
		if _, value, ok := strings.Cut(challenge, `error="`); ok {
			code, _, _ = strings.Cut(value, `"`)
			code = c.config().provider.Style.meaning(code)
		}
	}
	if code == "" {
		members, err := decodeMembers(resp.Header.Get("Content-Type"), head)
		if err != nil {
			return "", true
		}
		if code, _ = c.config().provider.Style.errorOf(members); code == "" {
			return "unauthorized", true // the API's own words, but no code in them
		}
	}
	switch kinds[code] {
	case KindLoginRequired:
		return code, true
	case KindUnknown:
		return "", true
	}
	return code, false
}

// failingReader is what is left of a body that couldn't be read to its end.
type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
