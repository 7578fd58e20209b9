package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// lifetime is how long the sandbox's TaxRock tokens live: long enough to see one
// work, short enough to wait for its end.
const lifetime = 3 * time.Second

// account is what the tour connects at a provider.
type account struct {
	name     string
	provider endpoints.Provider
	scopes   []string
	path     string // of an API call
}

var accounts = []account{
	{"finch", endpoints.Finch, []string{"company", "directory"}, "/employer/company"},
	{"chart", endpoints.Chart, nil, "/tax-payer"},
	{"taxrock", endpoints.TaxRock, nil, "/client-accounts"},
}

// tour is a run against the sandbox server.
type tour struct {
	dir     string
	sandbox *endpointstest.Server
	app     *application
	origin  string

	mu     sync.Mutex      // guards tokens
	tokens map[string]bool // every token that was ever issued to us
}

func runSandbox(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "oauth2keep")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sandbox, err := endpointstest.Start()
	if err != nil {
		return err
	}
	defer sandbox.Close()
	t := &tour{dir: dir, sandbox: sandbox, tokens: make(map[string]bool)}
	policy := sandbox.Policy(endpoints.TaxRock)
	policy.AccessLifetime = lifetime
	sandbox.SetPolicy(endpoints.TaxRock, policy)

	for _, act := range []func(context.Context) error{
		t.start, t.connect, t.restart, t.call, t.expire, t.revoke, t.search,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	if err := t.app.close(ctx); err != nil {
		return err
	}
	fmt.Println("\nEverything held. The code to look at is examples/quickstart/application.go.")
	return nil
}

func (t *tour) start(context.Context) (err error) {
	step("A server acts as the three providers, on this machine and with made-up accounts")
	for _, a := range accounts {
		p := t.sandbox.Provider(a.provider)
		say("%-8s token endpoint %s", p.Name, p.Endpoint.TokenURL)
	}
	step("The application starts: a new key, and an empty directory for the tokens")
	return t.open()
}

// open starts the application on t.dir, with a port of its own.
func (t *tour) open() (err error) {
	if t.app, err = openApplication(t.dir); err != nil {
		return err
	}
	t.app.connected = t.connected
	if t.origin, err = t.app.listen("127.0.0.1:0"); err != nil {
		return err
	}
	for _, a := range accounts {
		client := t.sandbox.Config(a.provider, t.origin+"/callback/"+a.name)
		client.Scopes = a.scopes
		t.app.add(a.name, t.sandbox.Provider(a.provider).Config(client), "/callback/"+a.name)
	}
	say("listening on %s", t.origin)
	return nil
}

func (t *tour) connected(key string, token *oauth2.Token, err error) {
	if err != nil {
		say("%s: %v", key, err)
		return
	}
	t.note(token)
	expires := "it doesn't expire"
	if !token.Expiry.IsZero() {
		expires = "it expires in " + time.Until(token.Expiry).Round(time.Second).String()
	}
	say("%s: code exchanged, token saved; %s", key, expires)
}

// note remembers a token's secrets, to look for them later.
func (t *tour) note(token *oauth2.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens[token.AccessToken] = true
	if token.RefreshToken != "" {
		t.tokens[token.RefreshToken] = true
	}
}

func (t *tour) connect(ctx context.Context) error {
	step("A user connects an account at each, through the consent page")
	for _, a := range accounts {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return err
		}
		browser := &http.Client{Jar: jar}
		callback, err := endpointstest.Approve(ctx, browser, t.origin+"/connect/"+a.name)
		if err != nil {
			return err
		}
		if _, err := get(ctx, browser, callback.String(), http.StatusOK); err != nil {
			return fmt.Errorf("the callback of %s: %w", a.name, err)
		}
	}
	step("What came beside the tokens is kept with them")
	finch, err := t.app.managers["finch"].Source("finch/alice").TokenContext(ctx)
	if err != nil {
		return err
	}
	var connection endpoints.FinchConnection
	if err := endpoints.Metadata(finch, &connection); err != nil {
		return err
	}
	if connection.ConnectionID == "" || connection.ProviderID == "" {
		return errors.New("there is no metadata of Finch")
	}
	say("finch: connection %s, payroll provider %s, products %s", connection.ConnectionID, connection.ProviderID, strings.Join(connection.Products, ", "))
	return nil
}

