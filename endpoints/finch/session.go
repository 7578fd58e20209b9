package finch

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// Session is a new Connect session, by which an employer connects. The zero value of
// every field but CustomerID and CustomerName leaves it to Finch.
//
// https://developer.tryfinch.com/implementation-guide/Connect/Set-Up-Finch-Connect
type Session struct {
	// CustomerID is the program's own id of the employer, and CustomerName the name that
	// Finch shows. Both are required, and have 1 to 255 characters.
	CustomerID, CustomerName string

	// CustomerEmail is the employer's address.
	CustomerEmail string

	// Products are what is asked for. Empty means the scopes of Client.Config.
	Products []string

	// Provider is the payroll provider, such as "gusto", if the program knows it, and
	// AuthMethod how the employer logs in there: "assisted", "credential", "oauth" or
	// "api_token".
	Provider   string
	AuthMethod string

	// Manual asks for a form in the place of a login.
	Manual bool

	// Sandbox is "finch" or "provider" for a trial.
	Sandbox string

	// Lifetime is how long the employer may take to begin, in whole minutes: from one to
	// 129,600, which are 90 days and what zero means. The attempt that the session
	// belongs to ends by itself, with pkce.Flow.MaxAge.
	Lifetime time.Duration
}

// Reauthentication is a Connect session by which an employer who has connected logs in
// again.
type Reauthentication struct {
	// ConnectionID is Finch's id of the connection. It is required.
	ConnectionID string

	// Products are what is asked for. Empty means what was granted.
	Products []string

	// Lifetime is that of a [Session]. Zero means 30 days.
	Lifetime time.Duration
}

// Option returns the option that has an attempt of [Client] make the session. A mistake
// in s is an error of the attempt.
func (s Session) Option() oauth2.AuthCodeOption {
	o := option{Session: &newSession{
		CustomerID: s.CustomerID, CustomerName: s.CustomerName, CustomerEmail: s.CustomerEmail,
		Products: s.Products, Manual: s.Manual, Sandbox: s.Sandbox, Minutes: minutes(s.Lifetime),
	}}
	if s.Provider != "" || s.AuthMethod != "" {
		o.Session.Integration = &integration{s.Provider, s.AuthMethod}
	}
	return o.option(s.check())
}

// Option returns the option that has an attempt of [Client] make the session. A mistake
// in r is an error of the attempt.
func (r Reauthentication) Option() oauth2.AuthCodeOption {
	o := option{Reauthentication: &reauthentication{
		ConnectionID: r.ConnectionID, Products: r.Products, Minutes: minutes(r.Lifetime),
	}}
	return o.option(r.check())
}

// check returns what is wrong with s, or "".
func (s *Session) check() string {
	const what = "Session"
	for _, f := range []struct {
		name, v string
		min     int
	}{
		{"CustomerID", s.CustomerID, 1}, {"CustomerName", s.CustomerName, 1}, {"CustomerEmail", s.CustomerEmail, 0},
		{"Provider", s.Provider, 0},
	} {
		if wrong := checkText(what+"."+f.name, f.v, f.min); wrong != "" {
			return wrong
		}
	}
	switch {
	case !slices.Contains([]string{"", "assisted", "credential", "oauth", "api_token"}, s.AuthMethod):
		return fmt.Sprintf("%s.AuthMethod is unknown: %q", what, s.AuthMethod)
	case s.AuthMethod != "" && s.Provider == "":
		return what + ".AuthMethod has no effect without Provider"
	case !slices.Contains([]string{"", "finch", "provider"}, s.Sandbox):
		return fmt.Sprintf("%s.Sandbox is unknown: %q", what, s.Sandbox)
	}
	return checkRest(what, s.Products, s.Lifetime)
}

func (r *Reauthentication) check() string {
	const what = "Reauthentication"
	if wrong := checkText(what+".ConnectionID", r.ConnectionID, 1); wrong != "" {
		return wrong
	}
	return checkRest(what, r.Products, r.Lifetime)
}

// checkText returns what is wrong with a text that has at least so many characters.
func checkText(field, v string, least int) string {
	const most = 255
	switch n := utf8.RuneCountInString(v); {
	case n < least:
		return field + " is missing"
	case n > most:
		return fmt.Sprintf("%s has more than %d characters", field, most)
	case !utf8.ValidString(v):
		return field + " isn't valid UTF-8"
	}
	return ""
}

// checkRest checks what the two kinds of sessions have in common.
func checkRest(what string, products []string, lifetime time.Duration) string {
	for i, p := range products {
		if wrong := checkText(fmt.Sprintf("%s.Products[%d]", what, i), p, 1); wrong != "" {
			return wrong
		}
		if slices.Contains(products[:i], p) {
			return fmt.Sprintf("%s.Products[%d] is there twice", what, i)
		}
	}
	const most = 129_600 * time.Minute
	if lifetime < 0 || lifetime > most || lifetime%time.Minute != 0 {
		return fmt.Sprintf("%s.Lifetime must be whole minutes, at most %d", what, most/time.Minute)
	}
	return ""
}

func minutes(d time.Duration) int64 { return int64(d / time.Minute) }

// newSession and reauthentication are the bodies of the requests.
type newSession struct {
	CustomerID    string       `json:"customer_id"`
	CustomerName  string       `json:"customer_name"`
	CustomerEmail string       `json:"customer_email,omitempty"`
	Products      []string     `json:"products"`
	Integration   *integration `json:"integration,omitempty"`
	Manual        bool         `json:"manual,omitempty"`
	Sandbox       string       `json:"sandbox,omitempty"`
	Minutes       int64        `json:"minutes_to_expire,omitempty"`
	RedirectURI   string       `json:"redirect_uri,omitempty"`
}

type integration struct {
	Provider   string `json:"provider"`
	AuthMethod string `json:"auth_method,omitempty"`
}

type reauthentication struct {
	ConnectionID string   `json:"connection_id"`
	Products     []string `json:"products,omitempty"`
	Minutes      int64    `json:"minutes_to_expire,omitempty"`
	RedirectURI  string   `json:"redirect_uri,omitempty"`
}

// option is a session, or what is wrong with it, in the text of an AuthCodeOption, which
// is all that one can carry.
type option struct {
	Mistake          string            `json:",omitempty"`
	Session          *newSession       `json:",omitempty"`
	Reauthentication *reauthentication `json:",omitempty"`
}

// optionName is the name of the option. It isn't sent anywhere.
const optionName = "finch_connect_session"

func (o option) option(wrong string) oauth2.AuthCodeOption {
	if wrong != "" {
		o = option{Mistake: wrong}
	}
	encoded, err := json.Marshal(o)
	if err != nil {
		panic("finch: " + err.Error()) // texts and numbers always have a JSON form
	}
	return oauth2.SetAuthURLParam(optionName, string(encoded))
}

func parseOption(encoded string) (*option, error) {
	var o option
	err := json.Unmarshal([]byte(encoded), &o)
	switch {
	case err != nil || o.Mistake == "" && (o.Session == nil) == (o.Reauthentication == nil):
		return nil, mistake("the option " + optionName + " is made by Session.Option or Reauthentication.Option")
	case o.Mistake != "":
		return nil, mistake(o.Mistake)
	}
	return &o, nil
}

// path is where the request goes.
func (o *option) path() string {
	if o.Session != nil {
		return "/connect/sessions"
	}
	return "/connect/sessions/reauthenticate"
}
