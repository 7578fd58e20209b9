package endpointstest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// deviceInterval is the time between two requests of a device (RFC 8628, section 3.2),
// unless Policy.DeviceInterval is another.
const deviceInterval = 5 * time.Second

// devicePath is where a user enters the code of a device.
const devicePath = "/endpointstest-device"

// ApproveDevice is a user who opens verificationURI in a browser, enters the code of a
// device there and presses Approve (RFC 8628, section 3.3). The device has its token when
// it asks again. Client is the browser. If nil, it is http.DefaultClient.
func ApproveDevice(ctx context.Context, client *http.Client, verificationURI, userCode string) error {
	return decideDevice(ctx, client, verificationURI, userCode, "approve")
}

// DenyDevice is [ApproveDevice]'s user pressing Deny.
func DenyDevice(ctx context.Context, client *http.Client, verificationURI, userCode string) error {
	return decideDevice(ctx, client, verificationURI, userCode, "deny")
}

func decideDevice(ctx context.Context, client *http.Client, verificationURI, userCode, decision string) error {
	if client == nil {
		client = http.DefaultClient
	}
	body := url.Values{"user_code": {userCode}, "decision": {decision}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, verificationURI, strings.NewReader(body.Encode()))
	if err != nil {
		return fmt.Errorf("endpointstest: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, page, err := fetch(client, r)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("endpointstest: the page for devices answered %s: %s", resp.Status, page.problem())
	}
	return err
}

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
	values, refused := s.valuesOf(c, r)
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
	put(members, words.named("verification_uri"), s.login.url+devicePath)
	put(members, words.named("interval"), int64(s.deviceInterval()/time.Second))
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
	early := !d.asked.IsZero() && now.Before(d.asked.Add(s.deviceInterval()))
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

// deviceInterval is in whole seconds. s.mu is held.
func (s *site) deviceInterval() time.Duration {
	if s.policy.DeviceInterval <= 0 {
		return deviceInterval
	}
	return max(s.policy.DeviceInterval.Truncate(time.Second), time.Second)
}

// decide is the user who enters a code, and says yes or no. It reports whether there is
// such a code, and nobody has decided about it.
func (s *site) decide(userCode string, is decision) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		if d.userCode == userCode && d.decision == undecided && !over(d.issued, s.lifetimes.code, s.server.now()) {
			d.decision = is
			if is == approved {
				s.stats.Approved++
			} else {
				s.stats.Denied++
			}
			return true
		}
	}
	return false
}

// devicePage is where a user enters the code of a device.
func (s *site) devicePage(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		codePage(&s.real).send(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	form, wrong := singleValues(string(body))
	is, ok := map[string]decision{"approve": approved, "deny": denied}[form["decision"]]
	switch {
	case err != nil || wrong != "" || !ok:
		errorPage(&s.real, malformedf("decision must be approve or deny")).send(w)
	case !s.decide(form["user_code"], is):
		errorPage(&s.real, malformedf("no device waits with that code")).send(w)
	default:
		decidedPage(&s.real).send(w)
	}
}
