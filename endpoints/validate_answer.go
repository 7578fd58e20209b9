package endpoints

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
)

func (p *Provider) checkConsent() (m mistakes) {
	c := &p.Consent
	if p.Endpoint.AuthURL == "" && !isZero(*c) {
		return mistakes{wrong("Consent", "has no effect without Endpoint.AuthURL")}
	}
	m.add(checkWord("Consent.PKCE", c.PKCE, pkceMethods...))
	if strings.ContainsAny(c.ScopeSeparator, " &=#?{}") {
		m.add(wrong("Consent.ScopeSeparator", "is written into the URL as it is and can't be %q: a space is %%20 or +", c.ScopeSeparator))
	}
	values, named := c.Params["scope"]
	if named && len(values) == 0 && len(c.Scopes) > 0 {
		m.add(wrong("Consent.Scopes", "has no effect: Params removes scope"))
	}
	for i, scope := range c.Scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\r\n") {
			m.add(wrong(item("Consent.Scopes", i), "is not a single scope: %q", scope))
		}
	}
	m.add(p.checkParams("Consent.Params", c.Params, described{field: "Consent", sent: consentParams})...)
	return m
}

func (p *Provider) checkCallback() (m mistakes) {
	c := &p.Callback
	if c.Iss && p.Issuer == "" {
		m.add(wrong("Callback.Iss", "has no effect without Issuer"))
	}
	m.add(checkNames("Callback.Names", c.Names, callbackNames, "")...)
	again := repeats()
	for i, name := range c.Keep {
		if again(name) || name == "" || name == "random" || slices.Contains(ownNames, name) {
			m.add(wrong(item("Callback.Keep", i), "can't be %q", name))
		}
	}
	m.add(checkRules("Callback.Errors", c.Errors, KindDenied, KindClientRejected, KindRedirectMismatch,
		KindLoginRequired, KindInsufficientScope, KindRateLimited, KindProviderTrouble)...)
	return m
}

func (p *Provider) checkAnswer() (m mistakes) {
	a := &p.Answer
	if a.TokenIn != "" {
		m.add(checkPath("Answer.TokenIn", a.TokenIn))
	}
	answerNames := []string{
		"access_token", "token_type", "refresh_token", "expires_in", "expires_at", "scope", "error", "error_description", "error_uri",
	}
	m.add(checkNames("Answer.Names", a.Names, answerNames, a.TokenIn)...)
	if a.LifetimeUnit < 0 {
		m.add(wrong("Answer.LifetimeUnit", "is negative"))
	}
	if a.DefaultLifetime < 0 {
		m.add(wrong("Answer.DefaultLifetime", "is negative"))
	}
	if a.TimeLayout != "" && a.Names["expires_at"] == "" {
		m.add(wrong("Answer.TimeLayout", "has no effect without Names[\"expires_at\"]"))
	}
	if a.TimeLayout != "" && !strings.Contains(a.TimeLayout, "06") {
		m.add(wrong("Answer.TimeLayout", "is no layout of package time: %q", a.TimeLayout))
	}
	if len(a.Success) > 1 {
		m.add(wrong("Answer.Success", "has more than one member"))
	}
	for _, path := range slices.Sorted(maps.Keys(a.Success)) {
		field := item("Answer.Success", path)
		if a.Success[path] == "" {
			m.add(wrong(field, "is empty"))
		}
		m.add(checkPath(field, path))
	}
	m.add(checkRules("Answer.Errors", a.Errors, KindDenied, KindCodeRejected, KindRedirectMismatch, KindClientRejected,
		KindLoginRequired, KindInsufficientScope, KindRateLimited, KindProviderTrouble)...)
	return m
}

func (p *Provider) checkAPI() (m mistakes) {
	token, others := 0, make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(p.API.Header)) {
		field, v := item("API.Header", name), p.API.Header[name]
		known := described{known: []string{"access_token", "token_type", "client_id", "client_secret"}}
		m.add(cmp.Or(checkField(field, name, others), p.checkValue(field, name, v, known)))
		if slices.Contains(namesIn(v), "access_token") {
			token++
		} else if strings.EqualFold(name, "Authorization") {
			m.add(wrong(field, "has no {access_token} in it"))
		}
	}
	if token > 1 {
		m.add(wrong("API.Header", "sends {access_token} more than once"))
	}
	for i, r := range p.API.Errors {
		if r.Status == 0 {
			m.add(wrong(item("API.Errors", i)+".Status", "is missing: every answer of the API would have to be read"))
		}
		if r.Status == http.StatusOK && r.isLastResort() {
			m.add(wrong(item("API.Errors", i), "would refuse every answer"))
		}
	}
	m.add(checkRules("API.Errors", p.API.Errors, KindTokenRejected, KindLoginRequired, KindInsufficientScope,
		KindClientRejected, KindRateLimited, KindProviderTrouble)...)
	return m
}

// maxRules is how many rules a list can have. Each is compared with those before it here, and
// with every error of the provider's later.
const maxRules = 1000

// checkRules checks a list of rules, of which the kinds have a meaning.
func checkRules(list string, rules []ErrorRule, kinds ...ErrorKind) (m mistakes) {
	if len(rules) > maxRules {
		return mistakes{wrong(list, "has %d rules, and can have %d", len(rules), maxRules)}
	}
	for i, r := range rules {
		field := item(list, i)
		switch {
		case r.Kind == "":
			m.add(wrong(field+".Kind", "is missing"))
		case !slices.Contains(kinds, r.Kind):
			m.add(wrong(field+".Kind", "can't be %q here", r.Kind))
		case list == "Answer.Errors" && r == (ErrorRule{Kind: r.Kind}):
			m.add(wrong(field, "would give every unknown error the same meaning"))
		}
		switch {
		case list == "Callback.Errors" && r.Status != 0:
			m.add(wrong(field+".Status", "has no effect: a callback has none"))
		case r.Status != 0 && (r.Status < 200 || r.Status > 599):
			m.add(wrong(field+".Status", "is no status of an answer: %d", r.Status))
		}
		if r.In != "" {
			m.add(checkPath(field+".In", r.In))
		}
		for j, earlier := range rules[:i] {
			if earlier.covers(r) {
				m.add(wrong(field, "is never reached: %s[%d] matches before it", list, j))
				break
			}
		}
	}
	return m
}

// covers reports whether r matches whatever later matches.
func (r ErrorRule) covers(later ErrorRule) bool {
	return r.In == later.In && (r.Status == 0 || r.Status == later.Status) && r.isLastResort() == later.isLastResort() &&
		(r.Code == "" || matchesCode(r.Code, later.Code))
}
