package endpoints

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// everything is a valid Provider in which every field has a value.
func everything() Provider {
	rules := []ErrorRule{{In: "errors.type", Code: "gone*", Kind: KindLoginRequired}}
	return Provider{
		Name:   "Everything <&>",
		Issuer: "https://auth.example",
		Endpoint: oauth2.Endpoint{
			AuthURL: "https://auth.example/{org}/authorize", TokenURL: "https://auth.example/token",
			DeviceAuthURL: "https://auth.example/device",
		},
		RefreshURL: "https://auth.example/refresh", RevokeURL: "https://auth.example/revoke",
		IntrospectURL: "https://auth.example/introspect",
		APIURLs:       []string{"https://api.example", "https://uploads.example"},
		Vars:          map[string][]string{"org": {"", "*"}, "region": {"us", "eu"}},
		Consent: Consent{
			Params: Params{"region": {"{region}"}, "resource": {"urn:a", "urn:b"}, "scope": {"{scope}"}},
			Scopes: []string{"read", "write"}, ScopeSeparator: "%20", PKCE: PlainPKCE,
		},
		Callback: Callback{
			Names: map[string]string{"code": "auth_code"}, Keep: []string{"account"}, Iss: true,
			Errors: []ErrorRule{{In: "cancel", Code: "1", Kind: KindDenied}},
		},
		Style: AuthStyle{
			Method: "POST", Body: JSONBody, Auth: PrivateKeyJWT, Audience: "https://auth.example",
			Params: Params{"key": {"{client_id}"}}, Header: map[string]string{"X-Version": "1"},
		},
		Exchange:   AuthStyle{Params: Params{"grant_type": nil}},
		Refresh:    AuthStyle{Auth: ClientSecretJWT},
		Revoke:     AuthStyle{Method: "DELETE", Auth: AccessTokenAuth},
		Introspect: AuthStyle{Method: "GET"},
		Answer: Answer{
			TokenIn: "data", Names: map[string]string{"expires_at": "until"}, TimeLayout: time.DateTime,
			DefaultLifetime: 90 * time.Minute, Success: map[string]string{"ok": "true"}, Errors: rules,
		},
		API: API{
			Header: map[string]string{"X-Token": "{access_token}"},
			Errors: []ErrorRule{{Status: 403, In: "code", Code: "expired", Kind: KindTokenRejected}},
		},
	}
}

// definitions returns valid Providers of all kinds.
func definitions() []Provider {
	milliseconds := everything()
	milliseconds.Answer.Names, milliseconds.Answer.TimeLayout = nil, ""
	milliseconds.Answer.LifetimeUnit = time.Millisecond
	basic := Provider{Endpoint: oauth2.Endpoint{TokenURL: "https://a.example/token", AuthStyle: oauth2.AuthStyleInHeader}}
	return append(data(), everything(), milliseconds, basic)
}

func TestProviderComesBackFromJSON(t *testing.T) {
	for _, p := range definitions() {
		require.NoError(t, p.Validate())
		data, err := json.Marshal(p)
		require.NoError(t, err)
		back, err := parsed(string(data))
		require.NoError(t, err, "%s", data)
		assert.Equal(t, p, back)
		again, err := json.Marshal(back)
		require.NoError(t, err)
		assert.Equal(t, string(data), string(again))
	}
}

// Style.Auth and Endpoint.AuthStyle are one member, which is read into the latter where
// x/oauth2 has the way.
func TestProviderClientAuthIsOneMember(t *testing.T) {
	for _, c := range []struct {
		at   oauth2.AuthStyle
		auth ClientAuth
		want string
		back oauth2.AuthStyle
	}{
		{oauth2.AuthStyleAutoDetect, "", `null`, oauth2.AuthStyleAutoDetect},
		{oauth2.AuthStyleInParams, "", `"client_secret_post"`, oauth2.AuthStyleInParams},
		{oauth2.AuthStyleInHeader, "", `"client_secret_basic"`, oauth2.AuthStyleInHeader},
		{oauth2.AuthStyleInHeader, ClientSecretBasic, `"client_secret_basic"`, oauth2.AuthStyleInHeader},
		{oauth2.AuthStyleAutoDetect, ClientSecretPost, `"client_secret_post"`, oauth2.AuthStyleInParams},
		{oauth2.AuthStyleAutoDetect, PublicClient, `"none"`, oauth2.AuthStyleAutoDetect},
	} {
		p := Provider{Endpoint: oauth2.Endpoint{TokenURL: "https://a.example/token", AuthStyle: c.at}, Style: AuthStyle{Auth: c.auth}}
		data, err := json.Marshal(p)
		require.NoError(t, err)
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &members))
		if c.want == "null" {
			assert.NotContains(t, members, "token_endpoint_auth_method")
		} else {
			assert.Equal(t, c.want, string(members["token_endpoint_auth_method"]))
		}
		back, err := parsed(string(data))
		require.NoError(t, err)
		assert.Equal(t, c.back, back.Endpoint.AuthStyle)
	}
}

// The form that the documentation of MarshalJSON shows is read.
func TestDocumentedJSON(t *testing.T) {
	source, err := os.ReadFile("json.go")
	require.NoError(t, err)
	_, shown, _ := strings.Cut(string(source), "// MarshalJSON returns the JSON form of p, which UnmarshalJSON reads:\n//\n")
	shown, _, _ = strings.Cut(shown, "//\n//")
	p, err := parsed(strings.ReplaceAll(shown, "//\t", ""))
	require.NoError(t, err)
	assert.Equal(t, "Acme", p.Name)
	assert.Equal(t, Params{"grant_type": nil, "app_id": {"{client_id}"}}, p.Exchange.Params)
}

