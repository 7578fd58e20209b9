package endpoints_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// way is one way in which a provider departs from the RFCs, in the smallest definition
// that has it: a request as essence writes it, an answer as answerText reads it, and
// what becomes of that. What is empty isn't checked.
type way struct {
	name   string
	change func(p *endpoints.Provider)
	opts   []oauth2.AuthCodeOption
	token  *oauth2.Token // that a refresh or a revocation is about

	consent                   string // the URL
	exchange, refresh, revoke string // what is sent
	answer                    string
	want                      string // the token, and the seconds that it lives; or the kind and code of the error
}

// waysBase is the provider that a way changes.
func waysBase() endpoints.Provider {
	return endpoints.Provider{
		Name:      "x",
		Endpoint:  oauth2.Endpoint{AuthURL: "https://a.example/authorize", TokenURL: "https://a.example/token"},
		RevokeURL: "https://a.example/revoke",
		APIURLs:   []string{"https://api.example"},
	}
}

// answerText answers with a status, a content type and, in the lines after them, a body.
func answerText(text string) http.HandlerFunc {
	head, body, _ := strings.Cut(text, "\n")
	status, contentType, _ := strings.Cut(head, " ")
	code, err := strconv.Atoi(status)
	if err != nil {
		panic(err)
	}
	return answer(code, contentType, body)
}

const good = "200 application/json\n" + `{"access_token":"a1","refresh_token":"r1","expires_in":3600}`

func TestEachWayIsSaidByTheDefinition(t *testing.T) {
	for _, w := range append(requestWays, answerWays...) {
		t.Run(w.name, func(t *testing.T) {
			p := waysBase()
			w.change(&p)
			require.NoError(t, p.Validate())
			conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: "padded/secret==", Scopes: []string{"open", "id", "mail:read"}})
			if w.consent != "" {
				consent, _, err := conf.Authorize(t.Context(), "st", "vv", w.opts...)
				require.NoError(t, err)
				assert.Equal(t, w.consent, consent)
			}
			if w.token == nil {
				w.token = &oauth2.Token{AccessToken: "a0", RefreshToken: "r0", Expiry: time.Unix(1, 0)}
			}
			if w.answer == "" {
				w.answer = good
			}
			for sent, send := range map[string]func(context.Context) (*oauth2.Token, error){
				w.exchange: func(ctx context.Context) (*oauth2.Token, error) { return conf.Exchange(ctx, "c0de", w.opts...) },
				w.refresh:  func(ctx context.Context) (*oauth2.Token, error) { return conf.TokenSource(ctx, w.token).Token() },
				w.revoke:   func(ctx context.Context) (*oauth2.Token, error) { return nil, conf.Revoke(ctx, w.token) },
			} {
				if sent == "" {
					continue
				}
				net := newInternet(t, answerText(w.answer))
				token, err := send(net.context())
				assert.Equal(t, sent, essence(net.only(t)))
				if w.want != "" {
					assert.Equal(t, w.want, outcome(token, err))
				} else {
					assert.NoError(t, err)
				}
			}
		})
	}
}

// outcome writes what a request came to.
func outcome(token *oauth2.Token, err error) string {
	if err != nil {
		var retrieve *oauth2.RetrieveError
		return string(endpoints.KindOf(err)) + " " + errorCode(err, &retrieve)
	}
	life := "for ever"
	if !token.Expiry.IsZero() {
		life = strconv.Itoa(int(time.Until(token.Expiry).Round(5*time.Second) / time.Second))
	}
	return token.AccessToken + " " + token.RefreshToken + " " + life
}

func errorCode(err error, retrieve **oauth2.RetrieveError) string {
	if !errors.As(err, retrieve) {
		return err.Error()
	}
	return (*retrieve).ErrorCode
}

const (
	exchangeForm = "POST a.example/token\n(form)\nclient_id=id&client_secret=padded%2Fsecret%3D%3D&code=c0de&grant_type=authorization_code"
	refreshForm  = "POST a.example/token\n(form)\nclient_id=id&client_secret=padded%2Fsecret%3D%3D&grant_type=refresh_token&refresh_token=r0"
	challenge    = "code_challenge=_EfSQP4MWbXdjHDMqZPFRZbN4t5poF-B44KP3G0aTO8&code_challenge_method=S256"
)

