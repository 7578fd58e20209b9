package endpoints

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// What can be wrong with an answer that isn't an error of the provider's. The
// texts complete the sentence "the answer can't be used: …".
var (
	errEmpty     = errors.New("it is empty")
	errNotJSON   = errors.New("it is neither JSON nor a form")
	errNoToken   = errors.New("there is no access_token in it")
	errNotString = errors.New("the refresh_token in it is not a string")
	errRedirect  = errors.New("it is a redirect, which is not followed because the request holds secrets")
)

// unusable begins the description of an answer that makes no sense.
const unusable = "the answer can't be used: "

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
func (p *Provider) failure(a *answer, members map[string]any) adapted {
	status := a.resp.StatusCode
	if !isFailure(status) {
		status = http.StatusBadRequest // an error inside 200
	}
	secrets := a.secrets()
	code, description := p.Style.errorOf(members)
	kind := code.declared
	if code.kind == tokenerror.Unknown && (!tokenerror.LooksLikeCode(code.text) || redact.Text(code.text, secrets) != code.text) {
		code.text = ""
	}
	description = redact.Line(description, maxErrorText, secrets)
	if kind == tokenerror.GrantRejected && a.grant != "refresh_token" && tokenerror.BlamesRedirect(description) {
		kind = tokenerror.RedirectMismatch
	}
	asRFC := code.text != "" && code.text == members["error"] // where a description is optional
	if code.text == "" {
		code.text = guessCode(status, description, a.grant)
	}
	if description == "" && !asRFC {
		description = "HTTP status " + statusText(a.resp)
	}
	return adapted{status: status, body: failureBody{
		Error:       code.text,
		Description: description,
		URI:         redact.URL(text(members["error_uri"]), maxErrorText, secrets),
	}.marshal(), kind: kind}
}

// unreadable returns the adapted form of an answer that says nothing, such as a
// firewall's page. Its body is not repeated, since nothing is known about it. A
// success status becomes 502: what was asked for may have happened.
func (p *Provider) unreadable(a *answer, cause error) adapted {
	status := a.resp.StatusCode
	if !isFailure(status) {
		status = http.StatusBadGateway
	}
	why := cause.Error()
	if u, err := a.resp.Location(); err == nil && cause == errRedirect {
		why += " and leads to the host " + u.Host
	}
	media := mediaType(a.resp)
	code := tokenerror.CodeUnreadable
	switch {
	case status >= 500 || status < 400:
	case cause == errEmpty:
		code = guessCode(status, "", a.grant)
	case cause == errNotJSON && media == "text/plain":
		code = guessCode(status, string(a.body), a.grant) // some explain an error in a line of text
	}
	return adapted{status: status, body: failureBody{
		Error: code,
		Description: fmt.Sprintf(unusable+"%s (HTTP status %s, %d bytes of %s)",
			redact.Line(why, maxErrorText, a.secrets()), statusText(a.resp), len(a.body), media),
	}.marshal()}
}

// statusText is the status without the server's own words for it.
func statusText(resp *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
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

// verdict tells what the SuccessMember of a response says, if that is told.
func (s *AuthStyle) verdict(members map[string]any) (failed, told bool) {
	if s.SuccessMember == "" {
		return false, false
	}
	object, name := find(members, s.SuccessMember)
	if object == nil {
		return false, false
	}
	return !slices.Contains(s.SuccessValues, text(object[name])), true
}

// signalsError reports whether the error member of a response with a success status
// says that it is none.
func signalsError(members map[string]any) bool {
	switch e := members["error"].(type) {
	case nil:
		return false
	case string:
		return e != ""
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

// describesError reports whether the members of a response without a token are
// those of an error.
func (s *AuthStyle) describesError(members map[string]any) bool {
	if _, ok := members["access_token"]; ok {
		return false
	}
	code, description := s.errorOf(members)
	return code.text != "" && description != ""
}

var (
	codeMembers        = []string{"error", "name", "error_code", "errorCode", "errorType", "code", "type"}
	descriptionMembers = []string{
		"error_description", "message", "error_message", "errorMessage", "errmsg", "msg", "detail", "description", "title",
	}
)

// errorCode is an error code of the provider's.
type errorCode struct {
	text     string // as the provider writes it, or as the RFC does if it has it
	kind     tokenerror.Kind
	declared tokenerror.Kind // kind, if that is what Style.ErrorCodes says
}

// errorOf finds the code and description of an error in the shapes that occur.
func (s *AuthStyle) errorOf(members map[string]any) (code errorCode, description string) {
	for _, place := range errorPlaces(members) {
		for _, name := range slices.Concat(s.ErrorMembers, codeMembers) {
			candidate := s.codeIn(place, name)
			if candidate.kind != tokenerror.Unknown {
				code = candidate
				break
			}
			if code.text == "" {
				code = candidate
			}
		}
		for _, name := range descriptionMembers {
			if description == "" {
				description, _ = place[name].(string)
			}
		}
		if code.kind != tokenerror.Unknown {
			break
		}
	}
	for _, name := range []string{"error", "errors"} { // a sentence where a code should be
		if sentence, ok := members[name].(string); ok && description == "" && sentence != code.text {
			description = sentence
		}
	}
	return code, description
}

// errorPlaces returns the objects that may describe the error: the response itself,
// {"error": {…}} and {"errors": [{…}]}.
func errorPlaces(members map[string]any) []map[string]any {
	places := []map[string]any{members}
	if inner, ok := members["error"].(map[string]any); ok {
		places = append(places, inner)
	}
	list, _ := members["errors"].([]any)
	for _, element := range list {
		if inner, ok := element.(map[string]any); ok {
			places = append(places, inner)
		}
	}
	return places
}

// codeIn returns the error code that the member holds, or none.
func (s *AuthStyle) codeIn(place map[string]any, name string) errorCode {
	v := lookup(place, name)
	code := s.meaning(text(v))
	if code.kind == tokenerror.Unknown && !slices.Contains(s.ErrorMembers, name) {
		// Not a code: a flag; a repeated HTTP status; a sentence; the URL that is
		// the type of a problem (RFC 9457).
		_, isFlag := v.(bool)
		_, notNumber := strconv.Atoi(code.text)
		if isFlag || notNumber == nil || strings.ContainsAny(code.text, " /:\t\r\n") {
			return errorCode{}
		}
	}
	return code
}

// meaning returns what is known of an error code. What ErrorCodes says goes first.
func (s *AuthStyle) meaning(code string) errorCode {
	// Finch's documentation has most of its codes with and without the suffix.
	for _, text := range []string{code, strings.TrimSuffix(code, "_error"), code + "_error"} {
		if meaning, ok := s.ErrorCodes[text]; ok {
			_, kind := tokenerror.Lookup(meaning)
			return errorCode{text, kind, kind}
		}
	}
	if known, kind := tokenerror.Lookup(code); known != "" {
		return errorCode{text: known, kind: kind}
	}
	return errorCode{text: code}
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
