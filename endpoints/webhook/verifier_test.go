package webhook

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The cases of Finch's own SDKs, for Go, Node and Python: tests/api-resources/webhooks.test.ts
// of Finch-API/finch-api-node and its like.
func TestFinchVerifiesWhatItsSDKsVerify(t *testing.T) {
	const (
		secret    = "5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"
		body      = `{"company_id":"720be419-0293-4d32-a707-32179b0827ab"}`
		signature = "m7y0TV2C+hlHxU42wCieApTSTaA8/047OAplBqxIV/s="
		other     = "bXlfc2ln" // base64 of my_sig
	)
	for _, test := range []struct {
		name, secret, timestamp, signature string
		off                                time.Duration // of the clock
		want                               string        // the error
	}{
		{name: "valid"},
		{name: "six minutes old", off: 6 * time.Minute, want: "webhook: the timestamp is too old"},
		{name: "six minutes ahead", off: -6 * time.Minute, want: "webhook: the timestamp is in the future"},
		{name: "another secret", secret: "Zm9v", want: "webhook: no signature is right"},
		{name: "several signatures", signature: "v1," + other + " v1," + signature},
		{name: "timestamp is no number", timestamp: "nan", want: "webhook: the timestamp isn't a number"},
		{name: "another version", signature: "v2," + signature, want: "webhook: no signature is right"},
		{name: "another version as well", signature: "v2," + signature + " v1," + signature},
		{name: "no version", signature: signature, want: "webhook: no signature is right"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at(1676312382 + int64(test.off/time.Second))
				verifier, err := Finch(or(test.secret, secret))
				require.NoError(t, err)
				h := make(http.Header)
				h.Set("Finch-Event-Id", "msg_2Lh9KRb0pzN4LePd3XiA4v12Axj")
				h.Set("Finch-Timestamp", or(test.timestamp, "1676312382"))
				h.Set("Finch-Signature", or(test.signature, "v1,"+signature))
				e, err := verifier.Verify(h, []byte(body))
				if test.want != "" {
					assert.EqualError(t, err, test.want)
					assert.Zero(t, e)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, Event{
					Provider: "Finch", ID: "msg_2Lh9KRb0pzN4LePd3XiA4v12Axj", Sent: time.Unix(1676312382, 0), Body: []byte(body),
				}, e)
			})
		})
	}
	_, err := Finch("invalid secret")
	assert.EqualError(t, err, "webhook: Finch: secret 1: illegal base64 data at input byte 7")
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// The signatures were made by OpenSSL.
func TestChartVerifies(t *testing.T) {
	const (
		inHex    = "20631218942c5fa7e539b5a99c3685554af8e923f61483540e3f595680f60654"
		inBase64 = "IGMSGJQsX6flObWpnDaFVUr46SP2FINUDj9ZVoD2BlQ="
	)
	for _, test := range []struct {
		header string
		want   string // the error
	}{
		{"t=1712000000000,v1=" + inHex, ""},
		{"t=1712000000000,v1=" + inBase64, ""},
		{"t=1712000000000, v1=" + inHex, ""},
		{"v1=" + inHex + ",t=1712000000000", ""},
		{"t=1712000000000,v1=00,v1=" + inHex, ""},
		{"t=1712000000000,v0=" + inHex + ",v1=" + inBase64 + ",new", ""},
		{"t=1712000000000,v0=" + inHex, "webhook: no signature is right"},
		{"t=1712000000001,v1=" + inHex, "webhook: no signature is right"},
		{"t=01712000000000,v1=" + inHex, "webhook: no signature is right"},
		{"t=1712000000000,v1=" + strings.ToUpper(inHex), "webhook: no signature is right"},
		{"t=1712000000000,v1=" + strings.TrimRight(inBase64, "="), "webhook: no signature is right"},
		{"t=1712000000000,v1=" + inHex[:62], "webhook: no signature is right"},
		{"t=1712000000000,v1=", "webhook: no signature is right"},
		{"t=1712000000000", "webhook: no signature is right"},
		{"t=1712000000,v1=" + inHex, "webhook: the timestamp is too old"},
		{"t=1712000000000000,v1=" + inHex, "webhook: the timestamp isn't a number"},
		{"t=-1,v1=" + inHex, "webhook: the timestamp isn't a number"},
		{"t=+1712000000000,v1=" + inHex, "webhook: the timestamp isn't a number"},
		{"t=,v1=" + inHex, "webhook: the timestamp isn't a number"},
		{"v1=" + inHex, "webhook: Chart-Signature has no timestamp"},
		{"t=1712000000000,t=1712000000000,v1=" + inHex, "webhook: Chart-Signature has two timestamps"},
		{"t=1712000000000" + strings.Repeat(",v1=00", 16) + ",v1=" + inHex, "webhook: Chart-Signature has too many signatures"},
		{"", "webhook: the request doesn't have one header Chart-Signature"},
		{"t=1712000000000,v1=" + inHex + strings.Repeat(",v0=0", 1000), "webhook: the request doesn't have one header Chart-Signature"},
	} {
		t.Run(test.header[:min(len(test.header), 60)], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at(1712000000)
				e, err := must(Chart(chartSecret)).Verify(http.Header{"Chart-Signature": {test.header}}, []byte(chartBody))
				if test.want != "" {
					assert.EqualError(t, err, test.want)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, "ev_1bxJqfif_-EJjbl9DNwilJCt5D2tC5Q5", e.ID)
			})
		})
	}
}

