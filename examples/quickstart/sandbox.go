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
	"github.com/oauth2keep/oauth2keep/endpoints/finch"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// lifetime is how long the sandbox's TaxRock tokens live: long enough to see one
// work, short enough to wait for its end.
const lifetime = 2 * time.Second

// account is what the tour connects at a provider.
type account struct {
	name     string
	provider endpoints.Provider
	scopes   []string
	path     string // of an API call

	noRevocation bool // the provider documents no way to revoke a grant, and the tour uses none
}

var accounts = []account{
	{"finch", endpoints.Finch, []string{"company", "directory"}, "/employer/company", false},
	{"chart", endpoints.Chart, nil, "/tax-payer", false},
	{"taxrock", endpoints.TaxRock, nil, "/client-accounts", true},
}

// tour is a run against the sandbox server.
type tour struct {
	dir     string
	sandbox *endpointstest.Server
	app     *application
	origin  string

	mu     sync.Mutex      // guards tokens
	tokens map[string]bool // every token that was ever issued to the application
}

func runSandbox(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "oauth2keep")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sandbox, err := endpointstest.StartProgram()
	if err != nil {
		return err
	}
	defer sandbox.Close()
	t := &tour{dir: dir, sandbox: sandbox, tokens: make(map[string]bool)}
	policy := sandbox.Policy(endpoints.TaxRock)
	policy.AccessLifetime = lifetime
	sandbox.SetPolicy(endpoints.TaxRock, policy)

	for _, act := range []func(context.Context) error{
		t.start, t.connect, t.share, t.restart, t.call, t.expire, t.revoke, t.search, t.disconnect,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	if err := t.app.close(ctx); err != nil {
		return err
	}
	fmt.Println("\nEvery step held. The code to look at is examples/quickstart/application.go.")
	return nil
}

func (t *tour) start(context.Context) (err error) {
	step("A server acts as the three providers, on this machine and with made-up accounts")
	for _, a := range accounts {
		p := t.sandbox.Provider(a.provider)
		say("%-8s token endpoint %s", p.Name, p.Endpoint.TokenURL)
	}
	step("The application starts, with a new key and an empty directory for all tokens")
	return t.open()
}

// open starts the application on t.dir, with a port of its own.
func (t *tour) open() (err error) {
	if t.app, err = openApplication(t.dir); err != nil {
		return err
	}
	t.app.connected, t.app.happened = t.connected, t.happened
	if t.origin, err = t.app.listen("127.0.0.1:0"); err != nil {
		return err
	}
	for _, a := range accounts {
		client := t.sandbox.Config(a.provider, t.origin+"/callback/"+a.name)
		client.Scopes = a.scopes
		provider := t.sandbox.Provider(a.provider)
		if a.noRevocation {
			provider.RevokeURL = ""
		}
		t.app.add(a.name, provider.Config(client), "/callback/"+a.name)
	}
	say("listening on %s", t.origin)
	return nil
}

func (t *tour) connected(name string, token *oauth2.Token, err error) {
	if err != nil {
		say("%s: nothing is sent or saved: %v", name, err)
		return
	}
	t.note(token)
	expires := "doesn't expire"
	if !token.Expiry.IsZero() {
		expires = "expires in " + time.Until(token.Expiry).Round(time.Second).String()
	}
	say("%s: code exchanged, and the token saved, which %s", name, expires)
}

// happened prints what an application may want to know: OnEvent calls it.
func (t *tour) happened(e tokensource.Event) {
	if e.Kind != tokensource.EventSaved { // connected has told it
		say("event: %s: %s", e.Connection, e.Kind)
	}
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
	var reload func() error
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
		reload = func() error {
			_, err := get(ctx, browser, callback.String(), http.StatusOK)
			return err
		}
		if err := reload(); err != nil {
			return fmt.Errorf("the callback of %s: %w", a.name, err)
		}
	}
	step("The user reloads the last page: the code in its URL isn't sent again")
	before := t.sandbox.Stats(endpoints.TaxRock).Exchanged
	if err := reload(); err != nil {
		return err
	}
	if t.sandbox.Stats(endpoints.TaxRock).Exchanged != before {
		return errors.New("the code was sent again")
	}
	return nil
}

// share shows what is in the one store.
func (t *tour) share(ctx context.Context) error {
	step("What the provider sent beside a token is kept with it")
	token, err := t.app.managers["finch"].Source(alice("finch")).TokenContext(ctx)
	if err != nil {
		return err
	}
	var connection finch.Connection
	if err := endpoints.Metadata(token, &connection); err != nil {
		return err
	}
	if connection.ConnectionID == "" || connection.ProviderID == "" {
		return errors.New("there is no metadata of Finch")
	}
	say("finch: connection %s, payroll provider %s, products %s", connection.ConnectionID, connection.ProviderID, strings.Join(connection.Products, ", "))
	step("One store holds all tokens, and gives each only to the provider that it is from")
	_, err = t.app.managers["chart"].Source(alice("finch")).TokenContext(ctx)
	if e := (*tokensource.Error)(nil); !errors.As(err, &e) || e.Reason != tokensource.ReasonOtherClient {
		return fmt.Errorf("asked for Finch's token, Chart's manager says %v", err)
	}
	say("Chart's manager, asked for Finch's: %v", err)
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
		client := t.app.managers[a.name].Client(alice(a.name))
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
	source := t.app.managers["taxrock"].Source(alice("taxrock"))
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
			client := t.app.managers["taxrock"].Client(alice("taxrock"))
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
	say("16 calls answered, 1 refresh sent, and the new token saved before it was used")
	return nil
}

func (t *tour) revoke(ctx context.Context) error {
	step("The user disconnects the account at Finch. The application isn't told, and calls the API")
	manager := t.app.managers["finch"]
	t.sandbox.RevokeAll(endpoints.Finch)
	company := t.sandbox.Provider(endpoints.Finch).APIURLs[0] + "/employer/company"
	if _, err := get(ctx, manager.Client(alice("finch")), company, http.StatusUnauthorized); err != nil {
		return err
	}
	say("that call was answered 401, which its caller gets too, and which is recorded")
	_, err := manager.Source(alice("finch")).TokenContext(ctx)
	if !errors.Is(err, tokensource.ErrLoginRequired) {
		return fmt.Errorf("a revoked connection gave %v", err)
	}
	say("the next call isn't sent: %v", err)
	status, err := manager.Status(ctx, alice("finch"))
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
	step("Every file that the application wrote is searched for every token that it was given")
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
	say("%d tokens, %d files, %d bytes: no token found", len(t.tokens), files, size)
	return nil
}

func (t *tour) disconnect(ctx context.Context) error {
	step("The user disconnects the other accounts, in the application")
	for _, a := range accounts[1:] {
		revoked, err := t.app.disconnect(ctx, a.name)
		if err != nil {
			return err
		}
		if revoked == a.noRevocation || t.sandbox.Stats(a.provider).Revoked > 0 != revoked {
			return fmt.Errorf("the grant of %s: revoked is %v", a.name, revoked)
		}
		if revoked {
			say("%s: revoked at the provider, and deleted here", a.name)
		} else {
			say("%s: deleted here; its documentation has no way to revoke a grant, so the user has to end it there", a.name)
		}
	}
	page, err := get(ctx, http.DefaultClient, t.origin+"/connections", http.StatusOK)
	if err != nil {
		return err
	}
	if string(page) != "finch/alice login_required\n" {
		return fmt.Errorf("the page of connections shows %q", page)
	}
	say("the page of connections still shows: %s", bytes.TrimSpace(page))
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
