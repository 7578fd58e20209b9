package endpoints_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// A token is one by the definition's name for it too, and in what only a hook can read.
func TestNoErrorHoldsATokenThatOnlyTheDefinitionKnows(t *testing.T) {
	const issued = "issued-token-0123456789"
	p := rfc
	p.Answer.Names = map[string]string{"access_token": "data.key"}
	xml := answer(200, "text/xml", "<answer><key>"+issued+"</key></answer>")
	for name, test := range map[string]struct {
		hook   func(r *endpoints.Response) error
		answer http.HandlerFunc
		want   string
	}{
		"renamed":        {nil, answerJSON(400, `{"data":{"key":"`+issued+`"},"message":"`+issued+` is too old"}`), "[redacted] is too old"},
		"a form":         {nil, answer(400, "text/plain", "data.key="+issued+"&error_description="+issued), "[redacted]"},
		"a hook's error": {func(r *endpoints.Response) error { return fmt.Errorf("can't read %s", r.Body) }, xml, "Response: can't read <answer><key>[redacted]</key></answer>"},
		"a hook's members": {func(r *endpoints.Response) error {
			r.Members = map[string]any{"api_token": issued, "error": "invalid_grant", "message": issued + " is spent"}
			return nil
		}, xml, "[redacted] is spent"},
	} {
		p.Response = test.hook
		_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(answering(test.answer).context(), "c0de")
		require.Error(t, err, name)
		assert.NotContains(t, fmt.Sprintf("%+v", err), issued, name)
		assert.Contains(t, err.Error(), test.want, name)
	}
}