func TestHeadersOfFinch(t *testing.T) {
	set := func(name string, values ...string) func(http.Header) {
		return func(h http.Header) { h[name] = values }
	}
	for name, test := range map[string]struct {
		change func(h http.Header)
		want   string
	}{
		"as they are":              {func(http.Header) {}, ""},
		"no ID":                    {set("Finch-Event-Id"), "webhook: the request doesn't have one header Finch-Event-Id"},
		"an empty ID":              {set("Finch-Event-Id", ""), "webhook: the request doesn't have one header Finch-Event-Id"},
		"two IDs":                  {set("Finch-Event-Id", "msg_1", "msg_1"), "webhook: the request doesn't have one header Finch-Event-Id"},
		"an ID with a dot":         {set("Finch-Event-Id", "msg_1.1"), "webhook: Finch-Event-Id isn't an ID"},
		"an ID with a space":       {set("Finch-Event-Id", "msg 1"), "webhook: Finch-Event-Id isn't an ID"},
		"an ID that is too long":   {set("Finch-Event-Id", strings.Repeat("x", 257)), "webhook: Finch-Event-Id isn't an ID"},
		"another ID":               {set("Finch-Event-Id", "msg_2"), "webhook: no signature is right"},
		"no timestamp":             {set("Finch-Timestamp"), "webhook: the request doesn't have one header Finch-Timestamp"},
		"two timestamps":           {set("Finch-Timestamp", "1", "2"), "webhook: the request doesn't have one header Finch-Timestamp"},
		"a timestamp with a space": {set("Finch-Timestamp", " 946684800"), "webhook: the timestamp isn't a number"},
		"a fraction":               {set("Finch-Timestamp", "946684800.0"), "webhook: the timestamp isn't a number"},
		"another timestamp":        {set("Finch-Timestamp", "946684801"), "webhook: no signature is right"},
		"no signature":             {set("Finch-Signature"), "webhook: the request doesn't have a header Finch-Signature"},
		"a long signature":         {set("Finch-Signature", strings.Repeat("x", 5000)), "webhook: the request doesn't have a header Finch-Signature"},
		"in a second header":       {func(h http.Header) { h["Finch-Signature"] = []string{"v1,x", h.Get("Finch-Signature")} }, ""},
		"spaces":                   {func(h http.Header) { h["Finch-Signature"] = []string{"  " + h.Get("Finch-Signature") + "  v1,x "} }, ""},
		"too many signatures":      {func(h http.Header) { h["Finch-Signature"][0] += strings.Repeat(" v1,x", 16) }, "webhook: Finch-Signature has too many signatures"},
		"as many as are allowed":   {func(h http.Header) { h["Finch-Signature"][0] += strings.Repeat(" v1,x", 15) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := finchHeader(t, finchSecret, "msg_1", time.Now(), finchBody)
				test.change(h)
				_, err := must(Finch(finchSecret)).Verify(h, []byte(finchBody))
				if test.want == "" {
					assert.NoError(t, err)
				} else {
					assert.EqualError(t, err, test.want)
				}
			})
		})
	}
}

