package endpoints_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

func TestPrintingWhatHooksGetAndConfigsShowsNoSecret(t *testing.T) {
	seed := []byte("a-seed-of-thirty-two-bytes-for-k")
	conf := endpoints.OktaWithKey("a.okta.com").Config(oauth2.Config{ClientID: "app"}).WithKey(ed25519.NewKeyFromSeed(seed), map[string]string{"kid": string(seed)})
	request := endpoints.Request{
		Grant: "refresh_token", Params: url.Values{"refresh_token": {string(seed)}},
		HTTP: &http.Request{Header: http.Header{"Authorization": {string(seed)}}},
	}
	response := endpoints.Response{
		Grant: "refresh_token", Status: 200, Body: seed, Header: http.Header{"Set-Cookie": {string(seed)}},
		Members: map[string]any{"access_token": string(seed)},
	}
	forms := []string{string(seed)}
	for _, f := range []string{"%d", "%x", "%X", "%#v"} { // as they print bytes
		forms = append(forms, strings.Trim(fmt.Sprintf(f, seed[:8]), "[]byte{}"))
	}
	encoded, err := json.Marshal(seed)
	require.NoError(t, err)
	forms = append(forms, string(encoded[1:20]))
	var printed bytes.Buffer
	for _, v := range []any{
		conf, *conf, request, &request, response, &response, []any{conf, request, response}, struct{ C endpoints.Config }{*conf},
		struct{ c *endpoints.Config }{conf}, struct{ c endpoints.Config }{*conf},
		map[string]any{"a": &response, "b": struct{ R *endpoints.Request }{&request}},
	} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&printed, format+"\n", v)
		}
		slog.New(slog.NewTextHandler(&printed, nil)).Info("v", "v", v)
		slog.New(slog.NewJSONHandler(&printed, nil)).Info("v", "v", v)
		require.NoError(t, json.NewEncoder(&printed).Encode(v))
	}
	for _, form := range forms {
		assert.False(t, strings.Contains(printed.String(), form), "as %.12q…", form)
	}
	assert.Equal(t, "endpoints.Config(Okta, app)", fmt.Sprint(conf))
	assert.Equal(t, "endpoints.Request(refresh_token, secrets redacted)", fmt.Sprint(&request))
	assert.Equal(t, "endpoints.Response(refresh_token, status 200, secrets redacted)", fmt.Sprint(response))
}

func TestALogNamesProviderAndClient(t *testing.T) {
	c := endpoints.GitHub.Config(oauth2.Config{ClientID: "app", ClientSecret: "secret"})
	for name, log := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var printed bytes.Buffer
		slog.New(log(&printed)).Info("m", "v", c)
		assert.Contains(t, printed.String(), "endpoints.Config(GitHub, app)", name)
		assert.NotContains(t, printed.String(), "secret", name)
	}
}
