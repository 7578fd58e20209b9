package endpoints_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// various are the names of the hostile providers that differ most.
var various = []string{"form", "hook", "bearer"}

// hostileProviders have the secrets in every place that a provider may want them.
func hostileProviders() map[string]endpoints.Provider {
	base := rfc
	base.RevokeURL = "https://auth.example/revoke"
	with := func(change func(*endpoints.Provider)) endpoints.Provider {
		p := base
		p.Style.Header = map[string]string{"X-Api-Key": secrets["API key"]}
		change(&p)
		return p
	}
	all := map[string]endpoints.Provider{
		"form":   with(func(p *endpoints.Provider) {}),
		"JSON":   with(func(p *endpoints.Provider) { p.Style.Body = endpoints.JSONBody }),
		"header": with(func(p *endpoints.Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader }),
		"both": with(func(p *endpoints.Provider) {
			p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
			p.Style.Params = endpoints.Params{"client_id": {"{client_id}"}, "client_secret": {"{client_secret}"}}
		}),
		"query": with(func(p *endpoints.Provider) { p.Style.Body = endpoints.QueryBody }),
		"GET":   with(func(p *endpoints.Provider) { p.Style.Body, p.Style.Method = endpoints.QueryBody, "GET" }),
		"hook": with(func(p *endpoints.Provider) {
			p.Request = func(r *endpoints.Request) error {
				r.Params.Set("client_assertion", secrets["assertion"])
				r.HTTP.Header.Set("X-Signature", "v1 "+secrets["assertion"])
				return nil
			}
			p.Style.Params = endpoints.Params{
				"app": {"{client_secret}"}, "ticket": {"{code}"}, "spare": {"{refresh_token}"}, "dead": {"{token}"},
			}
		}),
		"bearer": with(func(p *endpoints.Provider) { p.Revoke.Auth = endpoints.AccessTokenAuth }),
	}
	if testing.Short() {
		maps.DeleteFunc(all, func(style string, _ endpoints.Provider) bool {
			return !slices.Contains(various, style)
		})
	}
	return all
}

// telling are hostile answers that have little in common: a redirect, a page, a form, and
// JSON that is read, cut, flattened or quoted.
var telling = []string{"redirect", "page", "form, cut", "sentence", "split", "long", "nested", "lifetime", "nothing"}

// hostileAnswersTo are those to a request in a style. With -short an exchange by a form gets
// all, and the others those that are telling: answers are read without regard to the request.
func hostileAnswersTo(style, request, s string) map[string]http.HandlerFunc {
	answers := hostileAnswers(s)
	if testing.Short() && (style != "form" || request != "exchange") {
		maps.DeleteFunc(answers, func(answer string, _ http.HandlerFunc) bool { return !slices.Contains(telling, answer) })
	}
	return answers
}

// hostileAnswers repeat the secret s, as it is spelled, in all the ways there are.
func hostileAnswers(s string) map[string]http.HandlerFunc {
	quoted, _ := json.Marshal(s)
	echo := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			line := strings.Join(strings.Fields(s), " ")
			for _, name := range []string{"X-Echo", "X-Request-Id", "Retry-After", "WWW-Authenticate", "Location", "Refresh", "ETag", "Date"} {
				w.Header().Set(name, line)
			}
			w.Header().Set("Set-Cookie", "session="+url.QueryEscape(s))
			w.Header().Set("Trailer", "X-Trailer")
			w.Header()["Content-Type"] = []string{contentType}
			w.WriteHeader(status)
			io.WriteString(w, body)
			w.Header().Set("X-Trailer", line)
		}
	}
	object := func(member string) string { return `{"` + member + `":` + string(quoted) + `}` }
	answers := map[string]http.HandlerFunc{
		"nothing":           echo(400, "", ""),
		"page":              echo(403, "text/html", "<html>"+s+"</html>"),
		"text":              echo(400, "text/plain", s),
		"text on the code":  echo(400, "text/plain", "bad code "+s),
		"content type":      echo(400, s, "x"),
		"content subtype":   echo(400, "text/"+url.QueryEscape(s), "x"),
		"form":              echo(400, formType, "error="+url.QueryEscape(s)+"&error_description="+url.QueryEscape(s)),
		"form, cut":         echo(400, formType, "error=invalid_grant&error_description="+strings.ReplaceAll(url.QueryEscape(s), "-", "%FF-")),
		"redirect":          echo(307, "text/html", s),
		"JSON that is none": echo(400, "application/json", `{"error":`+s),
		"success":           echo(200, "text/html", s),
		"success, JSON":     echo(200, "application/json", `{"error":`+string(quoted)+`,"error_description":`+string(quoted)+`}`),
		"lifetime":          echo(200, "application/json", `{"access_token":"x","expires_in":`+string(quoted)+`}`),
		"sentence": echo(400, "application/json", `{"error":"invalid_grant","error_description":"The code `+
			strings.Trim(string(quoted), `"`)+` is no good"}`),
		"split": echo(400, "application/json", `{"error":"invalid_grant","error_description":"`+
			strings.ReplaceAll(strings.Trim(string(quoted), `"`), "-", `\u0000-`)+`"}`),
		"URL":    echo(400, "application/json", `{"error":"invalid_grant","error_uri":"https://evil.example/?`+url.QueryEscape(s)+`"}`),
		"host":   echo(400, "application/json", `{"error":"invalid_grant","error_uri":"https://`+url.PathEscape(s)+`.example/"}`),
		"long":   echo(400, "application/json", `{"error":"invalid_grant","error_description":"`+strings.Repeat("x", 290)+strings.Trim(string(quoted), `"`)+`"}`),
		"nested": echo(400, "application/json", `{"error":{"code":`+string(quoted)+`,"message":`+string(quoted)+`}}`),
	}
	for _, member := range []string{"error", "error_description", "error_uri", "name", "message", "code", "type", "title", "errors"} {
		answers[member] = echo(400, "application/json", object(member))
	}
	return answers
}