func TestToleranceIsForBothSides(t *testing.T) {
	for _, test := range []struct {
		tolerance, off time.Duration
		ok             bool
	}{
		{0, 5 * time.Minute, true},
		{0, -5 * time.Minute, true},
		{0, 5*time.Minute + time.Second, false},
		{0, -5*time.Minute - time.Second, false},
		{-1, 5 * time.Minute, true},
		{time.Second, 2 * time.Second, false},
		{time.Hour, 59 * time.Minute, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			signed := time.Now().Add(-test.off)
			for _, verified := range []struct {
				verifier *Verifier
				header   http.Header
				body     string
			}{
				{must(Finch(finchSecret)), finchHeader(t, finchSecret, "msg_1", signed, finchBody), finchBody},
				{must(Chart(chartSecret)), chartHeader(chartSecret, signed, chartBody), chartBody},
			} {
				verified.verifier.Tolerance = test.tolerance
				_, err := verified.verifier.Verify(verified.header, []byte(verified.body))
				assert.Equal(t, test.ok, err == nil, "%v: %v", test, err)
			}
		})
	}
}

// Finch's timestamp has seconds, and so has now: its SDKs compare them in this way.
func TestToleranceIsInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, ahead := time.Now(), time.Now().Add(10*time.Minute+time.Second)
		time.Sleep(5*time.Minute + 999*time.Millisecond)
		v := must(Finch(finchSecret))
		_, err := v.Verify(finchHeader(t, finchSecret, "msg_1", old, finchBody), []byte(finchBody))
		assert.NoError(t, err)
		_, err = v.Verify(finchHeader(t, finchSecret, "msg_1", ahead, finchBody), []byte(finchBody))
		assert.EqualError(t, err, "webhook: the timestamp is in the future")
		time.Sleep(time.Millisecond)
		_, err = v.Verify(finchHeader(t, finchSecret, "msg_1", old, finchBody), []byte(finchBody))
		assert.EqualError(t, err, "webhook: the timestamp is too old")
	})
}

func TestAnyOfTheSecretsVerifies(t *testing.T) {
	const older, newer = "b2xkZXItc2VjcmV0", "bmV3ZXItc2VjcmV0"
	both, now := must(Finch(older, newer)), time.Now()
	for _, secret := range []string{older, newer} {
		_, err := both.Verify(finchHeader(t, secret, "msg_1", now, finchBody), []byte(finchBody))
		assert.NoError(t, err)
	}
	_, err := both.Verify(finchHeader(t, finchSecret, "msg_1", now, finchBody), []byte(finchBody))
	assert.EqualError(t, err, "webhook: no signature is right")
	_, err = must(Finch(newer)).Verify(finchHeader(t, older, "msg_1", now, finchBody), []byte(finchBody))
	assert.EqualError(t, err, "webhook: no signature is right")
	_, err = must(Chart("a", "b")).Verify(chartHeader("b", now, chartBody), []byte(chartBody))
	assert.NoError(t, err)
}