// requestWays are ways to ask.
var requestWays = []way{
	{
		name: "nothing", change: func(*endpoints.Provider) {},
		consent:  "https://a.example/authorize?client_id=id&" + challenge + "&response_type=code&scope=open+id+mail%3Aread&state=st",
		exchange: exchangeForm, want: "a1 r1 3600",
	},
	{
		name: "a scope that every refresh has", change: func(p *endpoints.Provider) {
			p.Refresh.Params = endpoints.Params{"scope": {"ads.manage"}}
		},
		exchange: exchangeForm, refresh: refreshForm + "&scope=ads.manage",
	},
	{name: "nothing, at a refresh", change: func(*endpoints.Provider) {}, refresh: refreshForm, want: "a1 r1 3600"},
	{
		name: "Basic that isn't decoded", change: func(p *endpoints.Provider) { p.Style.Auth = endpoints.ClientSecretBasicRaw },
		exchange: "POST a.example/token\nAuthorization: Basic aWQ6cGFkZGVkL3NlY3JldD09\n(form)\ncode=c0de&grant_type=authorization_code",
	},
	{
		name: "Basic", change: func(p *endpoints.Provider) { p.Style.Auth = endpoints.ClientSecretBasic },
		exchange: "POST a.example/token\nAuthorization: Basic aWQ6cGFkZGVkJTJGc2VjcmV0JTNEJTNE\n(form)\ncode=c0de&grant_type=authorization_code",
	},
	{
		name: "client_id beside Basic", change: func(p *endpoints.Provider) {
			p.Style = endpoints.AuthStyle{Auth: endpoints.ClientSecretBasic, Params: endpoints.Params{"client_id": {"{client_id}"}}}
		},
		exchange: "POST a.example/token\nAuthorization: Basic aWQ6cGFkZGVkJTJGc2VjcmV0JTNEJTNE\n(form)\nclient_id=id&code=c0de&grant_type=authorization_code",
	},
	{
		name: "the secret as a bearer token", change: func(p *endpoints.Provider) {
			p.Style.Header = map[string]string{"Authorization": "Bearer {client_secret}"}
		},
		exchange: "POST a.example/token\nAuthorization: Bearer padded/secret==\n(form)\nclient_id=id&code=c0de&grant_type=authorization_code",
	},
	{
		name: "no secret", change: func(p *endpoints.Provider) { p.Style.Auth = endpoints.PublicClient },
		exchange: "POST a.example/token\n(form)\nclient_id=id&code=c0de&grant_type=authorization_code",
	},
	{
		name: "%20 between scopes", change: func(p *endpoints.Provider) {
			p.Consent = endpoints.Consent{ScopeSeparator: "%20", PKCE: endpoints.NoPKCE}
		},
		consent: "https://a.example/authorize?client_id=id&response_type=code&scope=open%20id%20mail%3Aread&state=st",
	},
	{
		name: "a comma between scopes", change: func(p *endpoints.Provider) {
			p.Consent = endpoints.Consent{ScopeSeparator: ",", PKCE: endpoints.NoPKCE}
		},
		consent: "https://a.example/authorize?client_id=id&response_type=code&scope=open,id,mail%3Aread&state=st",
	},
	{
		name: "resource twice", change: func(p *endpoints.Provider) {
			resource := endpoints.Params{"resource": {"urn:a", "urn:b"}}
			p.Consent.Params, p.Style.Params = resource, resource
		},
		consent:  "https://a.example/authorize?client_id=id&" + challenge + "&resource=urn%3Aa&resource=urn%3Ab&response_type=code&scope=open+id+mail%3Aread&state=st",
		exchange: exchangeForm + "&resource=urn%3Aa&resource=urn%3Ab",
		refresh:  refreshForm + "&resource=urn%3Aa&resource=urn%3Ab",
	},
	{
		name: "client_id at the consent page, clientId in JSON", change: func(p *endpoints.Provider) {
			p.Style = endpoints.AuthStyle{Body: endpoints.JSONBody, Params: endpoints.Params{"clientId": {"{client_id}"}, "clientSecret": {"{client_secret}"}}}
			p.Consent.PKCE = endpoints.NoPKCE
		},
		consent:  "https://a.example/authorize?client_id=id&response_type=code&scope=open+id+mail%3Aread&state=st",
		exchange: "POST a.example/token\n(JSON)\n" + `{"clientId":"id","clientSecret":"padded/secret==","code":"c0de","grant_type":"authorization_code"}`,
	},
	{
		name: "exchange by a form, refresh by GET at another host with access_token", change: func(p *endpoints.Provider) {
			p.RefreshURL = "https://graph.example/refresh"
			p.Refresh = endpoints.AuthStyle{Method: "GET", Params: endpoints.Params{
				"access_token": {"{refresh_token}"}, "grant_type": {"ig_refresh_token"}, "client_id": nil, "client_secret": nil,
			}}
			p.Answer.Names = map[string]string{"refresh_token": "access_token"}
		},
		exchange: exchangeForm,
		refresh:  "GET graph.example/refresh?access_token=r0&grant_type=ig_refresh_token",
		answer:   "200 application/json\n" + `{"access_token":"a1","expires_in":3600}`, want: "a1 a1 3600",
	},
	{
		name: "assertion for code and refresh token, another grant_type", change: func(p *endpoints.Provider) {
			p.Exchange.Params = endpoints.Params{"assertion": {"{code}"}, "grant_type": {"urn:x:jwt-bearer"}}
			p.Refresh.Params = endpoints.Params{"assertion": {"{refresh_token}"}}
		},
		exchange: "POST a.example/token\n(form)\nassertion=c0de&client_id=id&client_secret=padded%2Fsecret%3D%3D&grant_type=urn%3Ax%3Ajwt-bearer",
		refresh:  "POST a.example/token\n(form)\nassertion=r0&client_id=id&client_secret=padded%2Fsecret%3D%3D&grant_type=refresh_token",
	},
	{
		name: "an id of the callback in every later request", change: func(p *endpoints.Provider) {
			p.Callback.Keep = []string{"shop_id"}
			p.Style.Params = endpoints.Params{"shop_id": {"{shop_id}"}}
		},
		opts:     []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("shop_id", "7")},
		token:    (&oauth2.Token{AccessToken: "a0", RefreshToken: "r0", Expiry: time.Unix(1, 0)}).WithExtra(map[string]any{"shop_id": 12345678.0}),
		exchange: exchangeForm + "&shop_id=7", refresh: refreshForm + "&shop_id=12345678",
		revoke: "POST a.example/revoke\n(form)\nclient_id=id&client_secret=padded%2Fsecret%3D%3D&shop_id=12345678&token=r0",
	},
	{
		name: "PKCE by the verifier itself", change: func(p *endpoints.Provider) { p.Consent.PKCE = endpoints.PlainPKCE },
		consent: "https://a.example/authorize?client_id=id&code_challenge=vv&code_challenge_method=plain&response_type=code&scope=open+id+mail%3Aread&state=st",
	},
	{
		name: "PKCE in hexadecimal", change: func(p *endpoints.Provider) { p.Consent.PKCE = endpoints.S256Hex },
		consent: "https://a.example/authorize?client_id=id&code_challenge=fc47d240fe0c59b5dd8c70cca993c54596cde2de69a05f81e3828fdc6d1a4cef&" +
			"code_challenge_method=S256&response_type=code&scope=open+id+mail%3Aread&state=st",
	},
	{
		name: "a page that reads its fragment", change: func(p *endpoints.Provider) { p.Endpoint.AuthURL = "https://a.example/#/authorize?" },
		consent: "https://a.example/#/authorize?client_id=id&" + challenge + "&response_type=code&scope=open+id+mail%3Aread&state=st",
	},
	{
		name: "revocation of the access token", change: func(p *endpoints.Provider) { p.Revoke.Params = endpoints.Params{"token": {"{access_token}"}} },
		revoke: "POST a.example/revoke\n(form)\nclient_id=id&client_secret=padded%2Fsecret%3D%3D&token=a0",
	},
	{
		name: "revocation by another parameter", change: func(p *endpoints.Provider) {
			p.Revoke.Params = endpoints.Params{"token": nil, "stripe_user_id": {"{account}"}}
			p.Callback.Keep = []string{"account"}
		},
		token:  (&oauth2.Token{AccessToken: "a0", RefreshToken: "r0"}).WithExtra(map[string]any{"account": "acct_1"}),
		revoke: "POST a.example/revoke\n(form)\nclient_id=id&client_secret=padded%2Fsecret%3D%3D&stripe_user_id=acct_1",
	},
	{
		name: "revocation by DELETE, with the API's header", change: func(p *endpoints.Provider) {
			p.Revoke = endpoints.AuthStyle{Method: "DELETE", Auth: endpoints.AccessTokenAuth}
			p.API.Header = map[string]string{"X-Shopify-Access-Token": "{access_token}"}
		},
		revoke: "DELETE a.example/revoke\nX-Shopify-Access-Token: a0",
	},
	{
		name: "URLs of the callback", change: func(p *endpoints.Provider) {
			p.Endpoint.TokenURL, p.RevokeURL, p.Callback.Keep = "{accounts-server}/token", "{accounts-server}/revoke", []string{"accounts-server"}
			p.Vars = map[string][]string{"accounts-server": {"https://accounts.example.com", "https://accounts.example.eu"}}
		},
		opts:     []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("accounts-server", "https://accounts.example.eu")},
		token:    (&oauth2.Token{AccessToken: "a0", RefreshToken: "r0", Expiry: time.Unix(1, 0)}).WithExtra(map[string]any{"accounts-server": "https://accounts.example.eu"}),
		exchange: strings.Replace(exchangeForm, "a.example", "accounts.example.eu", 1),
		refresh:  strings.Replace(refreshForm, "a.example", "accounts.example.eu", 1),
		revoke:   "POST accounts.example.eu/revoke\n(form)\nclient_id=id&client_secret=padded%2Fsecret%3D%3D&token=r0",
	},
	{
		name: "a hook that knows what is asked", change: func(p *endpoints.Provider) {
			p.Exchange.Params = endpoints.Params{"grant_type": nil}
			p.Request = func(r *endpoints.Request) error {
				r.Params.Set("asks", r.Grant+" "+r.Value("refresh_token")+r.Value("code"))
				return nil
			}
		},
		exchange: "POST a.example/token\n(form)\nasks=authorization_code+c0de&client_id=id&client_secret=padded%2Fsecret%3D%3D&code=c0de",
		refresh:  "POST a.example/token\n(form)\nasks=refresh_token+r0&client_id=id&client_secret=padded%2Fsecret%3D%3D&grant_type=refresh_token&refresh_token=r0",
	},
}

