package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/endpoints/webhook"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// Finch tells that an employer has to log in again. The event may be late, so the handler
// asks Finch about the token that is stored before it records that in package tokensource,
// from where every process knows it.
func ExampleHandler_loginRequired() {
	sandbox, err := endpointstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sandbox.Close()
	config := sandbox.Provider(endpoints.Finch).Config(sandbox.Config(endpoints.Finch, ""))
	keys, _ := storage.NewKeyset(storage.NewKey())
	store := storage.Encrypt(new(storage.Memory), keys)
	manager := &tokensource.Manager{Config: config, Store: store}
	names := make(map[string]string) // of connections, by Finch's connection_id

	verifier, _ := webhook.Finch(secret)
	handler := &webhook.Handler{
		Verifier: verifier,
		Handle: func(ctx context.Context, e webhook.Event) error {
			name, known := names[e.ConnectionID]
			if !known || !e.LoginRequired() {
				return nil
			}
			source := manager.Source(name)
			stored, err := source.Stored(ctx)
			if err != nil {
				return err
			}
			told, err := config.Introspect(ctx, stored)
			if err == nil && told.Kind == endpoints.KindLoginRequired {
				err = source.RequireLogin(ctx, stored, e.Status)
			}
			return err
		},
	}

	ctx := context.Background()
	replica := &tokensource.Manager{Config: config, Store: store} // another process
	show := func(when string) {
		status, err := replica.Status(ctx, "acme")
		fmt.Println(when+":", status.State, status.ErrorCode, err)
	}
	token := sandbox.Connect(endpoints.Finch)
	id := token.Extra("connection_id").(string)
	names[id] = "acme"
	manager.Save(ctx, "acme", token)
	show("connected")

	sandbox.Revoke(endpoints.Finch, token)
	show("before the webhook")
	fmt.Println(deliver(handler, "msg_1", id))
	show("after it")

	manager.Save(ctx, "acme", sandbox.Connect(endpoints.Finch)) // the user connects again
	fmt.Println(deliver(handler, "msg_2", id))                  // and an event is late
	show("after a late one")
	// Output:
	// connected: healthy  <nil>
	// before the webhook: healthy  <nil>
	// 200
	// after it: login_required reauth <nil>
	// 200
	// after a late one: healthy  <nil>
}

const secret = "5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH" // from Finch's dashboard

// deliver does what Finch does, and returns the status of the answer.
func deliver(handler http.Handler, event, connection string) int {
	body := `{"connection_id":"` + connection + `","event_type":"account.updated","data":{"status":"reauth"}}`
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	key, _ := base64.StdEncoding.DecodeString(secret)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(event + "." + timestamp + "." + body))
	r := httptest.NewRequest(http.MethodPost, "/webhooks/finch", strings.NewReader(body))
	r.Header.Set("Finch-Event-Id", event)
	r.Header.Set("Finch-Timestamp", timestamp)
	r.Header.Set("Finch-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}
