package loginerror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/oauth2"
)

// client is one whose consent page has that URL.
type client string

func (c client) AuthCodeURL(string, ...oauth2.AuthCodeOption) string { return string(c) }

// authorizer is an Authorizer, which has no URL without options.
type authorizer struct{ client }

func (authorizer) Authorize(context.Context, string, string, ...oauth2.AuthCodeOption) (string, map[string]string, error) {
	return "https://p.example", nil, nil
}

var _ Authorizer = authorizer{}

// What pkce does with an exchange is done with any request, such as one of a device.
func TestOfRequest(t *testing.T) {
	const secret, body = "device-code-1", "the body"
	answered := func(code string) error {
		return fmt.Errorf("wrapped: %w", &oauth2.RetrieveError{
			Response: &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{"Set-Cookie": {secret}}}, Body: []byte(body),
			ErrorCode: code, ErrorDescription: "about " + secret,
		})
	}
	own := errors.New("own of " + secret)
	good, secretive := client("https://p.example"), &oauth2.Config{ClientSecret: "client-secret"}
	for name, tt := range map[string]struct {
		client Client
		err    error
		action error
		text   string
	}{
		"expired":           {good, answered("expired_token"), ErrStartAgain, `the provider answered status 400 "expired_token" "about [redacted]"`},
		"not the client":    {good, answered("invalid_client"), ErrMisconfigured, `the provider answered status 400 "invalid_client" "about [redacted]"`},
		"nor its grant":     {good, answered("unauthorized_client"), ErrMisconfigured, `the provider answered status 400 "unauthorized_client" "about [redacted]"`},
		"decided":           {good, errors.Join(ErrDenied, answered("invalid_client")), ErrDenied, `the provider answered status 400 "invalid_client" "about [redacted]"`},
		"unsupported":       {good, errors.ErrUnsupported, ErrStartAgain, "unsupported operation"},
		"its own":           {good, own, ErrStartAgain, "own of [redacted]"},
		"of itself":         {client(""), own, ErrMisconfigured, "own of [redacted]"},
		"of an Authorizer":  {authorizer{}, own, ErrStartAgain, "own of [redacted]"},
		"a client's secret": {secretive, errors.New("no client-secret"), ErrStartAgain, "no [redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			err := OfRequest("the request failed: ", tt.client, tt.err, secret)
			assert.EqualError(t, err, "pkce: the request failed: "+tt.text)
			for _, action := range []error{ErrStartAgain, ErrDenied, ErrMisconfigured} {
				assert.Equal(t, action == tt.action, errors.Is(err, action), "%v", action)
			}
			assert.Equal(t, errors.Is(tt.err, own), errors.Is(err, own))
			assert.Equal(t, errors.Is(tt.err, errors.ErrUnsupported), errors.Is(err, errors.ErrUnsupported))
			printed := fmt.Sprintf("%+v %#v", err, err)
			var answer *oauth2.RetrieveError
			if errors.As(err, &answer) {
				printed += fmt.Sprintf("%+v %#v %v", *answer, *answer, answer.Response)
			}
			for _, gone := range []string{secret, body, "client-secret"} {
				assert.NotContains(t, printed, gone)
			}
		})
	}
}