func TestSecretsThatAreNone(t *testing.T) {
	for want, make := range map[string]func() (*Verifier, error){
		"webhook: Finch needs a secret":                                 func() (*Verifier, error) { return Finch() },
		"webhook: Chart needs a secret":                                 func() (*Verifier, error) { return Chart() },
		"webhook: Finch: secret 1 is empty":                             func() (*Verifier, error) { return Finch("") },
		"webhook: Chart: secret 2 is empty":                             func() (*Verifier, error) { return Chart("x", "") },
		"webhook: Finch: there is space around secret 1":                func() (*Verifier, error) { return Finch(finchSecret + "\n") },
		"webhook: Chart: there is space around secret 1":                func() (*Verifier, error) { return Chart(" x") },
		"webhook: Finch: secret 2: illegal base64 data at input byte 5": func() (*Verifier, error) { return Finch(finchSecret, "whsec_Zm9v") },
		"webhook: Finch: secret 1: illegal base64 data at input byte 2": func() (*Verifier, error) { return Finch("Zh==") },
		"webhook: a Verifier is made by Finch or Chart":                 func() (*Verifier, error) { _, err := new(Verifier).Verify(nil, nil); return nil, err },
	} {
		v, err := make()
		assert.EqualError(t, err, want)
		assert.Nil(t, v)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	v := must(Chart("a-secret-of-chart", "another-of-chart"))
	h := Handler{Verifier: v}
	holder := struct {
		v  *Verifier
		in Verifier
		h  *Handler
	}{v, *v, &h}
	for _, held := range []any{v, *v, &h, holder, &holder} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			assert.NotContains(t, fmt.Sprintf(verb, held), "of-chart")
			assert.NotContains(t, fmt.Sprintf(verb, held), fmt.Sprintf("%x", "of-chart"))
			assert.NotContains(t, fmt.Sprintf(verb, held), strings.Trim(fmt.Sprint([]byte("of-chart")), "[]"))
		}
	}
	text, err := json.Marshal(v)
	require.NoError(t, err)
	assert.JSONEq(t, `{"Tolerance":0}`, string(text))
}

func TestEmptyBodyIsNoEvent(t *testing.T) {
	for _, body := range []string{"", "null", "[]", `"x"`, "1", `{"a":1`, `{"a":1}{}`, "\xff"} {
		for _, verified := range []struct {
			verifier *Verifier
			header   http.Header
		}{
			{must(Finch(finchSecret)), finchHeader(t, finchSecret, "msg_1", time.Now(), body)},
			{must(Chart(chartSecret)), chartHeader(chartSecret, time.Now(), body)},
		} {
			_, err := verified.verifier.Verify(verified.header, []byte(body))
			assert.EqualError(t, err, "webhook: the body isn't a JSON object", "%q", body)
		}
	}
}

// Base64 can be written in ways that decode to the same bytes.
func TestAnotherSpellingOfASignatureIsRefused(t *testing.T) {
	h := finchHeader(t, finchSecret, "msg_1", time.Now(), finchBody)
	signature := strings.TrimPrefix(h.Get("Finch-Signature"), "v1,")
	raw := must(base64.StdEncoding.DecodeString(signature))
	last := strings.IndexByte(base64Digits, signature[42]) // its two low bits are no part of the bytes
	spellings := []string{
		base64.RawStdEncoding.EncodeToString(raw),
		signature[:42] + base64Digits[last+1:last+2] + "=",
		signature + "=",
		signature[:20] + "\n" + signature[20:],
		signature[:20] + "\r" + signature[20:],
		signature + ",",
		fmt.Sprintf("%x", raw),
	}
	if url := base64.URLEncoding.EncodeToString(raw); url != signature {
		spellings = append(spellings, url)
	}
	for _, spelling := range spellings {
		h.Set("Finch-Signature", "v1,"+spelling)
		_, err := must(Finch(finchSecret)).Verify(h, []byte(finchBody))
		assert.EqualError(t, err, "webhook: no signature is right", "%q", spelling)
	}
	h.Set("Finch-Signature", "v1,"+signature)
	_, err := must(Finch(finchSecret)).Verify(h, []byte(finchBody))
	assert.NoError(t, err)
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
