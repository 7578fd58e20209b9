package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	finchSecret = "5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"
	chartSecret = "chart-secret"

	finchBody = `{"company_id":"c1","account_id":"a1","connection_id":"conn-1","entity_id":null,` +
		`"event_type":"account.updated","data":{"status":"reauth","authentication_method":"assisted"}}`

	// The example of https://developer.trychart.com/developer/events
	chartBody = `{"event":"taxpayer.status_changed","id":"ev_1bxJqfif_-EJjbl9DNwilJCt5D2tC5Q5",` +
		`"data":{"taxpayer_id":"tx_1bxJqfif_-EJjbl9DNwilJCt5D2tC5Q5","status":"COMPLETED",` +
		`"status_description":"Taxpayer completed the onboarding process","provider_id":"turbotax"},` +
		`"created_at":"2021-08-17T03:29:59.397Z"}`
)

func macOf(key []byte, signed string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return mac.Sum(nil)
}

// finchHeader is what Finch sends with body.
func finchHeader(t testing.TB, secret, id string, at time.Time, body string) http.Header {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(secret)
	require.NoError(t, err)
	timestamp := strconv.FormatInt(at.Unix(), 10)
	h := make(http.Header)
	h.Set("Finch-Event-Id", id)
	h.Set("Finch-Timestamp", timestamp)
	h.Set("Finch-Signature", "v1,"+base64.StdEncoding.EncodeToString(macOf(key, id+"."+timestamp+"."+body)))
	return h
}

// chartHeader is what Chart sends with body.
func chartHeader(secret string, at time.Time, body string) http.Header {
	timestamp := strconv.FormatInt(at.UnixMilli(), 10)
	h := make(http.Header)
	h.Set("Chart-Signature", "t="+timestamp+",v1="+hex.EncodeToString(macOf([]byte(secret), timestamp+"."+body)))
	return h
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// at makes it that time, in a bubble.
func at(unix int64) { time.Sleep(time.Until(time.Unix(unix, 0))) }
