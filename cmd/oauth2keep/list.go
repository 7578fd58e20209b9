package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

func (a *app) listCommand() *cobra.Command {
	var namesOnly, sick bool
	var states []string
	c := &cobra.Command{
		Use:   "list [PREFIX]",
		Short: "List the connections in the store, of all clients",
		Long: `Lists the connections in the store, whose names begin with PREFIX if there is one. A connection of a
client that isn't configured here says whose it is. Nothing is asked of a provider.

A long list isn't sorted: it is written as the store yields it, however long it is.`,
		Example: `  oauth2keep list
  oauth2keep list --sick --json finch/ | jq -r .connection`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(c *cobra.Command, args []string) error {
			prefix := strings.Join(args, "")
			if namesOnly {
				return a.listNames(c, prefix)
			}
			for _, s := range states {
				if !slices.Contains(allStates, tokensource.State(s)) {
					return usage("--state is one of %s", joined(allStates))
				}
			}
			return a.list(c, prefix, func(s tokensource.Status) bool {
				return (!sick || isSick(s)) && (len(states) == 0 || slices.Contains(states, string(s.State)))
			})
		},
	}
	c.Flags().BoolVar(&namesOnly, "names", false, "list the names alone, for which no key is needed")
	c.Flags().BoolVar(&sick, "sick", false, "list only those that have trouble")
	c.Flags().StringSliceVar(&states, "state", nil, "list only those in this `state`; may be repeated")
	c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(toStrings(allStates), cobra.ShellCompDirectiveNoFileComp))
	return c
}

var allStates = []tokensource.State{
	tokensource.StateHealthy, tokensource.StateExpiring, tokensource.StateRefreshing, tokensource.StateUnsaved,
	tokensource.StateFailing, tokensource.StateLoginRequired, tokensource.StateUnreadable,
}

func toStrings[T ~string](values []T) (texts []string) {
	for _, v := range values {
		texts = append(texts, string(v))
	}
	return texts
}

func joined[T ~string](values []T) string { return strings.Join(toStrings(values), ", ") }

func (a *app) list(c *cobra.Command, prefix string, wanted func(tokensource.Status) bool) error {
	ctx := c.Context()
	in, err := a.inspect(ctx)
	if err != nil {
		return a.emptyIfNew(err)
	}
	out := bufio.NewWriter(a.out)
	t, examined := &table{out: out, now: a.now()}, 0
	for c, err := range in.all(ctx, prefix) {
		if err != nil {
			return errors.Join(a.ofStore(err), t.flush(), out.Flush())
		}
		examined++
		if !wanted(c.Status) {
			continue
		}
		if a.options.json {
			err = json.NewEncoder(out).Encode(c.asJSON(a.now()))
		} else {
			err = t.add(c)
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(t.flush(), out.Flush()); err != nil {
		return err
	}
	switch {
	case t.rows > 0 || a.options.json:
	case examined == 0:
		a.tell("No connection was found.")
	default:
		a.tell("Of %d connections, none is like that.", examined)
	}
	return nil
}

// emptyIfNew takes a store of the user's own that was never made for an empty one.
func (a *app) emptyIfNew(err error) error {
	if s, specErr := a.storeSpec(); specErr != nil || !s.standard || !errors.Is(err, errNoStore) {
		return err
	}
	if !a.options.json {
		a.tell("There is no connection yet. Make one with: oauth2keep login github/me --client-id ID")
	}
	return nil
}

func (a *app) listNames(c *cobra.Command, prefix string) error {
	store, err := a.store(c.Context(), false)
	if err != nil {
		return a.emptyIfNew(err)
	}
	list, err := store.lister()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.out)
	for name, err := range list.Names(c.Context()) {
		if err != nil {
			return errors.Join(a.ofStore(err), out.Flush())
		}
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if a.options.json {
			err = json.NewEncoder(out).Encode(map[string]string{"connection": name})
		} else {
			_, err = fmt.Fprintln(out, printable(name))
		}
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

// table writes rows. The first ones are held back for a moment, to be sorted and aligned:
// those of a person are few.
type table struct {
	out    io.Writer
	now    time.Time
	held   []connection
	begun  time.Time
	widths [3]int // zero until the first row is written
	rows   int
}

const (
	mostHeld    = 500
	longestHold = 2 * time.Second
)

func (t *table) add(c connection) error {
	if t.rows++; t.rows == 1 {
		t.begun = time.Now()
	}
	if t.widths[0] > 0 {
		return t.write(t.cells(c))
	}
	t.held = append(t.held, c)
	if len(t.held) < mostHeld && time.Since(t.begun) < longestHold {
		return nil
	}
	return t.flush()
}

// flush writes what was held back.
func (t *table) flush() error {
	if t.widths[0] > 0 || len(t.held) == 0 {
		return nil
	}
	slices.SortFunc(t.held, func(a, b connection) int { return strings.Compare(a.Connection, b.Connection) })
	rows := [][4]string{{"CONNECTION", "STATE", "EXPIRES", "CLIENT"}}
	for _, c := range t.held {
		rows = append(rows, t.cells(c))
	}
	for _, row := range rows {
		for i := range t.widths {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	t.held = nil
	for _, row := range rows {
		if err := t.write(row); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) cells(c connection) [4]string {
	state := string(c.State)
	if c.Reason != "" && c.State != tokensource.StateUnreadable {
		state += ": " + string(c.Reason)
	}
	return [4]string{printable(c.Connection), state, c.expiryWords(t.now), c.ownerWords()}
}

func (t *table) write(row [4]string) error {
	_, err := fmt.Fprintf(t.out, "%-*s  %-*s  %-*s  %s\n", t.widths[0], row[0], t.widths[1], row[1], t.widths[2], row[2], row[3])
	return err
}

func (c connection) expiryWords(now time.Time) string {
	switch {
	case c.State == tokensource.StateUnreadable, c.State == tokensource.StateLoginRequired:
		return "-"
	case c.Expiry.IsZero():
		return "never"
	}
	return relative(c.Expiry, now)
}
