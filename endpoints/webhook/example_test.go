package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints/webhook"
)

func ExampleHandler() {
	const secret = "5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH" // from Finch's dashboard
	verifier, err := webhook.Finch(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := &webhook.Handler{
		Verifier: verifier,
		Handle: func(_ context.Context, e webhook.Event) error {
			fmt.Println(e.Type, e.ConnectionID, e.Status, "login required:", e.LoginRequired())
			return nil
		},
	}

	// What Finch does:
	const body = `{"connection_id":"conn-1","event_type":"account.updated","data":{"status":"reauth"}}`
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	key, _ := base64.StdEncoding.DecodeString(secret)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("msg_1." + timestamp + "." + body))
	for range 2 { // it tries again, as the answer got lost
		r := httptest.NewRequest(http.MethodPost, "/webhooks/finch", strings.NewReader(body))
		r.Header.Set("Finch-Event-Id", "msg_1")
		r.Header.Set("Finch-Timestamp", timestamp)
		r.Header.Set("Finch-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// account.updated conn-1 reauth login required: true
	// 200
	// 200
}

func ExampleWaiter() {
	const secret = "secret-of-chart"
	verifier, err := webhook.Chart(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	waiter := new(webhook.Waiter)
	handler := &webhook.Handler{
		Verifier: verifier,
		Handle: func(_ context.Context, e webhook.Event) error {
			waiter.Feed(e)
			return nil
		},
	}

	// What Chart does:
	const body = `{"event":"taxpayer.status_changed","id":"ev_1","data":{"taxpayer_id":"tx_1","status":"COMPLETED","provider_id":"turbotax"}}`
	timestamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "." + body))
	r := httptest.NewRequest(http.MethodPost, "/webhooks/chart", strings.NewReader(body))
	r.Header.Set("Chart-Signature", "t="+timestamp+",v1="+hex.EncodeToString(mac.Sum(nil)))
	handler.ServeHTTP(httptest.NewRecorder(), r)

	// After the exchange, with what stands beside the token:
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	fmt.Println(waiter.Wait(ctx, "tx_1", "turbotax"))
	// Output: <nil>
}
