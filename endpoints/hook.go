package endpoints

import (
	"net/http"
	"net/url"
)

// Request is a request that [AuthStyle] describes, on its way to the provider. See
// Provider.Request.
type Request struct {
	// Grant tells which request it is, whatever is sent as grant_type:
	// "authorization_code", "refresh_token", "revoke", "introspect"; for
	// [Config.SendAsClient] "client", and for a device "device_authorization" and then
	// "urn:ietf:params:oauth:grant-type:device_code".
	Grant string

	// Params are the parameters, under the names by which they will be sent.
	Params url.Values

	// HTTP is the request. Its method, URL and header may be changed. If its Body
	// is set, that is sent with the Content-Type that the header has, and Params
	// are not. An Idempotency-Key is an error: with it net/http may send a request twice.
	// The cookies of the client's jar are added afterwards, if the request still goes to the
	// origin of the endpoint.
	HTTP *http.Request

	value values
}

// Value returns what {name} stands for in this request: a parameter of the RFC,
// sent or not, such as client_secret; a variable; or a member of what is kept beside
// the token. It returns "" if there is none, or none that Vars accepts.
func (r *Request) Value(name string) string { return r.value.text(name) }

// Response is the answer to a [Request]. See Provider.Response.
type Response struct {
	// Grant is that of the Request.
	Grant string

	// Status and Header are those of the answer. Status may be changed.
	Status int
	Header http.Header

	// Body is the answer as it was sent, up to 1 MiB.
	Body []byte

	// Members is what was read from Body, as encoding/json decodes it with
	// UseNumber, or nil if it is neither JSON nor a form nor the plain text of an
	// error. It may be changed or replaced, under the names of the provider or of
	// the RFC, by values of any type that has a JSON form.
	Members map[string]any

	// Kind, if it is set, makes the answer an error that has this meaning,
	// whatever Status and Members say.
	Kind ErrorKind

	value values
}

// Value is that of the Request.
func (r *Response) Value(name string) string { return r.value.text(name) }

func (v values) text(name string) string {
	if v == nil {
		return ""
	}
	s, err := v(name)
	if err != nil {
		return ""
	}
	return s
}
