package main

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/pkce/loopback"
)

// consent has the user consent, in one of three ways, and returns the token.
func (a *app) consent(ctx context.Context, name string, conf *endpoints.Config, own *client, f *loggingIn) (*oauth2.Token, error) {
	opts, err := f.options(own)
	if err != nil {
		return nil, err
	}
	if f.paste || own.RedirectURL != "" && !isLoopback(own.RedirectURL) && !f.device {
		if conf.RedirectURL() == "" {
			return nil, usage("--paste needs the --redirect-url that is registered with the provider")
		}
		return a.pasted(ctx, name, conf, opts, f)
	}
	login := loopback.Login{
		Config: conf, Program: "oauth2keep", Options: opts, Timeout: f.limit,
		Show: func(p loopback.Prompt) { fmt.Fprint(a.err, p) }, OpenBrowser: openBrowser,
	}
	if a.browser != nil {
		login.OpenBrowser = a.browser
	}
	if f.device {
		login.Method = loopback.Device
	}
	if f.noBrowser {
		login.OpenBrowser = loopback.NoBrowser
		if !f.device {
			login.Method = loopback.Browser
		}
	}
	return login.Token(ctx)
}

// openBrowser opens a page in the program that $BROWSER names, on any system, or in the
// user's browser.
func openBrowser(ctx context.Context, page string) error {
	path, err := exec.LookPath(os.Getenv("BROWSER"))
	if err != nil {
		return loopback.OpenBrowser(ctx, page)
	}
	cmd := exec.Command(path, page)
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Wait()
}

// isLoopback reports whether a redirect URL leads to this machine.
func isLoopback(redirectURL string) bool {
	u, err := url.Parse(redirectURL)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// pasted has the user paste the URL that the browser ends up at.
func (a *app) pasted(ctx context.Context, name string, conf *endpoints.Config, opts []oauth2.AuthCodeOption, f *loggingIn) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, f.limit)
	defer cancel()
	s := &pkce.Session{Connection: name, Expiry: time.Now().Add(f.limit)}
	consentURL, err := s.Authorize(ctx, conf, opts...)
	if err != nil {
		return nil, err
	}
	if !f.noBrowser {
		go openBrowser(ctx, consentURL) // the URL is shown all the same
	}
	a.tell("Open this page in a browser:\n\n  %s\n\nIt sends you to %s, and what is shown there doesn't matter.", consentURL, conf.RedirectURL())
	for {
		line, err := a.ask(ctx, "Paste the URL of the page that you end up at: ")
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(strings.TrimSpace(line))
		if err != nil || u.RawQuery == "" {
			a.tell("That isn't the whole URL, which has a question mark with a code after it.")
			continue
		}
		// The code is spent by this: the token must get here, whatever the user presses.
		return s.Exchange(context.WithoutCancel(ctx), conf, u.Query())
	}
}
