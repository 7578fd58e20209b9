package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// app is one run of the command.
type app struct {
	in       io.Reader
	out, err io.Writer
	reader   *bufio.Reader // of in
	now      func() time.Time

	// Of tests: what is typed without being shown, and the user's browser. Nil is the
	// terminal, and what package loopback opens.
	typed   func() (string, error)
	browser func(context.Context, string) error

	options options
	loaded  *config // nil until it is read
	mayInit bool    // the command may make a configuration

	mu       sync.Mutex
	managers []*tokensource.Manager // to be flushed
	closers  []func() error
}

// run makes the command one that waits for what is under way, and returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	// With this, a reader that has gone is an error of the write, and a refresh that is
	// under way is waited for all the same.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process
	a := &app{in: in, out: out, err: errs, now: time.Now}
	return a.run(ctx, args)
}

// run returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	err := a.execute(ctx, args)
	interrupted := ctx.Err() != nil
	if flushed := a.finish(interrupted); flushed != nil && err == nil {
		err = flushed
	} else if flushed != nil {
		a.say("%s", explain(flushed, a.now()))
	}
	return a.report(err)
}

// finish waits until no token is left that exists only in memory.
func (a *app) finish(interrupted bool) error {
	limit := 2 * time.Minute // a request that hangs, and a store that does
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	told := time.AfterFunc(2*time.Second, func() {
		words := "waiting until a refresh has ended and its token is saved"
		if interrupted {
			words += "; another Ctrl-C ends at once, and may lose the login"
		}
		a.say("%s", words)
	})
	defer told.Stop()
	a.mu.Lock()
	managers, closers := a.managers, a.closers
	a.mu.Unlock()
	var errs []error
	for _, m := range managers {
		if err := m.Flush(ctx); err != nil {
			errs = append(errs, &failure{code: exitStore, err: err})
		}
	}
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]() // whatever is stored is stored
	}
	return errors.Join(errs...)
}

// atEnd has f called when nothing is under way any more.
func (a *app) atEnd(f func() error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closers = append(a.closers, f)
}

// report tells an error, and returns the exit code.
func (a *app) report(err error) int {
	if isBrokenPipe(err) {
		return exitOK
	}
	code, do := exitCode(err)
	switch {
	case err == nil:
	case code == exitInterrupted:
		a.say("interrupted")
	case err.Error() != "": // that of a status has been shown
		a.say("%s", explain(err, a.now()))
		if do != "" {
			a.tell("  what to do: %s", do)
		}
	}
	return code
}

// say writes a line about what happens to standard error, and tell without the
// command's name.
func (a *app) say(format string, args ...any)  { a.tell("oauth2keep: "+format, args...) }
func (a *app) tell(format string, args ...any) { fmt.Fprintf(a.err, format+"\n", args...) }

// version is that of the module that the command was built of.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "unreleased"
}