func TestProviderIsReadInsideOfAnotherDocument(t *testing.T) {
	want := map[string]Provider{"one": everything(), "two": Notion}
	data, err := json.Marshal(want)
	require.NoError(t, err)
	var got map[string]Provider
	require.NoError(t, json.Unmarshal(data, &got))
	assert.Equal(t, want, got)

	assert.EqualError(t, json.Unmarshal([]byte(`{"one": {"Token_endpoint": "https://a.example/token"}}`), &got),
		"endpoints: Token_endpoint is unknown: it is written token_endpoint")
	kept := everything()
	assert.Error(t, kept.UnmarshalJSON([]byte(`{}`)))
	assert.Equal(t, everything(), kept)
	assert.EqualError(t, json.Unmarshal([]byte(`[null]`), new([]Provider)), "endpoints: the JSON is null, and must be an object")

	const cut = `{"token_endpoint": "https://a.example/token"`
	assert.EqualError(t, json.Unmarshal([]byte(cut), &kept), "unexpected end of JSON input")
	assert.EqualError(t, kept.UnmarshalJSON([]byte(cut)), "endpoints: not a JSON document, at byte 44: unexpected end of JSON input")
	assert.Equal(t, everything(), kept)
	pointer := &kept
	require.NoError(t, json.Unmarshal([]byte(`null`), &pointer))
	assert.Nil(t, pointer)
}

func TestProviderWithAHookHasNoJSON(t *testing.T) {
	const want = "endpoints: T: there is no JSON form of a Provider with Request or Response: they are functions"
	for _, p := range []Provider{
		{Name: "T", Request: func(*Request) error { return nil }},
		{Name: "T", Response: func(*Response) error { return nil }},
	} {
		_, err := json.Marshal(p)
		assert.ErrorContains(t, err, want)
	}
}

func TestParamsInJSON(t *testing.T) {
	for _, c := range []struct {
		data, again string
		want        Params
	}{
		{`{"a":"x"}`, `{"a":"x"}`, Params{"a": {"x"}}},
		{`{"a":["x"]}`, `{"a":"x"}`, Params{"a": {"x"}}},
		{`{"a":["x","y"],"b":null}`, `{"a":["x","y"],"b":null}`, Params{"a": {"x", "y"}, "b": nil}},
		{`{"a":[]}`, `{"a":null}`, Params{"a": nil}},
	} {
		var got Params
		require.NoError(t, json.Unmarshal([]byte(c.data), &got))
		assert.Equal(t, c.want, got)
		again, err := json.Marshal(got)
		require.NoError(t, err)
		assert.Equal(t, c.again, string(again))
	}
	for data, want := range map[string]string{
		`{"a":1}`:         `endpoints: ["a"] is the number 1, and must be text, a list of texts or null`,
		`{"a":["x",[]]}`:  `endpoints: ["a"][1] is a list, and must be text`,
		`{"a":"","a":""}`: `endpoints: ["a"] is there twice`,
		`[]`:              `endpoints: the JSON is a list, and must be an object`,
	} {
		assert.EqualError(t, json.Unmarshal([]byte(data), new(Params)), want)
	}
}

func TestDurationsInJSON(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1ms", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 3601 * time.Second: "1h0m1s",
		10 * time.Second: "10s", 20 * time.Hour: "20h", 610 * time.Second: "10m10s",
	} {
		text, err := durationText(d).MarshalText()
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
		var back durationText
		require.NoError(t, back.UnmarshalText(text))
		assert.Equal(t, durationText(d), back)
	}
}

// TestEveryFieldHasAMember finds a field that was added to a type and can't be said in
// JSON, and a member that stands for no field.
func TestEveryFieldHasAMember(t *testing.T) {
	stands := make(map[string]bool)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[definition]()) {
		path := f.Tag.Get("go")
		stands[path] = true
		at := reflect.TypeFor[Provider]()
		for name := range strings.SplitSeq(path, ".") {
			if path == "" {
				break
			}
			field, ok := at.FieldByName(name)
			require.True(t, ok, "%s stands for %s", f.Name, path)
			at = field.Type
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Provider]()) {
		switch f.Name {
		case "Request", "Response", "Endpoint":
		default:
			assert.True(t, stands[f.Name], "Provider.%s has no member", f.Name)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[oauth2.Endpoint]()) {
		assert.True(t, stands["Endpoint."+f.Name], "Endpoint.%s has no member", f.Name)
	}
	for _, group := range []any{Consent{}, Callback{}, AuthStyle{}, answerForm{}, API{}, ErrorRule{}} {
		byName := fieldsOf(reflect.TypeOf(group))
		has := make(map[string]bool)
		for _, f := range byName {
			has[f.Name] = true
		}
		for _, f := range reflect.VisibleFields(reflect.TypeOf(group)) {
			if !f.Anonymous && f.Name != "Iss" { // Iss is at the top
				assert.True(t, has[f.Name], "%T.%s has no member", group, f.Name)
			}
		}
	}
}

// A field's name means one member, wherever it is, so that an error of Validate can be
// said in JSON's words.
func TestAFieldHasOneNameInJSON(t *testing.T) {
	names := make(map[string]string)
	for _, group := range []any{Consent{}, Callback{}, AuthStyle{}, answerForm{}, API{}, ErrorRule{}} {
		for name, f := range fieldsOf(reflect.TypeOf(group)) {
			if other, ok := names[f.Name]; ok {
				assert.Equal(t, other, name, f.Name)
			}
			names[f.Name] = name
		}
	}
}

// data returns the definitions that have no hooks.
func data() []Provider {
	var all []Provider
	for _, name := range slices.Sorted(maps.Keys(Definitions)) {
		if p := Definitions[name]; p.Request == nil && p.Response == nil {
			all = append(all, p)
		}
	}
	return all
}