func (t *tour) restart(ctx context.Context) error {
	step("The application stops. A new process opens the same directory with the same key")
	if err := t.app.close(ctx); err != nil {
		return err
	}
	return t.open()
}

func (t *tour) call(ctx context.Context) error {
	step("It calls the APIs with an authenticated *http.Client for each account")
	for _, a := range accounts {
		client := t.app.managers[a.name].Client(a.name + "/alice")
		body, err := get(ctx, client, t.sandbox.Provider(a.provider).APIURLs[0]+a.path, http.StatusOK)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		say("%s: GET %s: 200, %s", a.name, a.path, excerpt(body))
	}
	return nil
}

func (t *tour) expire(ctx context.Context) error {
	step("The TaxRock token expires, and sixteen callers need one at the same moment")
	before := t.sandbox.Stats(endpoints.TaxRock).Refreshed
	source := t.app.managers["taxrock"].Source("taxrock/alice")
	token, err := source.TokenContext(ctx)
	if err != nil {
		return err
	}
	t.note(token)
	time.Sleep(time.Until(token.Expiry))

	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() {
			client := t.app.managers["taxrock"].Client("taxrock/alice")
			_, errs[i] = get(ctx, client, t.sandbox.Provider(endpoints.TaxRock).APIURLs[0]+"/client-accounts", http.StatusOK)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fresh, err := source.TokenContext(ctx)
	if err != nil {
		return err
	}
	t.note(fresh)
	if n := t.sandbox.Stats(endpoints.TaxRock).Refreshed - before; n != 1 || fresh.AccessToken == token.AccessToken {
		return fmt.Errorf("there were %d refreshes, not one", n)
	}
	say("16 calls answered, 1 refresh sent, with the audience that TaxRock wants; the new token is saved")
	return nil
}

func (t *tour) revoke(ctx context.Context) error {
	step("The employer disconnects the account at Finch")
	manager := t.app.managers["finch"]
	t.sandbox.RevokeAll(endpoints.Finch)
	company := t.sandbox.Provider(endpoints.Finch).APIURLs[0] + "/employer/company"
	if _, err := get(ctx, manager.Client("finch/alice"), company, http.StatusUnauthorized); err != nil {
		return err
	}
	say("the API answers 401, which is handed through and recorded")
	_, err := manager.Source("finch/alice").TokenContext(ctx)
	if !errors.Is(err, tokensource.ErrLoginRequired) {
		return fmt.Errorf("a revoked connection gave %v", err)
	}
	say("from then on: %v", err)
	status, err := manager.Status(ctx, "finch/alice")
	if err != nil {
		return err
	}
	if status.State != tokensource.StateLoginRequired {
		return fmt.Errorf("a revoked connection's state is %s", status.State)
	}
	say("its status, for a page or an alert: %s, %s, %s", status.State, status.Reason, status.ErrorCode)
	return nil
}

func (t *tour) search(ctx context.Context) error {
	step("Every file is searched for every token")
	files, size := 0, 0
	err := filepath.WalkDir(t.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files, size = files+1, size+len(content)
		for token := range t.tokens {
			for _, form := range []string{token, url.QueryEscape(token), hex.EncodeToString([]byte(token)), base64.StdEncoding.EncodeToString([]byte(token))} {
				if bytes.Contains(content, []byte(form)) {
					return fmt.Errorf("a token stands in %s", path)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(t.tokens) < 5 || files == 0 {
		return errors.New("there was nothing to look for")
	}
	say("%d tokens, %d files, %d bytes: none found", len(t.tokens), files, size)
	return nil
}

// get fetches a URL and returns the body, if the status is the one wanted.
func get(ctx context.Context, client *http.Client, url string, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("the answer is %s, not %d", resp.Status, want)
	}
	return body, nil
}

// excerpt is the beginning of an API's answer, on one line.
func excerpt(body []byte) string {
	var line bytes.Buffer
	if json.Compact(&line, body) != nil {
		return "an answer of " + fmt.Sprint(len(body)) + " bytes"
	}
	const most = 70
	if s := line.String(); len(s) <= most {
		return s
	}
	return line.String()[:most] + "…"
}
