package endpoints

import (
	"bytes"
	"crypto/sha256"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// probes remembers the failures of requests that had the client's credentials in
// their header. If the AuthStyle of a plain *oauth2.Config isn't set, x/oauth2 makes
// such a request a second time with the credentials in its parameters. Both would be
// sent alike, and the code or refresh token in them is good for one use.
type probes struct {
	mu     sync.Mutex
	failed map[[sha256.Size]byte]failedProbe // by the parameters but for the credentials
}

// failedProbe is how a request failed.
type failedProbe struct {
	resp *http.Response
	body []byte
	err  error // in place of resp
	at   time.Time
}

const (
	maxProbes = 1000        // those that x/oauth2 doesn't ask for again are forgotten by and by
	probeLife = time.Minute // it asks at once
)

// once calls send, unless r is the second of two such requests: then it returns what
// the first came to.
func (ps *probes) once(r *http.Request, form url.Values, send func() (*http.Response, error)) (*http.Response, error) {
	_, _, inHeader := r.BasicAuth()
	if !inHeader && ps.none() {
		return send()
	}
	bare := maps.Clone(form)
	bare.Del("client_id")
	bare.Del("client_secret")
	key := sha256.Sum256([]byte(bare.Encode()))
	if !inHeader {
		if p, ok := ps.take(key); ok {
			return p.again()
		}
		return send()
	}
	resp, err := send()
	if err == nil && !isFailure(resp.StatusCode) {
		return resp, nil
	}
	p := failedProbe{resp: resp, err: err, at: time.Now()}
	if err == nil {
		p.body, _ = io.ReadAll(resp.Body) // of our own making
	}
	ps.put(key, p)
	return p.again()
}

func (ps *probes) none() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.failed) == 0
}

func (ps *probes) put(key [sha256.Size]byte, p failedProbe) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if len(ps.failed) >= maxProbes/2 {
		maps.DeleteFunc(ps.failed, func(_ [sha256.Size]byte, p failedProbe) bool { return time.Since(p.at) > probeLife })
	}
	if len(ps.failed) >= maxProbes {
		delete(ps.failed, ps.oldest())
	}
	if ps.failed == nil {
		ps.failed = make(map[[sha256.Size]byte]failedProbe)
	}
	ps.failed[key] = p
}

func (ps *probes) oldest() (key [sha256.Size]byte) {
	var at time.Time
	for k, p := range ps.failed {
		if at.IsZero() || p.at.Before(at) {
			key, at = k, p.at
		}
	}
	return key
}

// take returns the failure of the request with that key, once.
func (ps *probes) take(key [sha256.Size]byte) (failedProbe, bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p, ok := ps.failed[key]
	delete(ps.failed, key)
	return p, ok && time.Since(p.at) <= probeLife
}

func (p failedProbe) again() (*http.Response, error) {
	if p.err != nil {
		return nil, p.err
	}
	resp := *p.resp
	resp.Header = resp.Header.Clone()
	resp.Body = io.NopCloser(bytes.NewReader(p.body))
	return &resp, nil
}
