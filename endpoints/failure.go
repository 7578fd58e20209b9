package endpoints

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// What can be wrong with an answer that isn't an error of the provider's. The
// texts come after tokenerror.Unusable.
var (
	errEmpty     = errors.New("it is empty")
	errNotJSON   = errors.New("it is neither JSON nor a form")
	errNoToken   = errors.New("there is no access_token in it")
	errNotString = errors.New("the refresh_token in it is not a string")
	errRedirect  = errors.New("it is a redirect, which is not followed because the request holds secrets")
)

// failureBody is the JSON of an adapted error.
type failureBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	URI         string `json:"error_uri,omitempty"`
}

func (b failureBody) marshal() []byte {
	body, err := json.Marshal(b)
	if err != nil {
		panic("endpoints: " + err.Error()) // strings always marshal
	}
	return body
}

// failure returns the adapted form of an error that the provider sent.
func (p *adapter) failure(a *answer) adapted {
	status := a.status
	if !isFailure(status) {
		status = http.StatusBadRequest // an error inside 200
	}
	secrets := a.secrets()
	found := p.Answer.errorIn(a)
	code, kind := found.code, meanings[found.declared]
	known, _ := tokenerror.Lookup(code)
	if known != "" {
		code = known
	} else if !tokenerror.LooksLikeCode(code) || redact.Text(code, secrets) != code {
		code = ""
	}
	description := redact.Line(found.description, maxErrorText, secrets)
	if kind == tokenerror.GrantRejected && a.in.grant != grantRefresh && tokenerror.BlamesRedirect(description) {
		kind = tokenerror.RedirectMismatch
	}
	asRFC := code != "" && code == standardMember(a.members, "error") // where a description is optional
	switch {
	case code != "":
	case kind != tokenerror.Unknown:
		code = codes[kind]
	default:
		code = guessCode(status, description, a.in.grant)
	}
	if description == "" && !asRFC {
		description = "HTTP status " + statusText(a.status)
	}
	return adapted{status: status, body: failureBody{
		Error:       code,
		Description: description,
		URI:         redact.URL(text(p.Answer.at(a.members, "error_uri")), maxErrorText, secrets),
	}.marshal(), kind: kind}
}

// unreadable returns the adapted form of an answer that says nothing, such as a
// firewall's page. Its body is not repeated, since nothing is known about it. A
// success status becomes 502: what was asked for may have happened.
func (p *adapter) unreadable(a *answer, cause error) adapted {
	status := a.status
	if !isFailure(status) {
		status = http.StatusBadGateway
	}
	why := cause.Error()
	if u, err := a.resp.Location(); err == nil && cause == errRedirect {
		why += " and leads to the host " + u.Host
	}
	media := mediaType(a.resp)
	var kind tokenerror.Kind
	if rule := lastResort(p.Answer.Errors, a.status); rule != nil && isFailure(a.status) && media != "text/html" {
		kind = meanings[rule.Kind]
	}
	code := tokenerror.CodeUnreadable
	switch {
	case kind != tokenerror.Unknown:
		code = codes[kind]
	case status >= 500 || status < 400:
	case cause == errEmpty:
		code = guessCode(status, "", a.in.grant)
	}
	return adapted{status: status, body: failureBody{
		Error: code,
		Description: fmt.Sprintf(tokenerror.Unusable+"%s (HTTP status %s, %d bytes of %s)",
			redact.Line(why, maxErrorText, a.secrets()), statusText(a.status), len(a.body), media),
	}.marshal(), kind: kind}
}

// statusText is the status without the server's own words for it.
func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// mediaType is the content type if it is a usual one: any other could be anything.
func mediaType(resp *http.Response) string {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch media {
	case "application/json", formType, "application/xml", "text/html", "text/plain", "text/xml":
		return media
	}
	return "unknown type"
}

// verdict tells what the member of Success says, if it is there.
func (a *Answer) verdict(members map[string]any) (failed, told bool) {
	for path, success := range a.Success {
		if v := find(members, path); v != nil {
			return memberText(v) != success, true
		}
	}
	return false, false
}

// signalsError reports whether the error member of a response with a success status
// says that it is none.
func signalsError(v any) bool {
	switch e := v.(type) {
	case nil:
		return false
	case string:
		return e != "" && e != "0"
	case bool:
		return e
	case json.Number:
		n, err := e.Float64()
		return err != nil || n != 0
	case map[string]any:
		return len(e) > 0
	case []any:
		return len(e) > 0
	}
	return true
}

// describesError reports whether an answer without a token is that of an error.
func (p *adapter) describesError(a *answer) bool {
	if p.Answer.at(a.members, "access_token") != nil {
		return false
	}
	found := p.Answer.errorIn(a)
	return found.declared != "" || found.code != "" && found.description != ""
}

// guessCode gives a code to an error that came without one. For a refresh it
// doesn't go by the words, and never says that the grant is invalid: that would end
// a connection, and a firewall's answer mustn't do that.
func guessCode(status int, words, grant string) string {
	words = strings.ToLower(words)
	has := func(part string) bool { return strings.Contains(words, part) }
	switch {
	case status == http.StatusTooManyRequests || has("rate limit") || has("too many requests"):
		return "too_many_requests"
	case status >= 500:
		return "server_error"
	case status == http.StatusUnauthorized:
		return "invalid_client"
	case grant != "authorization_code" || words == "":
		return tokenerror.CodeUnreadable
	case tokenerror.BlamesRedirect(words):
		return "redirect_uri_mismatch"
	case has("client") || has("secret"):
		return "invalid_client"
	case has("code") || has("grant"):
		return "invalid_grant"
	}
	return "invalid_request"
}
