// Command webapp is a small web application on oauth2keep: its users connect accounts at
// providers, see how their connections are doing, call the providers' APIs and disconnect.
//
//	go run ./examples/webapp
//
// prints one URL. It needs no account and no network: a sandbox on this machine acts as
// Finch, Chart, TaxRock and Zendesk, and lets one try what goes wrong. README.md tells what
// to look at, in the browser and in the code.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:8080", "the `address` to serve; port 0 takes any that is free")
	flag.StringVar(&s.url, "url", "", "the `URL` under which browsers reach the application, if that isn't the address; with https cookies are for https alone")
	flag.StringVar(&s.cert, "cert", "", "serve https with this certificate `file`; a proxy can do so instead")
	flag.StringVar(&s.key, "key", "", "the certificate's private key `file`")
	flag.StringVar(&s.data, "data", "", "the `directory` of the key and the SQLite file, made if it isn't there (default a new one, which is deleted at the end)")
	flag.StringVar(&s.postgres, "postgres", "", "keep tokens and sessions in PostgreSQL at this `URL` instead of SQLite; the password may be in PGPASSWORD or ~/.pgpass")
	flag.StringVar(&s.providers, "provider", "", "connect to real providers instead of the sandbox: a `list` of "+knownProviders()+", with commas. Each client's id and secret are in the environment, such as FINCH_CLIENT_ID and FINCH_CLIENT_SECRET; its redirect URL is URL/callback/finch")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second signal ends the program at once
	if err := run(ctx, s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "webapp:", err)
		os.Exit(1)
	}
}

// run serves the application until ctx is done, and prints its URL to out.
func run(ctx context.Context, s settings, out io.Writer) (err error) {
	s.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if s.data == "" {
		if s.providers != "" {
			return fmt.Errorf("say with -data where to keep the key, without which the tokens of -provider are lost")
		}
		if s.data, err = os.MkdirTemp("", "webapp"); err != nil {
			return err
		}
		defer os.RemoveAll(s.data)
	}
	l, err := listen(&s)
	if err != nil {
		return err
	}
	a, err := open(ctx, s)
	if err != nil {
		l.Close()
		return err
	}
	fmt.Fprintln(out, s.url)
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(l) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	if closed := a.close(context.WithoutCancel(ctx)); err == nil {
		err = closed
	}
	return err
}

// listen opens the port, and completes the URL.
func listen(s *settings) (net.Listener, error) {
	var secure *tls.Config
	scheme := "http://"
	if s.cert != "" || s.key != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, fmt.Errorf("-cert and -key: %w", err)
		}
		secure, scheme = &tls.Config{Certificates: []tls.Certificate{pair}}, "https://"
	}
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return nil, fmt.Errorf("%w: choose another address with -listen, such as 127.0.0.1:0", err)
	}
	if s.url == "" {
		s.url = scheme + l.Addr().String()
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	return l, nil
}
