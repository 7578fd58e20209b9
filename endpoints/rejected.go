package endpoints

import (
	"net/http"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/httpauth"
)

const (
	maxRejection      = 64 << 10        // bytes of an API's 401 that are read to find out what it means
	rejectionPatience = 5 * time.Second // how long that may take
)

// TokenRejected tells what a 401 of the provider's API means: whether it is about
// the token, and the provider's code for that. The code is "" if the response
// doesn't say, as when it is a firewall's. The response's body can still be read
// afterwards. TokenRejected waits no longer than five seconds for it, and reads none
// of it if a WWW-Authenticate header tells enough. Package tokensource asks.
func (c *Config) TokenRejected(resp *http.Response) (code string, rejected bool) {
	style := &c.config().Style
	code, _ = httpauth.Refused(resp.Header)
	if code == "" {
		members, err := decodeMembers(resp.Header.Get("Content-Type"), httpauth.Peek(resp, maxRejection, rejectionPatience))
		if err != nil {
			return "", true
		}
		found, _ := style.errorOf(members)
		if code = found.text; code == "" {
			return "unauthorized", true // the API's own words, but no code in them
		}
	}
	meaning := code
	if own, ok := style.ErrorCodes[style.meaning(code).text]; ok {
		meaning = own // what the Style says holds for the API as well
	}
	switch httpauth.RefusalOf(meaning) {
	case httpauth.RefusalToken:
		return code, true
	case httpauth.RefusalOther:
		return code, false
	}
	return "", true
}
