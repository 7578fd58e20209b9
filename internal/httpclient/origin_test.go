package httpclient

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parse(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

func TestSameOrigin(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"https://api.example.com", "https://api.example.com/v1?x#y", true},
		{"https://api.example.com", "https://user:password@api.example.com/", true},
		{"https://api.example.com", "HTTPS://API.Example.COM:443/", true},
		{"https://api.example.com:", "https://api.example.com:0443", true},
		{"http://api.example.com:80", "http://api.example.com", true},
		{"https://[::1]:8443/", "https://[0:0:0:0:0:0:0:1]:8443/", true},
		{"https://[2001:DB8::A]", "https://[2001:db8:0::a]:443", true},
		{"https://bücher.example", "https://bücher.example", true},

		{"https://api.example.com", "http://api.example.com", false},
		{"https://api.example.com", "http://api.example.com:443", false},
		{"https://api.example.com", "https://api.example.com:8443", false},
		{"https://api.example.com", "https://example.com", false},
		{"https://api.example.com", "https://api.example.com.evil.example", false},
		{"https://api.example.com", "https://api.example.com@evil.example", false},
		{"https://api.example.com", "https://api.example.com.", false},
		{"https://kilo.example", "https://\u212Ailo.example", false}, // the Kelvin sign
		{"https://bücher.example", "https://BÜCHER.example", false},
		{"https://127.0.0.1", "https://127.1", false},
		{"https://127.0.0.1", "https://[::ffff:127.0.0.1]", false},
		{"https://[fe80::1%25a]", "https://[fe80::1%25b]", false},

		{"ftp://api.example.com", "ftp://api.example.com", false},
		{"//api.example.com", "//api.example.com", false},
		{"https:///path", "https:///path", false},
		{"https://:443", "https://:443", false},
		{"https:api.example.com", "https:api.example.com", false},
		{"https://api.example.com:99999", "https://api.example.com:99999", false},
	} {
		a, b := parse(t, test.a), parse(t, test.b)
		assert.Equal(t, test.same, SameOrigin(a, b), "%s and %s", test.a, test.b)
		assert.Equal(t, test.same, SameOrigin(b, a), "%s and %s", test.b, test.a)
	}
	assert.False(t, SameOrigin(nil, nil))
	assert.False(t, Origin{}.Is(&url.URL{}))
}

func TestOriginIsPrintedInOneWay(t *testing.T) {
	for raw, want := range map[string]string{
		"https://API.example.com:443/v1": "https://api.example.com",
		"http://Localhost:8080":          "http://localhost:8080",
		"https://u:p@[::0001]:444/?q":    "https://[::1]:444",
	} {
		o, err := ParseOrigin(raw)
		require.NoError(t, err)
		assert.Equal(t, want, o.String())
	}
	assert.Empty(t, Origin{}.String())
	_, err := ParseOrigin("https://user:secret@host:port/%zz")
	assert.EqualError(t, err, "not an absolute http or https URL")
}

func TestRequestGoesToAnOriginByItsHostToo(t *testing.T) {
	o, err := ParseOrigin("https://api.example.com")
	require.NoError(t, err)
	for _, test := range []struct {
		url, host string
		takes     bool
	}{
		{"https://api.example.com/v1", "", true},
		{"https://api.example.com/v1", "api.example.com", true},
		{"https://api.example.com/v1", "API.example.com:443", true},
		{"https://api.example.com/v1", "evil.example", false},
		{"https://api.example.com/v1", "api.example.com:444", false},
		{"https://evil.example/v1", "api.example.com", false},
	} {
		r := &http.Request{URL: parse(t, test.url), Host: test.host}
		assert.Equal(t, test.takes, o.Takes(r), "%s, Host: %s", test.url, test.host)
	}
	for opaque, takes := range map[string]bool{
		"//api.example.com/a%2Fb": true, "/a%2Fb": true, "*": true,
		"//evil.example/": false, "//api.example.com:444/": false, "//api.example.com@evil.example": false, "//[": false, "//": false,
		"https://api.example.com/v1": true, "https://API.example.com:443/v1": true,
		"https://evil.example/v1": false, "http://api.example.com/v1": false, "HTTPS://evil.example": false, "https:evil.example": false,
		"https://api.example.com@evil.example": false, "evil.example:443": false, "https://": false, " https://evil.example": false,
	} {
		r := &http.Request{URL: parse(t, "https://api.example.com/v1")}
		r.URL.Opaque = opaque
		assert.Equal(t, takes, o.Takes(r), "the request line names %s", opaque)
	}
	assert.False(t, o.Takes(&http.Request{}), "a request without a URL")
}

