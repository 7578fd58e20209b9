package endpoints_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// A golden file has the documented requests and answers of one provider. It begins
// with a head of lines that begin with "#", which say what was read where, and then
// has sections:
//
//	-- name --
//	-- name: argument --
//
// A section "consent" begins a walk: a consent, its callback, the exchange, a refresh
// and so on. The sections stand in the order of goldenSections. Lines that begin with
// "#" are comments, but not in the body of an answer.

// goldenKindOfSection is what a section may be.
type goldenKindOfSection struct {
	name     string
	argument bool // "name: argument"; otherwise there is none
	many     bool // may stand in a walk more than once
}

// goldenSections are the sections in their order.
var goldenSections = []goldenKindOfSection{
	{name: "consent"},
	{name: "callback"},
	{name: "callback", argument: true, many: true},
	{name: "exchange"},
	{name: "exchange answer"},
	{name: "token"},
	{name: "exchange error", argument: true, many: true},
	{name: "no refresh"},
	{name: "refresh"},
	{name: "refresh answer"},
	{name: "refreshed token"},
	{name: "refresh error", argument: true, many: true},
	{name: "revoke"},
	{name: "revoke answer", many: true},
	{name: "revoke error", argument: true, many: true},
	{name: "introspect"},
	{name: "introspect answer"},
	{name: "api"},
	{name: "api refused", argument: true, many: true},
	{name: "api not refused", many: true},
}

// goldenSection is one section of a golden file.
type goldenSection struct {
	name, argument string
	line           int
	text           string
}

func (s goldenSection) String() string {
	if s.argument != "" {
		return fmt.Sprintf("%s: %s (line %d)", s.name, s.argument, s.line)
	}
	return fmt.Sprintf("%s (line %d)", s.name, s.line)
}

// goldenWalk is a list of sections that begins with a consent.
type goldenWalk []goldenSection

// all returns the sections of a name.
func (w goldenWalk) all(name string) goldenWalk {
	var found goldenWalk
	for _, s := range w {
		if s.name == name {
			found = append(found, s)
		}
	}
	return found
}

// one returns the section of a name that has no argument.
func (w goldenWalk) one(name string) (s goldenSection, ok bool) {
	for _, s := range w {
		if s.name == name && s.argument == "" {
			return s, true
		}
	}
	return goldenSection{}, false
}

var goldenTitle = regexp.MustCompile(`^-- ([a-z ]+?)(?:: ([a-z_]+))? --$`)

// goldenParse reads a golden file.
func goldenParse(data []byte) ([]goldenWalk, error) {
	head, _, _ := bytes.Cut(data, []byte("\n-- "))
	if !bytes.HasPrefix(head, []byte("#")) || !bytes.Contains(head, []byte("https://")) {
		return nil, fmt.Errorf("the head doesn't say what was read where")
	}
	var walks []goldenWalk
	last := 0
	for i, line := range strings.Split(string(data), "\n") {
		title := goldenTitle.FindStringSubmatch(line)
		if title == nil {
			if len(walks) == 0 {
				if line != "" && !strings.HasPrefix(line, "#") {
					return nil, fmt.Errorf("line %d stands before the first section", i+1)
				}
				continue
			}
			w := walks[len(walks)-1]
			w[len(w)-1].text += line + "\n"
			continue
		}
		s := goldenSection{name: title[1], argument: title[2], line: i + 1}
		at := slices.IndexFunc(goldenSections, func(known goldenKindOfSection) bool {
			return known.name == s.name && known.argument == (s.argument != "")
		})
		switch {
		case at < 0:
			return nil, fmt.Errorf("line %d: there is no section of that name", i+1)
		case at == 0:
			walks = append(walks, nil)
		case len(walks) == 0, at < last, at == last && !goldenSections[at].many:
			return nil, fmt.Errorf("line %d: the section %s isn't in its place", i+1, s)
		}
		last = at
		walks[len(walks)-1] = append(walks[len(walks)-1], s)
	}
	if len(walks) == 0 {
		return nil, fmt.Errorf("there is no consent")
	}
	return walks, nil
}

