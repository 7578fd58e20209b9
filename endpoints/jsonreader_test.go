package endpoints

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parsed returns the Provider that is in a document.
func parsed(document string) (p Provider, err error) {
	err = p.UnmarshalJSON([]byte(document))
	return p, err
}

func TestUnmarshalJSONNamesWhatItRefuses(t *testing.T) {
	const head = `{"token_endpoint":"https://a.example/token",`
	for _, c := range []struct{ data, want string }{
		// members
		{head + `"tokn_endpoint":"x"}`, `tokn_endpoint is unknown`},
		{head + `"Name":"x"}`, `Name is unknown: it is written name`},
		{head + `"refresh":{"grant_type":"x"}}`, `refresh.grant_type is unknown`},
		{head + `"refresh":{"Params":{}}}`, `refresh.Params is unknown: it is written params`},
		{head + `"api":{"errors":[{"status":403,"kind":"token_rejected"},{"stats":403}]}}`, `api.errors[1].stats is unknown`},
		{head + `"answer":{"Answer":{}}}`, `answer.Answer is unknown`},
		{head + `"Vars":{},"revoke_url":"x","revoke":{},"consent":{"pkce":"none"}}`, "Vars is unknown: it is written variables\n" +
			"revoke_url is unknown: it is written revocation_endpoint\nrevoke is unknown: it is written revocation\n" +
			"consent.pkce is unknown: it is written code_challenge_method"},
		{head + `"name":"Acme","stile":{"a":[{}]},"answer":{"token":"x"},"api_urls":"x"}`, "Acme: stile is unknown\nanswer.token is unknown\n" +
			"api_urls is text, and must be a list"},
		{head + strings.Repeat(`"x":1,`, 2) + `"y":1}`, "x is unknown\nx is there twice"},
		{head + `"callback":{"iss":true}}`, `callback.iss is unknown`},
		{head + `"callback":{"-":true}}`, `callback["-"] is unknown`},
		{head + `"a b\"":1}`, `["a b\""] is unknown`},
		{head + `"":1}`, `[""] is unknown`},
		{head + `"` + strings.Repeat("a", 100) + `":1}`, `["` + strings.Repeat("a", 64) + `…"] is unknown`},
		{head + `"token_endpoint":"https://b.example/token"}`, `token_endpoint is there twice`},
		{head + `"exchange":{"params":{"a":"1","a":"2"}}}`, `exchange.params["a"] is there twice`},
		{head + `"exchange":{"params":{"a":"1","\u0061":"2"}}}`, `exchange.params["a"] is there twice`},
		{head + `"name":"Acme","style":{"auth":"none"}}`, `Acme: style.auth is written token_endpoint_auth_method, at the top`},
		{head + `"style":{"auth":"none"}}`, `style.auth is written token_endpoint_auth_method, at the top`},

		// types
		{`[]`, `the JSON is a list, and must be an object`},
		{`null`, `the JSON is null, and must be an object`},
		{head + `"name":1}`, `name is the number 1, and must be text`},
		{head + `"name":` + strings.Repeat("1", 50) + `}`, `name is a long number, and must be text`},
		{head + `"name":null}`, `name is null, and must be text`},
		{head + `"name":{"x":1}}`, `name is an object, and must be text`},
		{head + `"api_urls":"https://a.example"}`, `api_urls is text, and must be a list`},
		{head + `"api_urls":["https://a.example",true]}`, `api_urls[1] is true, and must be text`},
		{head + `"consent":[]}`, `consent is a list, and must be an object`},
		{head + `"exchange":{"params":{"a":1}}}`, `exchange.params["a"] is the number 1, and must be text, a list of texts or null`},
		{head + `"exchange":{"header":{"a":["b"]}}}`, `exchange.header["a"] is a list, and must be text`},
		{head + `"variables":{"a":"b"}}`, `variables["a"] is text, and must be a list`},
		{head + `"api":{"errors":[{"status":"403"}]}}`, `api.errors[0].status is text, and must be a whole number`},
		{head + `"api":{"errors":[{"status":403.5}]}}`, `api.errors[0].status is the number 403.5, and must be a whole number`},
		{head + `"api":{"errors":[{"status":1e400}]}}`, `api.errors[0].status is the number 1e400, and must be a whole number`},
		{head + `"authorization_response_iss_parameter_supported":"true"}`,
			`authorization_response_iss_parameter_supported is text, and must be true or false`},
		{head + `"answer":{"default_lifetime":3600}}`, `answer.default_lifetime is the number 3600, and must be text`},

		// values
		{head + `"name":""}`, `name is empty: leave it out`},
		{head + `"style":{"body":""}}`, `style.body is empty: leave it out`},
		{head + `"answer":{"lifetime_unit":"1 hour"}}`, `answer.lifetime_unit is not a positive duration such as "90s", "1h30m" or "1ms"`},
		{head + `"answer":{"default_lifetime":"-1h"}}`, `answer.default_lifetime is not a positive duration such as "90s", "1h30m" or "1ms"`},

		// the document
		{head + `"name":"x"}{}`, `not a JSON document, at byte 56: invalid character '{' after top-level value`},
		{head + `"name":"x"},`, `not a JSON document, at byte 56: invalid character ',' after top-level value`},
		{head[:10], `not a JSON document, at byte 10: unexpected end of JSON input`},
		{``, `not a JSON document, at byte 0: unexpected end of JSON input`},
		{"\ufeff{}", `the JSON begins with a byte order mark, which it must not (RFC 8259, section 8.1)`},
		{head + "\"name\":\"\xff\"}", `the JSON isn't UTF-8`},
		{head + `"name":"` + strings.Repeat("x", 1<<20) + `"}`, `the JSON is longer than 1048576 bytes`},
	} {
		p, err := parsed(c.data)
		assert.EqualError(t, err, "endpoints: "+c.want, "%.200s", c.data)
		assert.Zero(t, p)
	}
}

// A document that is nothing but unknown members isn't listed.
func TestUnmarshalJSONNamesSomeOfManyUnknown(t *testing.T) {
	var members strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&members, `"m%d":1,`, i)
	}
	_, err := parsed("{" + members.String() + `"name":"x"}`)
	require.Error(t, err)
	assert.Equal(t, 100, strings.Count(err.Error(), "\n"))
}

// What is nested too deep is refused where it begins to be, at no cost.
func TestUnmarshalJSONBoundsDepth(t *testing.T) {
	for _, depth := range []int{100, 1 << 19} {
		_, err := parsed(`{"name":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`)
		require.Error(t, err)
	}
}

// The error for what is wrong all over is one that can be read, and is made without comparing
// each mistake with each: of these it would take a minute.
func TestUnmarshalJSONOfManyMistakes(t *testing.T) {
	const n = 100_000
	scopes := strings.TrimSuffix(strings.Repeat(`" ",`, n), ",")
	_, err := parsed(`{"token_endpoint":"https://a.example/token","authorization_endpoint":"https://a.example/","consent":{"scopes":[` + scopes + `]}}`)
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 101)
	assert.Equal(t, `consent.scopes[99] is not a single scope: " "`, lines[99])
	assert.Equal(t, "and 99900 more", lines[100])
}

// A definition of half a MiB is read at a cost that grows with its length, whatever it is full of.
// For these it would take minutes or gigabytes to compare each element with each, or to put a
// long name into every mistake.
func TestUnmarshalJSONOfMuch(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const head = `{"token_endpoint":"https://a.example/token",`
	list := func(n int, element string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString("," + strings.ReplaceAll(element, "#", fmt.Sprintf("%05d", i)))
		}
		return b.String()[1:]
	}
	long := strings.Repeat("a", 1<<17)
	for what, c := range map[string]struct{ data, want string }{
		"a variable many times": {head + `"api_urls":["https://a.example/` + strings.Repeat("{a}", 150_000) + `"]}`,
			"endpoints: api_urls[0] has {a}, which variables doesn't declare"},
		"a variable in a parameter": {head + `"style":{"params":{"a":"` + strings.Repeat("{token}", 70_000) + `"}}}`, ""},
		"values of a variable": {head + `"variables":{"a":[` + list(50_000, `"#"`) + `]}}`,
			`endpoints: variables["a"] has no effect: nothing refers to {a}`},
		"values, a variable many times": {head + `"api_urls":["https://a.example/` + strings.Repeat("{a}", 75_000) + `"],"variables":{"a":[` + list(25_000, `".."`) + `]}}`,
			"\nand 49899 more"},
		"values, in a host": {head + `"api_urls":["https://` + strings.Repeat("{a}.", 50_000) + `example"],"variables":{"a":[` + list(20_000, `"/#"`) + `]}}`,
			"\nand 19900 more"},
		"a long name": {head + `"variables":{"` + long + `":[` + strings.Repeat(`"",`, 125_000) + `""]}}`,
			"\nand 124901 more"},
		"a parameter of a long name": {head + `"style":{"params":{"` + long + `":[` + strings.Repeat(`"",`, 125_000) + `""]}}}`,
			"\nand 124901 more"},
		"members of the callback": {head + `"callback":{"keep":[` + list(50_000, `"m#"`) + `]}}`, ""},
		"header fields":           {head + `"style":{"header":{` + list(30_000, `"h#":"v"`) + `}}}`, ""},
		"rules": {head + `"answer":{"errors":[` + list(12_000, `{"code":"*#","kind":"denied"}`) + `]}}`,
			"endpoints: answer.errors has 12000 rules, and can have 1000"},
		"a text like a path": {head + `"answer":{"token_in":"` + strings.Repeat("A.", 250_000) + `"}}`, `endpoints: answer.token_in can't match: "A.A.`},
	} {
		t.Run(what, func(t *testing.T) {
			require.LessOrEqual(t, len(c.data), maxJSON)
			_, err := parsed(c.data)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.LessOrEqual(t, len(err.Error()), maxJSON)
		})
	}
}