// Each callback is read under the RFC's names.
func TestEachCallbackIsReadByTheDefinition(t *testing.T) {
	for _, test := range []struct {
		name, callback, want, again string
		cb                          endpoints.Callback
	}{
		{"as the RFC has it", "code=c&state=s", "code=c&state=s", "", endpoints.Callback{}},
		{"the code by another name", "auth_code=c&state=s", "code=c&state=s", "", endpoints.Callback{Names: map[string]string{"code": "auth_code"}}},
		{"Amazon", "spapi_oauth_code=c&state=s&selling_partner_id=A1", "code=c&selling_partner_id=A1&state=s", "selling_partner_id=A1",
			endpoints.Callback{Names: map[string]string{"code": "spapi_oauth_code"}, Keep: []string{"selling_partner_id"}}},
		{"an error by another name", "error_code=901&error_message=No&state=s", "error=901&error_description=No&state=s", "",
			endpoints.Callback{Names: map[string]string{"error": "error_code", "error_description": "error_message"}}},
		{"what an error means", "error_code=901&state=s", "error=invalid_request&error_code=901&state=s", "",
			endpoints.Callback{Errors: []endpoints.ErrorRule{{In: "error_code", Code: "901", Kind: endpoints.KindClientRejected}}}},
		{"what an error under another name means", "error_code=901&state=s", "error=access_denied&state=s", "",
			endpoints.Callback{Names: map[string]string{"error": "error_code"}, Errors: []endpoints.ErrorRule{{Code: "90*", Kind: endpoints.KindDenied}}}},
		{"cancelled by a parameter", "usercancel=1&state=s", "error=access_denied&state=s&usercancel=1", "",
			endpoints.Callback{Errors: []endpoints.ErrorRule{{In: "usercancel", Code: "1", Kind: endpoints.KindDenied}}}},
		{"cancelled by nothing", "state=s", "error=access_denied&state=s", "",
			endpoints.Callback{Errors: []endpoints.ErrorRule{{Kind: endpoints.KindDenied}}}},
		{"not cancelled", "code=c&state=s&usercancel=0", "code=c&state=s&usercancel=0", "",
			endpoints.Callback{Errors: []endpoints.ErrorRule{{In: "usercancel", Code: "1", Kind: endpoints.KindDenied}, {Kind: endpoints.KindDenied}}}},
		{"the state by another name", "code=c&st=s", "code=c&state=s", "", endpoints.Callback{Names: map[string]string{"state": "st"}}},
		{"two that change places", "code=s&state=c", "code=c&state=s", "", endpoints.Callback{Names: map[string]string{"state": "code", "code": "state"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := waysBase()
			p.Callback = test.cb
			require.NoError(t, p.Validate())
			callback, err := url.ParseQuery(test.callback)
			require.NoError(t, err)
			rfc, again := p.Config(oauth2.Config{ClientID: "id"}).ReadCallback(callback)
			assert.Equal(t, test.want, rfc.Encode())
			kept := url.Values{}
			for name, v := range again {
				kept.Set(name, v)
			}
			assert.Equal(t, test.again, kept.Encode())
			before, _ := url.ParseQuery(test.callback)
			assert.Equal(t, before, callback, "the caller's")
		})
	}
	rfc, again := waysBase().Config(oauth2.Config{ClientID: "id"}).ReadCallback(nil)
	assert.Empty(t, rfc)
	assert.Empty(t, again)
}
