package endpoints

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Answer describes the answers to the requests that [AuthStyle] describes, in
// success and error. The zero value is RFC 6749's, sections 5.1 and 5.2.
//
// JSON, JSONP and forms are told apart by what they are, whatever their content
// type, and an error of plain text counts as one with the member error_description.
// Of an array at the top the objects are read as one, and texts as "errors". A member
// is named by the path to it, with dots: "data.token". An array on the way stands
// for its elements, the first of which that has the member counts: "errors.code".
//
// Everything in a success is kept beside the token as it was sent, also what was
// renamed or wrapped. There are exceptions for access_token, token_type, refresh_token
// and expires_in: beside the token these are its own, a lifetime is in seconds, and
// another token that had these names at the top is lost if x/oauth2 reads the answer,
// as under [Provider.Context].
type Answer struct {
	// TokenIn is the member that holds the token's object, for a provider that
	// wraps it: "data". An answer that doesn't have it is read from the top.
	TokenIn string `json:"token_in,omitzero"`

	// Names gives the provider's names for access_token, token_type,
	// refresh_token, expires_in, scope, error, error_description and error_uri,
	// and for expires_at, which the RFC doesn't have: the time when the token
	// expires. They are looked for within TokenIn first. The RFC's names, and the
	// usual ones for errors, are understood as well.
	//
	// A provider that refreshes with the access token has
	// {"refresh_token": "access_token"}.
	Names map[string]string `json:"names,omitzero"`

	// LifetimeUnit is the unit of expires_in. Zero means a second.
	LifetimeUnit time.Duration `json:"-"`

	// TimeLayout is how expires_at is written, as package time has it; a time
	// without zone is UTC. Empty means seconds or milliseconds since 1970, RFC 3339
	// with or without zone, or the date of HTTP.
	TimeLayout string `json:"time_layout,omitzero"`

	// DefaultLifetime is how long a token lives whose answer doesn't say, or not
	// legibly. Zero means until it is refused; but one that can be refreshed, and
	// whose lifetime is there and can't be read, is taken to live for five minutes.
	DefaultLifetime time.Duration `json:"-"`

	// Success has a member, and its value as text, that tells success from error
	// whatever the status: {"ok": "true"}. An answer without the member is judged
	// by its status, its error code and whether there is a token in it.
	Success map[string]string `json:"success,omitzero"`

	// Errors say what errors mean.
	Errors []ErrorRule `json:"errors,omitzero"`
}

func (a Answer) clone() Answer {
	a.Names = maps.Clone(a.Names)
	a.Success = maps.Clone(a.Success)
	a.Errors = slices.Clone(a.Errors)
	return a
}

// answer is what the provider answered, and what must be known of the request to
// read it.
type answer struct {
	in   *input
	call *call // of a Config, or nil
	resp *http.Response
	body []byte
	err  error // errTooLarge if there was more than body
	none error // why there are no members, or nil

	// What a hook may change.
	status  int
	members map[string]any
	hooked  bool
	kind    ErrorKind // that the hook has set

	asked  *http.Request // by x/oauth2 or a call
	sent   *http.Request // in its place
	params url.Values    // of that
}

// adapted is what stands in place of an answer: for x/oauth2 to read, or for a call, which
// has the token already and reads errors alone.
type adapted struct {
	status int
	body   []byte
	kind   tokenerror.Kind // what the error in it means, if the definition says that
}

// adapt turns the answer to a request into flat RFC 6749 members and the status that
// goes with it. A success keeps everything that came beside the token, and an error
// has nothing in it but its code and description.
func (p *adapter) adapt(a *answer) adapted {
	err := a.decode(p)
	if p.Response != nil {
		if hookErr := p.callResponse(a); hookErr != nil {
			return p.unreadable(a, a.withoutSecrets(hookErr))
		}
		if a.members != nil {
			err = nil
		}
	}
	if a.status/100 == 3 && a.kind == "" {
		err = errRedirect
	}
	aboutToken := !slices.Contains(tokenless, a.in.grant)
	switch {
	case a.kind != "":
		return p.failure(a)
	case err != nil && !aboutToken && !isFailure(a.status) && err != errRedirect:
		a.none = err
		return p.tokenlessSuccess(a) // which may be empty
	case err != nil:
		return p.unreadable(a, err)
	case p.failed(a, aboutToken):
		return p.failure(a)
	case aboutToken:
		return p.success(a)
	}
	return p.tokenlessSuccess(a)
}

// tokenless are the grants whose answers have no token that a call waits for.
var tokenless = []string{grantRevoke, grantIntrospect, grantClient, grantDeviceAuth}