// lines returns the lines of a section that are neither empty nor comments.
func (s goldenSection) lines() []string {
	var lines []string
	for line := range strings.Lines(s.text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// goldenSetting splits "name: value".
func goldenSetting(line string) (name, value string) {
	name, value, _ = strings.Cut(line, ":")
	return name, strings.TrimSpace(value)
}

// answer returns the answer that a section has.
func (s goldenSection) answer(to *http.Request) (*http.Response, error) {
	text := strings.TrimLeft(s.text, "\n")
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
	}
	head, body, _ := strings.Cut(text, "\n\n")
	raw := strings.ReplaceAll(strings.TrimSpace(head), "\n", "\r\n") + "\r\n\r\n"
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), to)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	body = goldenBody(body)
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return resp, nil
}

// goldenBody removes space around a body, and the comments between it and the
// next section.
func goldenBody(body string) string {
	for {
		body = strings.TrimSpace(body)
		last := strings.LastIndex(body, "\n") + 1
		if !strings.HasPrefix(body[last:], "# ") {
			return body
		}
		body = body[:last]
	}
}

// goldenRequest is a request in the form in which two are compared.
type goldenRequest struct {
	line   string // method, URL without query
	query  []string
	header map[string]string
	body   []string // the members of a form, sorted, or one JSON value
}

// request returns the request that a section has. It must be written in canonical
// order.
func (s goldenSection) request() (goldenRequest, error) {
	head, body, _ := strings.Cut(strings.TrimSpace(s.text), "\n\n")
	var kept []string
	for line := range strings.Lines(head) {
		if !strings.HasPrefix(line, "#") {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	fields := strings.Fields(kept[0])
	if len(fields) != 3 || fields[2] != "HTTP/1.1" {
		return goldenRequest{}, fmt.Errorf("%s: there is no request line", s)
	}
	r := goldenRequest{header: make(map[string]string)}
	for _, line := range kept[1:] {
		name, value := goldenSetting(line)
		r.header[textproto.CanonicalMIMEHeaderKey(name)] = value
	}
	path, query, _ := strings.Cut(fields[1], "?")
	r.line = fields[0] + " https://" + r.header["Host"] + path
	delete(r.header, "Host")
	r.query = goldenPieces(query)
	var err error
	if r.body, err = goldenMembers(r.header["Content-Type"], strings.TrimSpace(body)); err != nil {
		return r, fmt.Errorf("%s: %w", s, err)
	}
	if strings.Join(r.query, "&") != query || strings.Join(r.body, "&") != strings.TrimSpace(body) {
		return r, fmt.Errorf("%s: isn't written in canonical order:\n%s\n%s", s, strings.Join(r.query, "&"), strings.Join(r.body, "&"))
	}
	return r, nil
}

// goldenSent returns a request that is sent.
func goldenSent(r *http.Request) (goldenRequest, error) {
	u := *r.URL
	u.RawQuery, u.ForceQuery = "", false
	if u.Path == "" {
		u.Path = "/"
	}
	sent := goldenRequest{line: r.Method + " " + u.String(), query: goldenPieces(r.URL.RawQuery), header: make(map[string]string)}
	for name := range r.Header {
		sent.header[name] = strings.Join(r.Header.Values(name), ", ")
	}
	for _, name := range []string{"User-Agent", "Content-Length", "Accept-Encoding"} {
		delete(sent.header, name)
	}
	if media, _, found := strings.Cut(sent.header["Content-Type"], ";"); found {
		sent.header["Content-Type"] = media
	}
	if r.Body == nil {
		return sent, nil
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		sent.body, err = goldenMembers(sent.header["Content-Type"], string(body))
	}
	return sent, err
}

// goldenPieces returns the members of a query or form as they are written, sorted.
func goldenPieces(query string) []string {
	if query == "" {
		return nil
	}
	p := strings.Split(query, "&")
	slices.Sort(p)
	return p
}

// goldenMembers returns the members of a body. JSON is one, with its members sorted.
func goldenMembers(contentType, body string) ([]string, error) {
	switch {
	case body == "":
		return nil, nil
	case contentType == "application/json":
		var v any
		dec := json.NewDecoder(strings.NewReader(body))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err := enc.Encode(v)
		return []string{strings.TrimSpace(b.String())}, err
	case contentType == "application/x-www-form-urlencoded":
		return goldenPieces(body), nil
	}
	return nil, fmt.Errorf("a body has the content type %q", contentType)
}