func TestOrdinaryRequestIsComparedWithoutAllocating(t *testing.T) {
	o, err := ParseOrigin("https://api.example.com")
	require.NoError(t, err)
	r := &http.Request{URL: parse(t, "https://api.example.com/v1"), Host: "api.example.com"}
	assert.Zero(t, testing.AllocsPerRun(100, func() { o.Takes(r) }))
}

func TestSecretsGoOverHTTPSOrStayOnTheMachine(t *testing.T) {
	for raw, want := range map[string]bool{
		"https://example.com":           true,
		"HTTPS://example.com":           true,
		"http://localhost:8080/token":   true,
		"http://LOCALHOST":              true,
		"http://127.0.0.1:1":            true,
		"http://127.9.9.9":              true,
		"http://[::1]/":                 true,
		"http://[::ffff:127.0.0.1]/":    true,
		"http://example.com":            false,
		"http://localhost.example.com":  false,
		"http://login.localhost":        false,
		"http://localhost.":             false,
		"http://localhost@evil.example": false,
		"http://127.0.0.1.evil.example": false,
		"http://127.1":                  false,
		"http://0.0.0.0":                false,
		"http://192.168.0.1":            false,
		"http://[::1%25eth0]/":          false,
		"http://[fe80::1]":              false,
		"ftp://localhost":               false,
		"localhost":                     false,
		"":                              false,
	} {
		u := parse(t, raw)
		assert.Equal(t, want, SecureURL(u), raw)
		if u.Scheme == "http" {
			assert.Equal(t, want, LoopbackURL(u), raw)
		}
	}
	assert.False(t, SecureURL(nil))
	assert.False(t, LoopbackURL(nil))
	assert.True(t, LoopbackURL(parse(t, "https://[::1]:8443/")))
}

func TestChainOfRedirectsThatHasLeft(t *testing.T) {
	set, err := ParseOrigins([]string{"https://api.example.com", "https://uploads.example.com:8443"})
	require.NoError(t, err)
	assert.Equal(t, "https://api.example.com, https://uploads.example.com:8443", set.String())
	for _, test := range []struct {
		chain []string
		left  bool
	}{
		{[]string{"https://api.example.com/1"}, false},
		{[]string{"https://evil.example/1"}, false}, // no redirect led there
		{[]string{"https://api.example.com/1", "https://uploads.example.com:8443/2", "https://api.example.com/3"}, false},
		{[]string{"https://api.example.com/1", "https://evil.example/2"}, true},
		{[]string{"https://api.example.com/1", "http://api.example.com/2", "https://api.example.com/3"}, true},
		{[]string{"https://api.example.com/1", "https://evil.example/2", "https://api.example.com/3", "https://api.example.com/4"}, true},
		{[]string{"https://evil.example/1", "https://api.example.com/2"}, true},
	} {
		var r *http.Request
		for _, u := range test.chain {
			next := &http.Request{URL: parse(t, u)}
			if r != nil {
				next.Response = &http.Response{Request: r}
			}
			r = next
		}
		assert.Equal(t, test.left, set.Left(r), "%q", test.chain)
	}
	r := &http.Request{URL: parse(t, "https://api.example.com"), Response: new(http.Response)}
	assert.True(t, set.Left(r), "a redirect from nowhere")
	_, err = ParseOrigins([]string{"https://api.example.com", "/v1"})
	assert.Error(t, err)
	assert.False(t, Origins(nil).Takes(r))
}

// FuzzOrigin checks that what counts as one origin is dialed as one, and that an
// origin is that of its own text.
func FuzzOrigin(f *testing.F) {
	for _, raw := range []string{"https://a", "HTTP://A:80", "https://[::1]:0443/", "https://u@h:1", "https://\u212A", "http://%41.example"} {
		f.Add(raw, "https://a")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		ua, errA := url.Parse(a)
		ub, errB := url.Parse(b)
		if errA != nil || errB != nil {
			return
		}
		if o, err := OriginOf(ua); err == nil {
			again, err := ParseOrigin(o.String())
			if err == nil && again != o {
				t.Fatalf("the origin of %q is %q, whose origin is %q", a, o, again)
			}
			if !o.Is(ua) {
				t.Fatalf("%q isn't of its own origin %q", a, o)
			}
		}
		if SameOrigin(ua, ub) != SameOrigin(ub, ua) {
			t.Fatalf("%q and %q are one origin in one order only", a, b)
		}
		if SameOrigin(ua, ub) && lower(ua.Scheme) != lower(ub.Scheme) {
			t.Fatalf("%q and %q have two schemes and one origin", a, b)
		}
	})
}
