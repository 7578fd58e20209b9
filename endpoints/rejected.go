package endpoints

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

const (
	maxRejection      = 64 << 10        // bytes of an API's 401 that are read to find out what it means
	rejectionPatience = 5 * time.Second // how long that may take
)

// TokenRejected tells whether an answer of the provider's API refuses the token that
// the request had, and the provider's code for that: see API.Errors. The code is "" if
// the answer doesn't say, as when it is a firewall's. The answer's body can still be
// read afterwards. TokenRejected waits no longer than five seconds for it; it reads
// none of it unless the status is 401 or in a rule, or if a WWW-Authenticate header
// tells enough. It understands a compressed body if that is gzip. Package tokensource calls it.
func (c *Config) TokenRejected(resp *http.Response) (code string, rejected bool) {
	conf := c.config()
	rules := conf.API.Errors
	ruled := slices.ContainsFunc(rules, func(r ErrorRule) bool { return r.Status == resp.StatusCode })
	if resp.StatusCode != http.StatusUnauthorized && !ruled {
		return "", false
	}
	challenge, _ := tokenerror.Refused(resp.Header)
	if challenge != "" && !ruled {
		return refused(challenge)
	}
	members, readable := apiMembers(resp)
	found := conf.Answer.errorOf(members, resp.StatusCode, nil)
	if known, _ := tokenerror.Lookup(found.code); known != "" {
		found.code = known
	}
	codes, _ := conf.Answer.codesIn(members)
	if challenge != "" {
		codes = append([]string{challenge}, codes...)
		found.code = challenge
	}
	rule, matched := ruleFor(rules, resp.StatusCode, members, codes)
	if rule == nil && tokenerror.RefusalOf(found.code) == tokenerror.RefusalUnknown {
		rule = lastResort(rules, resp.StatusCode)
		if rule != nil && rule.Kind == KindLoginRequired && mediaOf(resp.Header) == "text/html" {
			rule = nil // a firewall's page must not end a connection
		}
	}
	switch {
	case rule != nil:
		return rule.refuses(cmp.Or(matched, found.code))
	case resp.StatusCode != http.StatusUnauthorized:
		return "", false
	case found.code == "" && readable:
		return "unauthorized", true // the API's own words, but no code in them
	}
	return refused(found.code)
}

// apiMembers returns the members of an answer of the API, and whether it has any. Of a
// success only JSON is looked at, and only if it isn't long.
func apiMembers(resp *http.Response) (members map[string]any, readable bool) {
	if !isFailure(resp.StatusCode) {
		media := mediaOf(resp.Header)
		if resp.ContentLength > maxRejection || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return nil, false
		}
	}
	body := uncompressed(resp.Header, tokenerror.Peek(resp, maxRejection, rejectionPatience))
	members, err := decodeMembers(resp.Header.Get("Content-Type"), body, nil)
	return members, err == nil
}

// uncompressed returns the body of an answer without the compression that the request itself has
// asked for, by a header field of an SDK's or of a reverse proxy's caller: net/http undoes only
// its own. That is gzip, or else body is returned as it is. No more is returned than is read.
func uncompressed(h http.Header, body []byte) []byte {
	switch strings.ToLower(h.Get("Content-Encoding")) {
	case "gzip", "x-gzip":
	default:
		return body
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	plain, _ := io.ReadAll(io.LimitReader(z, maxRejection)) // of a part there is a part
	return plain
}

// refuses returns what a rule says of an answer that has the code.
func (r *ErrorRule) refuses(code string) (string, bool) {
	switch r.Kind {
	case KindTokenRejected:
		return code, true
	case KindLoginRequired:
		return cmp.Or(code, "login_required"), true
	}
	return code, false
}

// refused returns what a code of an API says about the token.
func refused(code string) (string, bool) {
	switch tokenerror.RefusalOf(code) {
	case tokenerror.RefusalToken:
		return code, true
	case tokenerror.RefusalOther:
		return code, false
	}
	return "", true
}
