package endpointstest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// device: a user who decides in a browser elsewhere (RFC 8628). The time that the device
// waits doesn't pass in reality.
func (w *walk) device() {
	synctest.Test(w.t, func(t *testing.T) {
		w.t, w.client = t, &http.Client{Transport: direct{w.server}}
		w.ctx = context.WithValue(t.Context(), oauth2.HTTPClient, w.client)
		w.deviceApproved()
		w.deviceFails(denied, endpoints.KindDenied)
		w.deviceFails(undecided, endpoints.KindCodeRejected)
	})
}

// deviceApproved: the device waits, slows down when it is told to, and gets its token.
func (w *walk) deviceApproved() {
	da := w.authorizeDevice()
	da.Interval = 1 // less than the provider wants
	begun := time.Now()
	time.AfterFunc(2*deviceInterval, func() { w.site.decide(da.UserCode, approved) })
	token, err := w.config.DeviceAccessToken(w.ctx, da, w.variables()...)
	w.must(err, "DeviceAccessToken")
	w.checkToken(token)
	w.works(token)
	if waited := time.Since(begun); waited < 2*deviceInterval {
		w.t.Errorf("there is a token after %v, and the user hasn't decided", waited)
	}
	rejected := w.server.Stats(w.p).Rejected
	if pending, fast := rejected[problems[devicePending]], rejected[problems[deviceTooFast]]; pending != 2 || fast != 1 {
		w.t.Errorf("the device was told %d times to wait and %d times to slow down, not 2 and 1", pending, fast)
	}
	_, err = w.config.DeviceAccessToken(w.ctx, da, w.variables()...)
	w.fails(err, "a device code that was used", endpoints.KindCodeRejected)
}

// deviceFails: the user says no, or nothing until the codes have expired.
func (w *walk) deviceFails(is decision, want endpoints.ErrorKind) {
	da := w.authorizeDevice()
	da.Expiry = time.Time{} // the provider says when
	da.Interval = 60        // a device may be slow
	w.site.decide(da.UserCode, is)
	_, err := w.config.DeviceAccessToken(w.ctx, da, w.variables()...)
	w.fails(err, "a device whose user hasn't said yes", want)
}

func (w *walk) authorizeDevice() *oauth2.DeviceAuthResponse {
	w.t.Helper()
	da, err := w.config.DeviceAuth(w.ctx, w.variables()...)
	w.must(err, "DeviceAuth")
	w.secrets = append(w.secrets, da.DeviceCode)
	if da.Interval != int64(deviceInterval/time.Second) {
		w.t.Errorf("the interval is %d seconds, and the provider says %v", da.Interval, deviceInterval)
	}
	return da
}

// direct answers requests without a network, which a bubble of package synctest can't wait
// for.
type direct struct{ server *Server }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	arrived := r.Clone(r.Context())
	if arrived.Body == nil {
		arrived.Body = http.NoBody
	}
	defer arrived.Body.Close()
	arrived.Host = r.URL.Host
	w := &written{header: make(http.Header), status: http.StatusOK}
	d.server.byName(w, arrived)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// written is an answer that was written. It implements http.ResponseWriter.
type written struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *written) Header() http.Header         { return w.header }
func (w *written) WriteHeader(status int)      { w.status = status }
func (w *written) Write(p []byte) (int, error) { return w.body.Write(p) }
