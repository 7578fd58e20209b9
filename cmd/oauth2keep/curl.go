package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// call is a request to the API, as the flags describe it.
type call struct {
	method, data, output string
	headers              []string
	include, fail        bool
	limit                time.Duration
}

func (a *app) curlCommand() *cobra.Command {
	f := &call{}
	c := &cobra.Command{
		Use:   "curl CONNECTION URL",
		Short: "Call the provider's API with the connection's token",
		Long: `Makes one request to the provider's API with the connection's token, which is refreshed if need be, and
writes the answer's body to standard output. The flags are those of curl, as far as they are here.

A URL that is only a path, such as /user, is one at the API. The token goes to the origins of
the provider's API and nowhere else, whatever the URL or a redirect says.

The exit code is 0 for every answer, as curl's is, unless the answer ended the connection, which is 3. With --fail an
answer of 400 or above is 7, and 4 if it says to try later (429, 5xx).`,
		Example: `  oauth2keep curl github/me /user
  oauth2keep curl acme/me https://api.acme.example/orders -d '{"item": 7}'
  oauth2keep curl acme/me /orders/7 -X DELETE --fail`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeConnections,
		RunE: func(c *cobra.Command, args []string) error {
			return a.curl(c.Context(), args[0], args[1], f, c.Flags().Changed("data"))
		},
	}
	flags := c.Flags()
	flags.StringVarP(&f.method, "request", "X", "", "the `method` (default GET, or POST with data)")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "a header `field`, as \"Name: value\"")
	flags.StringVarP(&f.data, "data", "d", "", "the body: the `text` itself, @FILE, or @- for standard input")
	flags.BoolVarP(&f.include, "include", "i", false, "write the answer's status and header, too")
	flags.StringVarP(&f.output, "output", "o", "", "write the body to a `file`")
	flags.BoolVarP(&f.fail, "fail", "f", false, "exit with 7 or 4 if the answer is an error")
	flags.DurationVarP(&f.limit, "max-time", "m", 0, "give up after this `time`, such as 30s (default never)")
	return a.clientFlag(c)
}

func (a *app) curl(ctx context.Context, name, target string, f *call, hasData bool) error {
	m, err := a.manager(ctx, a.clientName(name), false)
	if err != nil {
		return err
	}
	if target, err = a.resolveTarget(ctx, m, name, target); err != nil {
		return err
	}
	if f.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.limit)
		defer cancel()
	}
	req, err := f.newRequest(ctx, target, hasData, a.in)
	if err != nil {
		return err
	}
	resp, err := m.Client(name).Do(req)
	if err != nil {
		return callError(err, f.limit)
	}
	defer resp.Body.Close()
	if err := a.writeAnswer(resp, f); err != nil {
		return callError(err, f.limit)
	}
	return judge(ctx, m, name, resp, f.fail)
}

// callError has the connection's own error where there is one, and else that of the network.
func callError(err error, limit time.Duration) error {
	var token *tokensource.Error
	var wrapped *url.Error
	switch {
	case errors.As(err, &token):
		return token
	case errors.Is(err, context.DeadlineExceeded) && limit > 0:
		return &failure{code: exitLater, err: fmt.Errorf("no answer within %s", limit)}
	case errors.As(err, &wrapped):
		if wrapped.Timeout() || endpoints.KindOf(wrapped.Err) == endpoints.KindProviderTrouble {
			return &failure{code: exitLater, err: wrapped.Err}
		}
		return wrapped.Err
	}
	return err
}

// resolveTarget returns the URL of a path at the API.
func (a *app) resolveTarget(ctx context.Context, m *tokensource.Manager, name, target string) (string, error) {
	if !strings.HasPrefix(target, "/") {
		if u, err := url.Parse(target); err != nil || u.Host == "" {
			return "", usage("%s is neither a URL nor a path that begins with a slash", printable(target))
		}
		return target, nil
	}
	t, err := m.Source(name).Stored(ctx)
	if err != nil {
		return "", err
	}
	urls, err := m.Config.(*endpoints.Config).APIURLs(t)
	switch {
	case err != nil:
		return "", err
	case len(urls) == 0:
		return "", &failure{code: exitSetup, err: errors.New("the provider's definition has no API, so that tokens are sent nowhere"),
			do: "oauth2keep client set " + quoted(a.clientName(name)) + " --api-url https://…"}
	}
	return strings.TrimSuffix(urls[0], "/") + target, nil
}

