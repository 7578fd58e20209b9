package endpointstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// makeHostile makes p hostile, as Test.Seed says.
//
// [Server.Stats] counts a client that follows a redirect as Rejected, "no such path:
// followed a redirect".
func (s *Server) makeHostile(p endpoints.Provider, seed uint64) {
	site := s.site(p)
	h := &hostility{site: site, rand: rand.New(rand.NewPCG(seed, 0x68_6f_73_74_69_6c_65))}
	s.Advance(time.Duration(h.rand.IntN(101)-50) * time.Second)
	site.mu.Lock()
	defer site.mu.Unlock()
	site.hostile = h
}

// hostility decides what happens to each request. Its nil does nothing.
type hostility struct {
	site *site

	mu   sync.Mutex // guards rand
	rand *rand.Rand
}

// trapPath is where redirects lead that a client must not follow.
const trapPath = "/endpointstest-trap"

// plan returns what a request of that kind runs into, and how its answer is changed
// in what has no meaning.
func (h *hostility) plan(on Operation) (Fault, func(*answer)) {
	if h == nil || on == consentPage {
		return Fault{}, func(*answer) {}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f := Fault{On: on}
	if h.rand.IntN(2) == 0 {
		troubles := h.troubles(on)
		f = troubles[h.rand.IntN(len(troubles))]
	}
	f.On, f.AnswerDelay = on, time.Duration(h.rand.IntN(3))*time.Millisecond
	seed := h.rand.Uint64()
	if f.Trouble == TruncatedAnswer {
		return f, func(*answer) {} // half of a form is a form
	}
	return f, func(a *answer) { h.disguise(on, a, rand.New(rand.NewPCG(seed, 0))) }
}

// troubles are what can happen, but for that which the definition gives a meaning.
func (h *hostility) troubles(on Operation) []Fault {
	troubles := []Fault{{Trouble: LostAnswer}, {Trouble: BrokenAnswer}, {late: true}, {repeated: true}}
	if on == API {
		troubles = troubles[:2] // those that a client would take for an answer are its own affair
	}
	add := func(status int, f Fault) {
		rules := slices.Concat(h.site.real.Answer.Errors, h.site.real.API.Errors)
		meant := func(r endpoints.ErrorRule) bool { return r.Status == status && r.In == "" && r.Code == "" }
		if !slices.ContainsFunc(rules, meant) {
			troubles = append(troubles, f)
		}
	}
	add(http.StatusServiceUnavailable, Fault{Trouble: Unavailable, RetryAfter: time.Second})
	add(http.StatusTooManyRequests, Fault{Trouble: RateLimited, RetryAfter: time.Second})
	add(http.StatusForbidden, Fault{Trouble: Firewall})
	add(http.StatusBadGateway, page502)
	add(http.StatusInternalServerError, Fault{Handler: says(http.StatusInternalServerError, "", "")})
	add(http.StatusGatewayTimeout, Fault{Handler: says(http.StatusGatewayTimeout, "text/plain", "upstream request timeout")})
	if on == TokenEndpoint || on == Introspection { // a revocation is done if the status says so
		troubles = append(troubles, Fault{Trouble: TruncatedAnswer},
			Fault{Handler: says(http.StatusOK, "text/html", "<!DOCTYPE html><html><title>Back soon</title></html>")},
			Fault{Handler: says(http.StatusOK, "application/json", "")})
	}
	if on != API {
		troubles = append(troubles,
			Fault{Handler: http.RedirectHandler(trapPath, http.StatusFound)},
			Fault{Handler: http.RedirectHandler(trapPath, http.StatusTemporaryRedirect)},
			Fault{Handler: http.RedirectHandler(h.site.api.url+trapPath, http.StatusPermanentRedirect)})
	}
	return troubles
}

var page502 = Fault{Handler: says(http.StatusBadGateway, "text/html", "<html><body><h1>502 Bad Gateway</h1></body></html>")}

// says is a server that always answers the same.
func says(status int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		w.Write([]byte(body))
	})
}

// disguise changes what has no meaning in an answer.
func (h *hostility) disguise(on Operation, a *answer, r *rand.Rand) {
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.UseNumber()
	var members map[string]any
	if dec.Decode(&members) != nil || members == nil {
		return
	}
	if r.IntN(2) == 0 {
		addMembers(members, r)
	}
	token := on == TokenEndpoint && a.status == http.StatusOK
	if name := (plain{h.site}).named("expires_in"); token && r.IntN(3) == 0 && members[name] != nil {
		members[name] = fmt.Sprint(members[name])
	}
	if token && r.IntN(4) == 0 {
		a.status = http.StatusCreated
	}
	if flat, ok := formOf(members); ok && token && r.IntN(4) == 0 {
		a.body = []byte(flat.Encode())
		a.header.Set("Content-Type", "application/x-www-form-urlencoded")
		return
	}
	var b bytes.Buffer
	shuffled(&b, members, r)
	a.body = b.Bytes()
	types := []string{"application/json", "application/json;charset=UTF-8", "text/html; charset=utf-8", "text/plain", "application/octet-stream", "text/javascript"}
	if on != API && a.status < http.StatusMultipleChoices {
		a.header.Set("Content-Type", types[r.IntN(len(types))])
	}
}

// addMembers adds members that no definition knows.
func addMembers(members map[string]any, r *rand.Rand) {
	for range 1 + r.IntN(4) {
		name := fmt.Sprintf("x_%d", r.IntN(1000))
		members[name] = []any{
			nil, true, "", "null", json.Number("9007199254740993"), json.Number("-1e300"), []any{}, []any{nil, []any{"a"}},
			map[string]any{"x_inner": map[string]any{"x": nil}}, "héllo\u2028</script>", map[string]any{},
		}[r.IntN(11)]
	}
}

// formOf returns an object as a form, if it can be one.
func formOf(members map[string]any) (url.Values, bool) {
	form := make(url.Values)
	for name, v := range members {
		switch v.(type) {
		case string, json.Number, bool:
			form.Set(name, fmt.Sprint(v))
		default:
			return nil, false
		}
	}
	return form, true
}

// shuffled writes a JSON value with the members of its objects in any order.
func shuffled(b *bytes.Buffer, v any, r *rand.Rand) {
	object, ok := v.(map[string]any)
	if !ok {
		b.Write(jsonAnswer(0, v).body)
		return
	}
	names := slices.Sorted(maps.Keys(object))
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	space := []string{"", " ", "\n\t"}[r.IntN(3)]
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(space)
		b.Write(jsonAnswer(0, name).body)
		b.WriteString(":" + space)
		shuffled(b, object[name], r)
	}
	b.WriteString(space + "}")
}
