package endpointstest

import (
	"cmp"
	"net/url"
	"strings"
	"time"
)

// deviceInterval is the time between two requests of a device (RFC 8628, section 3.2).
const deviceInterval = 5 * time.Second

// device is an authorization that a user decides about in a browser elsewhere, under its
// device code (RFC 8628).
type device struct {
	consent
	userCode string
	issued   time.Time
	asked    time.Time // when the device has asked last; zero: never
	decision decision
}

type decision int

const (
	undecided decision = iota
	approved
	denied
)

// authorizeDevice answers the device authorization request (RFC 8628, section 3.2).
func (s *site) authorizeDevice(c *conversation, r *request) (any, *refusal) {
	if refused := c.parse(r, r.at); refused != nil {
		return nil, refused
	}
	values, refused := s.read(c, r)
	if refused == nil {
		refused = s.authenticate(c, r, values)
	}
	if refused != nil {
		return nil, refused
	}
	separator, err := url.QueryUnescape(cmp.Or(s.real.Consent.ScopeSeparator, " "))
	if err != nil {
		separator = " "
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &device{userCode: strings.ToUpper(newID()[:8]), issued: s.server.now()}
	d.vars = s.account(values)
	if scope := values["scope"]; scope != "" {
		d.scopes = strings.Split(scope, separator)
	}
	code := newID()
	s.devices[code] = d
	return s.deviceAnswer(code, d), nil
}

// deviceAnswer says in the definition's words what a device is to show. s.mu is held.
func (s *site) deviceAnswer(code string, d *device) any {
	words, lifetime := plain{s}, s.lifetimes.code
	members := make(map[string]any)
	put(members, words.named("device_code"), code)
	put(members, words.named("user_code"), d.userCode)
	put(members, words.named("verification_uri"), s.login.url+"/endpointstest-device")
	put(members, words.named("interval"), int64(deviceInterval/time.Second))
	words.putLifetime(members, issued{lifetime: lifetime, expires: d.issued.Add(lifetime)})
	body := members
	if s.real.Answer.TokenIn != "" {
		body = make(map[string]any)
		put(body, s.real.Answer.TokenIn, members)
	}
	return words.successful(body)
}

// device answers the grant of RFC 8628, section 3.4. s.mu is held.
func (s *site) device(values map[string]string) (any, *refusal) {
	code, now := values["device_code"], s.server.now()
	d := s.devices[code]
	if d == nil || d.elsewhere(values) {
		return nil, &refusal{problem: wrongCode, why: "no such device code"}
	}
	early := !d.asked.IsZero() && now.Before(d.asked.Add(deviceInterval))
	d.asked = now
	switch {
	case over(d.issued, s.lifetimes.code, now):
		return nil, &refusal{problem: deviceExpired}
	case early:
		return nil, &refusal{problem: deviceTooFast}
	case d.decision == undecided:
		return nil, &refusal{problem: devicePending}
	}
	delete(s.devices, code)
	if d.decision == denied {
		return nil, &refusal{problem: deviceDenied}
	}
	g := s.newGrant(d.consent, now)
	s.settle(g, values)
	return s.dialect.tokens(g, s.issue(g, now, true)), nil
}

// elsewhere reports whether a request is about another account than the device's.
func (d *device) elsewhere(values map[string]string) bool {
	return (&grant{consent: d.consent}).elsewhere(values)
}

// decide is the user who enters a code, and says yes or no.
func (s *site) decide(userCode string, is decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		if d.userCode == userCode {
			d.decision = is
		}
	}
}
