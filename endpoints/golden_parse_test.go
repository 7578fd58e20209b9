package endpoints_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const goldenHead = "# Example\n#\n# https://docs.example: everything\n\n-- consent --\nhttps://example.com/authorize\n"

func TestGoldenFilesAreStrict(t *testing.T) {
	for name, text := range map[string]string{
		"no head":               "-- consent --\nhttps://example.com/authorize\n",
		"a head without a page": "# Example\n\n-- consent --\nhttps://example.com/authorize\n",
		"no consent":            "# https://docs.example: everything\n",
		"text before":           "# https://docs.example: everything\nhello\n\n-- consent --\nhttps://example.com\n",
		"unknown section":       goldenHead + "\n-- consents --\n",
		"argument too many":     goldenHead + "\n-- exchange: denied --\n",
		"argument missing":      goldenHead + "\n-- refresh error --\n",
		"wrong order":           goldenHead + "\n-- exchange --\n\n-- callback --\n",
		"twice":                 goldenHead + "\n-- callback --\n\n-- callback --\n",
	} {
		if _, err := goldenParse([]byte(text)); err == nil {
			t.Errorf("%s: is accepted", name)
		}
	}
	walks, err := goldenParse([]byte(goldenHead + "\n-- callback --\ncode=c\n\n-- callback: denied --\n\n-- callback: denied --\n" +
		"\n-- exchange answer --\nHTTP/1.1 200 OK\n\n{}\n\n# Again.\n\n-- consent --\nhttps://example.com/b\n"))
	if err != nil || len(walks) != 2 || len(walks[0].all("callback")) != 3 {
		t.Fatal(walks, err)
	}
	answer, _ := walks[0].one("exchange answer")
	resp, err := answer.answer(nil)
	if err != nil || resp.ContentLength != int64(len("{}")) {
		t.Error("the comment before the next walk belongs to the answer", err)
	}
}

func TestGoldenRequestsAreCompared(t *testing.T) {
	const text = "POST /token?a=1&b=%2C HTTP/1.1\nHost: example.com\nContent-Type: application/x-www-form-urlencoded\n\nassertion=*&x=1\n"
	for name, change := range map[string]func(*http.Request){
		"":       func(*http.Request) {},
		"method": func(r *http.Request) { r.Method = http.MethodPut },
		"scheme": func(r *http.Request) { r.URL.Scheme = "http" },
		"host":   func(r *http.Request) { r.URL.Host = "example.org" },
		"path":   func(r *http.Request) { r.URL.Path = "/tokens" },
		"query":  func(r *http.Request) { r.URL.RawQuery = "a=1&b=," },
		"header": func(r *http.Request) { r.Header.Set("X-Other", "1") },
		"body":   func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("assertion=e30&x=2")) },
		"member": func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("assertion=e30&x=1&y=1")) },
		"empty":  func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("assertion=&x=1")) },
	} {
		want, err := goldenSection{text: text}.request()
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.com/token?b=%2C&a=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		r.Body = io.NopCloser(strings.NewReader("x=1&assertion=e30"))
		change(r)
		got, err := goldenSent(r)
		if err != nil {
			t.Fatal(err)
		}
		if differs := want.difference(got) != ""; differs != (name != "") {
			t.Errorf("another %s: differs %t", name, differs)
		}
	}
	for _, bad := range []string{"b=1&a=1", "a=1 "} {
		if _, err := (goldenSection{text: strings.Replace(text, "assertion=*&x=1", bad, 1)}).request(); (err == nil) != (bad == "a=1 ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
