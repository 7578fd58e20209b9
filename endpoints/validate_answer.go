package endpoints

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

func (p *Provider) checkConsent() error {
	c := &p.Consent
	err := checkWord("Consent.PKCE", c.PKCE, pkceMethods...)
	switch {
	case p.Endpoint.AuthURL == "" && !isZero(*c):
		return wrong("Consent", "has no effect without Endpoint.AuthURL")
	case err != nil:
		return err
	case strings.ContainsAny(c.ScopeSeparator, " &=#?{}"):
		return wrong("Consent.ScopeSeparator", "is written into the URL as it is and can't be %q: a space is %%20 or +", c.ScopeSeparator)
	}
	values, named := c.Params["scope"]
	if named && len(values) == 0 && len(c.Scopes) > 0 {
		return wrong("Consent.Scopes", "has no effect: Params removes scope")
	}
	for i, scope := range c.Scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\r\n") {
			return wrong(item("Consent.Scopes", i), "is not a single scope: %q", scope)
		}
	}
	return p.checkParams("Consent.Params", c.Params, described{field: "Consent", sent: consentParams})
}

func (p *Provider) checkCallback() error {
	c := &p.Callback
	if c.Iss && p.Issuer == "" {
		return wrong("Callback.Iss", "has no effect without Issuer")
	}
	if err := checkNames("Callback.Names", c.Names, callbackNames, ""); err != nil {
		return err
	}
	for i, name := range c.Keep {
		if name == "" || name == "random" || slices.Contains(ownNames, name) || slices.Contains(c.Keep[:i], name) {
			return wrong(item("Callback.Keep", i), "can't be %q", name)
		}
	}
	return checkRules("Callback.Errors", c.Errors, KindDenied, KindClientRejected, KindRedirectMismatch,
		KindLoginRequired, KindInsufficientScope, KindRateLimited, KindProviderTrouble)
}

func (p *Provider) checkAnswer() error {
	a := &p.Answer
	if a.TokenIn != "" {
		if err := checkPath("Answer.TokenIn", a.TokenIn); err != nil {
			return err
		}
	}
	answerNames := []string{
		"access_token", "token_type", "refresh_token", "expires_in", "expires_at", "scope", "error", "error_description", "error_uri",
	}
	if err := checkNames("Answer.Names", a.Names, answerNames, a.TokenIn); err != nil {
		return err
	}
	switch {
	case a.LifetimeUnit < 0:
		return wrong("Answer.LifetimeUnit", "is negative")
	case a.DefaultLifetime < 0:
		return wrong("Answer.DefaultLifetime", "is negative")
	case a.TimeLayout != "" && a.Names["expires_at"] == "":
		return wrong("Answer.TimeLayout", "has no effect without Names[\"expires_at\"]")
	case a.TimeLayout != "" && !strings.Contains(a.TimeLayout, "06"):
		return wrong("Answer.TimeLayout", "is no layout of package time: %q", a.TimeLayout)
	case len(a.Success) > 1:
		return wrong("Answer.Success", "has more than one member")
	}
	for path, v := range a.Success {
		if v == "" {
			return wrong(item("Answer.Success", path), "is empty")
		}
		if err := checkPath(item("Answer.Success", path), path); err != nil {
			return err
		}
	}
	return checkRules("Answer.Errors", a.Errors, KindDenied, KindCodeRejected, KindRedirectMismatch, KindClientRejected,
		KindLoginRequired, KindInsufficientScope, KindRateLimited, KindProviderTrouble)
}

func (p *Provider) checkAPI() error {
	token := 0
	for _, name := range slices.Sorted(maps.Keys(p.API.Header)) {
		field, v := item("API.Header", name), p.API.Header[name]
		if err := checkField(field, name, p.API.Header); err != nil {
			return err
		}
		if err := p.checkValue(field, name, v, described{known: []string{"access_token", "token_type", "client_id", "client_secret"}}); err != nil {
			return err
		}
		if slices.Contains(namesIn(v), "access_token") {
			token++
		} else if strings.EqualFold(name, "Authorization") {
			return wrong(field, "has no {access_token} in it")
		}
	}
	if token > 1 {
		return wrong("API.Header", "sends {access_token} more than once")
	}
	for i, r := range p.API.Errors {
		if r.Status == 0 {
			return wrong(item("API.Errors", i)+".Status", "is missing: every answer of the API would have to be read")
		}
		if r.Status == http.StatusOK && r.isLastResort() {
			return wrong(item("API.Errors", i), "would refuse every answer")
		}
	}
	return checkRules("API.Errors", p.API.Errors, KindTokenRejected, KindLoginRequired, KindInsufficientScope,
		KindClientRejected, KindRateLimited, KindProviderTrouble)
}

// checkRules checks a list of rules, of which the kinds have a meaning.
func checkRules(list string, rules []ErrorRule, kinds ...ErrorKind) error {
	for i, r := range rules {
		field := item(list, i)
		switch {
		case r.Kind == "":
			return wrong(field+".Kind", "is missing")
		case !slices.Contains(kinds, r.Kind):
			return wrong(field+".Kind", "can't be %q here", r.Kind)
		case list == "Callback.Errors" && r.Status != 0:
			return wrong(field+".Status", "has no effect: a callback has none")
		case r.Status != 0 && (r.Status < 200 || r.Status > 599):
			return wrong(field+".Status", "is no status of an answer: %d", r.Status)
		case list == "Answer.Errors" && r == (ErrorRule{Kind: r.Kind}):
			return wrong(field, "would give every unknown error the same meaning")
		}
		if r.In != "" {
			if err := checkPath(field+".In", r.In); err != nil {
				return err
			}
		}
		for j, earlier := range rules[:i] {
			if earlier.covers(r) {
				return wrong(field, "is never reached: %s[%d] matches before it", list, j)
			}
		}
	}
	return nil
}

// covers reports whether r matches whatever later matches.
func (r ErrorRule) covers(later ErrorRule) bool {
	return r.In == later.In && (r.Status == 0 || r.Status == later.Status) && r.isLastResort() == later.isLastResort() &&
		(r.Code == "" || matchesCode(r.Code, later.Code))
}