func TestUnmarshalJSONSaysMistakesInTheWordsOfJSON(t *testing.T) {
	const head = `{"name":"Style","token_endpoint":"https://a.example/token",`
	for _, c := range []struct{ data, want string }{
		{`{"name":"Style"}`, `token_endpoint is missing`},
		{head + `"style":{"body":"xml"}}`, `style.body is unknown: "xml" is none of form, json, query`},
		{head + `"style":{"body":"Style.Body"}}`, `style.body is unknown: "Style.Body" is none of form, json, query`},
		{head + `"style":{"params":{"a":"{Style}"}}}`, `style.params["a"][0] has {Style}, which is neither in variables nor in callback.keep nor one of ` +
			`access_token, client_assertion, client_assertion_type, client_id, client_secret, code, code_verifier, grant_type, redirect_uri, refresh_token, token`},
		{head + `"revocation":{"method":"DELETE"}}`, `revocation has no effect without revocation_endpoint`},
		{head + `"refresh":{"params":{"grant-type":null}}}`, `refresh.params["grant-type"] removes what is never sent`},
		{head + `"refresh":{"params":{"API.Errors":["x","{y}"]}}}`,
			`refresh.params["API.Errors"][1] has {y}, which is neither in variables nor in callback.keep nor one of access_token, client_assertion, client_assertion_type, client_id, client_secret, grant_type, redirect_uri, refresh_token`},
		{head + `"token_endpoint_auth_method":"client_secret"}`, `token_endpoint_auth_method is unknown: "client_secret" is none of client_secret_post, client_secret_basic, client_secret_basic_raw, private_key_jwt, client_secret_jwt, none, access_token`},
		{head + `"authorization_response_iss_parameter_supported":true}`,
			`authorization_response_iss_parameter_supported has no effect without issuer`},
		{head + `"api":{"errors":[{"kind":"token_rejected"}]}}`,
			`api.errors[0].status is missing: every answer of the api would have to be read`},
		{head + `"answer":{"errors":[{"code":"1","kind":"token_rejected"}]}}`, `answer.errors[0].kind can't be "token_rejected" here`},
		{head + `"variables":{"a":["b"]}}`, `variables["a"] has no effect: nothing refers to {a}`},
		{head + `"style":{"body":"xml"},"revocation":{"method":"DELETE"}}`,
			"style.body is unknown: \"xml\" is none of form, json, query\nrevocation has no effect without revocation_endpoint"},
	} {
		p, err := parsed(c.data)
		assert.EqualError(t, err, "endpoints: Style: "+c.want)
		assert.Zero(t, p)
	}
}

func TestUnmarshalJSONNamesAURLByItsMember(t *testing.T) {
	_, err := parsed(`{"token_endpoint":"https://a.example/token","authorization_endpoint":"/x"}`)
	assert.ErrorContains(t, err, "endpoints: authorization_endpoint ")
	_, err = parsed(`{"token_endpoint":"https://a.example/token","api_urls":["https://b.example","c"]}`)
	assert.ErrorContains(t, err, "endpoints: api_urls[1] ")
}

func TestInJSONWordsLeavesOtherErrorsAlone(t *testing.T) {
	assert.Equal(t, io.EOF, inJSONWords(&Provider{Name: "Style"}, io.EOF))
}

// Editors know the schema of a document by this member.
func TestUnmarshalJSONPassesOverTheSchema(t *testing.T) {
	p, err := parsed(`{"$schema":"./provider.schema.json","token_endpoint":"https://a.example/token"}`)
	require.NoError(t, err)
	data, err := json.Marshal(p)
	require.NoError(t, err)
	assert.Equal(t, `{"token_endpoint":"https://a.example/token"}`, string(data))
}

func TestInsecureHTTPInJSON(t *testing.T) {
	const form = `{"token_endpoint":"http://a.example/token","insecure_http":true}`
	p, err := parsed(form)
	require.NoError(t, err)
	data, err := json.Marshal(p)
	require.NoError(t, err)
	assert.Equal(t, form, string(data))
	_, err = parsed(`{"token_endpoint":"http://a.example/token","insecure_http":false}`)
	assert.ErrorContains(t, err, "endpoints: token_endpoint ")
}

func FuzzUnmarshalJSON(f *testing.F) {
	seeds := 0
	for _, p := range definitions() {
		data, err := json.Marshal(p)
		require.NoError(f, err)
		f.Add(data)
		seeds++
	}
	require.GreaterOrEqual(f, seeds, 6)
	f.Add([]byte(`{"token_endpoint":"https://a.example","style":{"params":{"a":[],"b":["x"],"c":"\ud800"},"header":{}},"api_urls":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsed(string(data))
		if err != nil {
			assert.Zero(t, p)
			return
		}
		requireRoundTrip(t, p)
	})
}

// requireRoundTrip fails if p isn't valid, or differs when it comes back from JSON.
func requireRoundTrip(t *testing.T, p Provider) {
	t.Helper()
	require.NoError(t, p.Validate())
	first, err := json.Marshal(p)
	require.NoError(t, err)
	back, err := parsed(string(first))
	require.NoError(t, err, "%s", first)
	require.Equal(t, p, back)
	second, err := json.Marshal(back)
	require.NoError(t, err)
	require.Equal(t, string(first), string(second))
}