// newRequest makes the request. Its body is in memory, so that it can be sent again after a
// refresh.
func (f *call) newRequest(ctx context.Context, target string, hasData bool, in io.Reader) (*http.Request, error) {
	data := []byte(f.data)
	var err error
	if path, ok := strings.CutPrefix(f.data, "@"); ok {
		if path == "-" {
			data, err = io.ReadAll(in)
		} else {
			data, err = os.ReadFile(path)
		}
		if err != nil {
			return nil, err
		}
	}
	method, body := f.method, io.Reader(nil)
	if hasData {
		body = bytes.NewReader(data)
	}
	switch {
	case method == "" && hasData:
		method = http.MethodPost
	case method == "":
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, usage("can't make a request of that: %w", err)
	}
	if hasData {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if json.Valid(data) {
			req.Header.Set("Content-Type", "application/json")
		}
	}
	for _, h := range f.headers {
		field, value, ok := strings.Cut(h, ":")
		field, value = strings.TrimSpace(field), strings.TrimSpace(value)
		switch {
		case !ok || field == "":
			return nil, usage("a header is \"Name: value\"")
		case http.CanonicalHeaderKey(field) == "Host":
			req.Host = value
		case http.CanonicalHeaderKey(field) == "Content-Type":
			req.Header.Set(field, value)
		default:
			req.Header.Add(field, value)
		}
	}
	return req, nil
}

func (a *app) writeAnswer(resp *http.Response, f *call) error {
	out, path := a.out, f.output
	terminal := isTerminal(a.out) && path == ""
	if f.include {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s\n", resp.Proto, resp.Status)
		for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
			for _, value := range resp.Header[name] {
				fmt.Fprintf(&b, "%s: %s\n", name, value)
			}
		}
		if _, err := fmt.Fprintln(a.out, escaped(b.String())); err != nil {
			return err
		}
	}
	if path != "" {
		return saveBody(path, resp.Body)
	}
	if !terminal {
		_, err := io.Copy(out, resp.Body)
		return err
	}
	shown := &terminalWriter{out: a.out, ended: true}
	if _, err := io.Copy(shown, resp.Body); err != nil {
		return err
	}
	return shown.end()
}

// saveBody writes a file, which only its owner can read: what an API tells of an account is
// no one else's.
func saveBody(path string, body io.Reader) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	file, err := root.OpenFile(filepath.Base(path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, body)
	return errors.Join(err, file.Close())
}

// terminalWriter shows what a terminal would obey, and refuses what isn't text.
type terminalWriter struct {
	out   io.Writer
	rest  []byte // the beginning of a rune
	ended bool   // the last line has an end, or there is none
}

// end ends the last line, so that the prompt isn't on it.
func (w *terminalWriter) end() error {
	text := escaped(string(w.rest))
	if !w.ended {
		text += "\n"
	}
	_, err := io.WriteString(w.out, text)
	return err
}

var errBinary = &failure{code: exitUsage, err: errors.New("the answer isn't text, and could upset the terminal: pipe it, or write it to a file by -o")}

// Write implements io.Writer.
func (w *terminalWriter) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, 0) >= 0 {
		return 0, errBinary
	}
	text := append(w.rest, p...)
	cut := len(text)
	for back := 1; back <= 3 && back <= len(text); back++ { // a rune may go on in the next write
		if c := text[len(text)-back]; c >= 0xc0 {
			if !utf8.FullRune(text[len(text)-back:]) {
				cut = len(text) - back
			}
			break
		}
	}
	w.rest = bytes.Clone(text[cut:])
	w.ended = len(text) == 0 || text[len(text)-1] == '\n'
	if _, err := io.WriteString(w.out, escaped(string(text[:cut]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// judge returns the error that an answer is.
func judge(ctx context.Context, m *tokensource.Manager, name string, resp *http.Response, fail bool) error {
	if resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	// An answer that refused the token may have ended the connection.
	if st, err := m.Status(ctx, name); err == nil && st.State == tokensource.StateLoginRequired {
		return &failure{code: exitLogin, err: fmt.Errorf("the API answered %s, and the connection %s has ended: %s", resp.Status, printable(name), adviceFor(st.Reason).meaning),
			do: adviceFor(st.Reason).actFor(name)}
	}
	if !fail {
		return nil
	}
	code := exitRefused
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError {
		code = exitLater
	}
	return &failure{code: code, err: fmt.Errorf("the API answered %s", resp.Status)}
}
