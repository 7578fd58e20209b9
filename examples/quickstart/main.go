// Command quickstart shows what oauth2keep does, step by step.
//
// Without flags it needs nothing: it starts a server that acts as Finch, Chart and
// TaxRock, connects an account at each through the consent page, keeps their tokens
// encrypted in one store, starts again as a new process would, calls the APIs, lets a
// token expire and a grant be revoked, and disconnects. It exits with 0 only if every step
// held.
//
//	go run ./examples/quickstart
//
// With -provider it connects an account at a real provider, starts again, and calls its
// API. The client's id and secret come from the environment, and the redirect URL must be
// registered with the provider:
//
//	CLIENT_ID=… CLIENT_SECRET=… go run ./examples/quickstart -provider finch -scopes "company directory"
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	var own realAccount
	flag.StringVar(&own.provider, "provider", "", "connect an account at a real `provider`: "+known()+"; the client's id and secret are CLIENT_ID and CLIENT_SECRET in the environment")
	flag.StringVar(&own.redirectURL, "redirect", "http://localhost:8080/callback", "the redirect URL that is registered with the provider")
	flag.StringVar(&own.scopes, "scopes", "", "what to ask for, separated by spaces: Finch's products, TaxRock's scopes")
	flag.StringVar(&own.dir, "dir", "", "where to keep the key and the tokens (default a directory that is deleted at the end)")
	flag.StringVar(&own.path, "path", "/introspect", "the path of the provider's API to call; TaxRock has no /introspect, so give another")
	flag.BoolVar(&own.disconnect, "disconnect", false, "disconnect the account at the end, and revoke the grant if the provider can")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second interrupt ends the program at once
	run := runSandbox
	if own.provider != "" {
		run = own.run
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// step begins a step of the tour.
func step(format string, args ...any) { fmt.Printf("\n● "+format+"\n", args...) }

// say tells what happened.
func say(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }
