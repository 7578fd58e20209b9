// Peers measures this module beside the libraries that do the nearest to what it does:
// golang.org/x/oauth2, Google's cloud.google.com/go/auth, and the credentials cache and
// the bearer signer of AWS. All sides take turns in one run, and the table says of which
// versions and machine its figures are. bench/README.md explains the rows.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"
)

// options are what the command line says.
type options struct {
	rounds int           // turns of each side
	turn   time.Duration // how long a turn is at least, unless a row says what it is
	herd   int           // callers
	idle   int           // connections
	dir    string        // where Dir's records are put, in a directory that is removed
	run    string        // a regular expression: the rows to measure
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 51, "how many turns each side gets")
	flag.DurationVar(&o.turn, "turn", 50*time.Millisecond, "how long a turn is, at least")
	flag.IntVar(&o.herd, "herd", 10_000, "how many callers wait for one token")
	flag.IntVar(&o.idle, "idle", 100_000, "how many idle connections are held")
	flag.StringVar(&o.dir, "dir", "", "a directory on the disk that is to be measured (default: the one for temporary files)")
	flag.StringVar(&o.run, "run", "", "a regular expression: measure the rows whose name matches only")
	flag.Parse()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run measures, and prints the table to w.
func run(ctx context.Context, o options, w io.Writer) error {
	wanted, err := regexp.Compile(o.run)
	if err != nil {
		return err
	}
	world, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer world.close()
	rows, err := world.rows()
	if err != nil {
		return err
	}
	var lines []line
	for _, r := range rows {
		if !wanted.MatchString(r.name) {
			continue
		}
		got, err := r.measure(o.rounds, o.turn)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		lines = append(lines, got...)
	}
	if wanted.MatchString(idleRow) {
		got, err := world.measureIdle(o.idle)
		if err != nil {
			return fmt.Errorf("%s: %w", idleRow, err)
		}
		lines = append(lines, got...)
	}
	fmt.Fprintf(w, "%s\n\n%s\n", machine(), versions())
	printTable(w, lines)
	return nil
}
