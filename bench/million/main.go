// Million measures this module on a table of very many connections: how long it takes,
// and how much memory, to open the table, to read every token with a new Manager, to
// sweep over all with Manager.Run, and to seal all with a new key by Rekey. Beside each
// it measures the bare driver at the same reads and writes, in the same run. It runs on
// Unix systems.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are what the command line says.
type options struct {
	n      int
	engine string
	dsn    string // of a PostgreSQL that is there; otherwise one is started
	dir    string // where the data is put, in a directory that is removed
	only   string // phases, with commas between them; all if empty
}

func main() {
	var o options
	flag.IntVar(&o.n, "n", 1_000_000, "how many connections")
	flag.StringVar(&o.engine, "engine", "sqlite", "postgres or sqlite")
	flag.StringVar(&o.dsn, "dsn", "", "a PostgreSQL to use, in place of one that is started from what is installed")
	flag.StringVar(&o.dir, "dir", "", "a directory for the data, on the disk that is to be measured (default: the one for temporary files)")
	flag.StringVar(&o.only, "only", "", "phases to measure, with commas between them: "+strings.Join(phases(), ", "))
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if _, err := run(ctx, o, os.Stdout); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "million:", err)
		os.Exit(1)
	}
}

// run makes the table, measures, and prints the figures to w.
func run(ctx context.Context, o options, w io.Writer) (*report, error) {
	if o.n < 1 {
		return nil, errors.New("-n must be at least 1")
	}
	for phase := range strings.SplitSeq(o.only, ",") {
		if o.only != "" && !slices.Contains(phases(), phase) {
			return nil, fmt.Errorf("there is no phase %q: there are %s", phase, strings.Join(phases(), ", "))
		}
	}
	dir, err := os.MkdirTemp(o.dir, "million")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	e, err := open(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	defer e.close()

	r := &report{options: o}
	if r.settings, err = e.settings(ctx); err != nil {
		return nil, err
	}
	if err := r.measure(ctx, e, w); err != nil {
		return nil, err
	}
	r.print(w)
	return r, nil
}

func open(ctx context.Context, o options, dir string) (engine, error) {
	switch {
	case o.engine == "postgres":
		return openPostgres(ctx, o.dsn, dir)
	case o.engine == "sqlite" && o.dsn == "":
		return openSQLite(dir), nil
	}
	return nil, fmt.Errorf("there is no engine %q with these flags: use postgres or sqlite, and -dsn with postgres only", o.engine)
}