// tokenlessSuccess returns the adapted form of a success that has no token in it.
func (p *adapter) tokenlessSuccess(a *answer) adapted {
	if a.call != nil && a.call.members != nil {
		a.call.members(a)
	}
	return adapted{status: a.status, body: []byte("{}")}
}

// callResponse calls Provider.Response. Its error says what isn't right with the
// answer.
func (p *adapter) callResponse(a *answer) error {
	r := &Response{
		Grant: a.in.grant, Status: a.status, Header: a.resp.Header, Body: a.body, Members: a.members, value: a.in.value,
	}
	if err := p.Response(r); err != nil {
		return fmt.Errorf("Response: %w", err)
	}
	a.status, a.members, a.kind, a.hooked = r.Status, r.Members, r.Kind, true
	if _, ok := meanings[a.kind]; !ok && a.kind != "" {
		return fmt.Errorf("Response: it has set the Kind %q, which no answer has", a.kind)
	}
	if a.members == nil {
		return nil
	}
	body, err := json.Marshal(a.members) // values of any type
	if err == nil {
		a.members, err = decodeMembers("", body, nil)
	}
	if err != nil {
		return fmt.Errorf("Response: its Members are not JSON")
	}
	return nil
}

func isFailure(status int) bool { return status < 200 || status > 299 }

// failed reports whether an answer that can be read is an error.
func (p *adapter) failed(a *answer, aboutToken bool) bool {
	failed, told := p.Answer.verdict(a.members)
	switch {
	case isFailure(a.status) || failed:
		return true
	case told, a.in.grant == grantClient && a.isSent('['): // of things that may have errors of their own
		return false
	case signalsError(p.Answer.at(a.members, "error")):
		return true
	}
	return aboutToken && p.describesError(a)
}

// success returns the adapted form of an answer with a token in it.
func (p *adapter) success(a *answer) adapted {
	token, err := p.Answer.token(a.members, a.in.grant)
	if err != nil {
		return p.unreadable(a, err)
	}
	if a.call != nil {
		a.call.issued = p.tokenOf(a, token)
		return adapted{status: a.status}
	}
	if p.isAsSent(a, token) {
		return adapted{status: a.status, body: trim(a.body)}
	}
	body, err := json.Marshal(p.extra(a, token, false))
	if err != nil {
		return p.unreadable(a, errNotJSON) // not reached: it was JSON, or a form
	}
	return adapted{status: a.status, body: body}
}

// tokenOf returns the token that was found in an answer, with what came beside it.
func (p *adapter) tokenOf(a *answer, issued *issued) *oauth2.Token {
	token := &oauth2.Token{AccessToken: issued.access, RefreshToken: issued.refresh, TokenType: issued.kind}
	if seconds := issued.seconds(); seconds > 0 {
		token.ExpiresIn, token.Expiry = seconds, time.Now().Add(time.Duration(seconds)*time.Second)
	}
	return token.WithExtra(p.extra(a, issued, true))
}

// extra returns what is kept beside the token: what was sent, with numbers that keep
// their digits, and the variables that later requests need. decoded says that it goes into a
// Token as it is, and isn't read by x/oauth2: then another token's access_token and the like,
// at the top of the answer, are kept as well.
func (p *adapter) extra(a *answer, token *issued, decoded bool) map[string]any {
	kept := a.members // nobody else needs them any more
	for name := range kept {
		if standard := standardName(name); standard != "" && !(decoded && token.elsewhere[standard] && standard == name) {
			delete(kept, name)
		}
	}
	for _, name := range p.kept {
		p.keepVariable(kept, a.in, name)
	}
	n := numbers{decoded: decoded}
	n.exact(kept)
	token.addTo(kept, decoded)
	return kept
}

// keepVariable puts the value that a variable had in the request into kept, unless an
// answer has another that is accepted. A default doesn't stand in for a value that the
// provider has sent and that isn't accepted: the account is elsewhere.
func (p *adapter) keepVariable(kept map[string]any, in *input, name string) {
	v, err := in.value(name)
	if err != nil || v == "" {
		return
	}
	sent := memberText(find(kept, name))
	if sent != "" && (p.checkVar(name, sent) == nil || !in.gives(name)) {
		return
	}
	kept[name] = v
}

// isAsSent reports whether x/oauth2 can be given the answer as it came.
func (p *adapter) isAsSent(a *answer, token *issued) bool {
	if body := trim(a.body); a.hooked || len(p.kept) > 0 || body[0] != '{' {
		return false
	}
	if p.Answer.TokenIn != "" || len(p.Answer.Names) > 0 || !token.isAsSent(a.members) {
		return false
	}
	n := numbers{}
	n.exact(a.members)
	return !n.changed
}
