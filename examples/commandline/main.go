// Command commandline is the program of docs/command-line-programs.md: it shows who its
// user is at GitLab, and has the user log in if that isn't known.
//
//	CLIENT_ID=… go run ./examples/commandline                  who am I?
//	CLIENT_ID=… go run ./examples/commandline -account work    and with this account?
//	CLIENT_ID=… go run ./examples/commandline -device          log in with a code, in a browser elsewhere
//	CLIENT_ID=… go run ./examples/commandline accounts
//	CLIENT_ID=… go run ./examples/commandline logout
//
// The client's id is that of an application at https://gitlab.com/-/user_settings/applications,
// not confidential, with the scope read_user and the redirect URI http://127.0.0.1/callback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce/loopback"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "commandline:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	account := flag.String("account", "me", "a `name` of yours for the account, if you have several")
	device := flag.Bool("device", false, "log in with a code, in a browser elsewhere")
	flag.Parse()
	if os.Getenv("CLIENT_ID") == "" {
		return errors.New("set CLIENT_ID to the id of an application at https://gitlab.com/-/user_settings/applications")
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return err
	}
	provider := endpoints.GitLab
	provider.Style.Auth = endpoints.PublicClient // what users can read is no secret
	config := provider.Config(oauth2.Config{
		ClientID:    os.Getenv("CLIENT_ID"), // a real program has it in its source
		RedirectURL: "http://127.0.0.1/callback",
		Scopes:      []string{"read_user"},
	})
	t, err := open(config, provider.APIURLs[0], filepath.Join(dir, "oauth2keep-commandline"))
	if err != nil {
		return err
	}
	if *device {
		t.login.Method = loopback.Device
	}
	switch flag.Arg(0) {
	case "":
		err = t.whoami(ctx, *account)
	case "accounts":
		err = t.accounts(ctx)
	case "logout":
		err = t.logout(ctx, *account)
	default:
		return errors.New("the commands are accounts and logout, or none")
	}
	return errors.Join(err, t.manager.Flush(context.WithoutCancel(ctx)))
}
