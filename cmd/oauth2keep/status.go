package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

func (a *app) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status [CONNECTION...]",
		Short: "Tell how connections are doing, and what to do",
		Long: `Tells how connections are doing: the state, why and since when, the next try, when the token expires, and what
to do. Nothing is asked of a provider.

Without a name it counts the connections of the store by state and reason. With names, the exit code is that
of the first of them that has trouble: 3 if a login is required, 4 if it is tried again later, and so on.`,
		ValidArgsFunction: a.completeConnections,
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			in, err := a.inspect(ctx)
			switch {
			case err != nil && len(args) == 0:
				return a.emptyIfNew(err)
			case err != nil:
				return err
			case len(args) == 0:
				return a.summarize(ctx, in)
			}
			return a.showStatus(ctx, in, args)
		},
	}
	return c
}

// showStatus tells about each connection. Its error has the exit code, and no text.
func (a *app) showStatus(ctx context.Context, in *inspector, names []string) error {
	code := exitOK
	for i, name := range names {
		c, found, err := in.look(ctx, name)
		if err != nil {
			return err
		}
		if !found {
			c = connection{Status: tokensource.Status{Connection: name, State: tokensource.StateLoginRequired, Reason: tokensource.ReasonNotConnected}}
		}
		code = cmp.Or(code, exitFor(c.Status))
		if a.options.json {
			err = json.NewEncoder(a.out).Encode(c.asJSON(a.now()))
		} else {
			err = c.write(a.out, a.now(), i > 0)
		}
		if err != nil {
			return err
		}
	}
	if code != exitOK {
		return &failure{code: code, err: errors.New("")}
	}
	return nil
}

// write tells about a connection on several lines.
func (c connection) write(w io.Writer, now time.Time, more bool) error {
	var b strings.Builder
	if more {
		b.WriteByte('\n')
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-14s "+format+"\n", append([]any{name}, args...)...)
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			line(name, "%s (%s)", t.Local().Format(time.DateTime), relative(t, now))
		}
	}
	state := string(c.State)
	if c.Reason == tokensource.ReasonNotConnected {
		state = "not connected"
	}
	fmt.Fprintf(&b, "%s: %s\n", printable(c.Connection), state)
	if c.Reason != "" {
		why := adviceFor(c.Reason).meaning
		if c.ErrorCode != "" {
			why += " (the provider's code is " + printable(c.ErrorCode) + ")"
		}
		line("why", "%s", why)
		if c.err != nil {
			line("", "%s", strings.ReplaceAll(explain(c.err, now), "\n", " "))
		}
		at("since", c.FailedAt)
		if c.Failures > 1 {
			line("failures", "%d in a row", c.Failures)
		}
		at("next try", c.NextTry)
		line("what to do", "%s", adviceFor(c.Reason).actFor(c.Connection))
	}
	if c.err == nil && c.Reason != tokensource.ReasonNotConnected {
		line("client", "%s", c.ownerWords())
		c.writeToken(line, at, now)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c connection) writeToken(line func(name, format string, args ...any), at func(string, time.Time), now time.Time) {
	at("connected", c.Login)
	if c.Expiry.IsZero() {
		line("token", "doesn't expire")
	} else {
		at("token expires", c.Expiry)
	}
	if c.Refreshable {
		at("refreshed", c.Obtained)
	} else {
		line("refresh", "not possible: there is no refresh token")
	}
	if !c.RefreshTokenExpiry.IsZero() {
		at("login ends", c.RefreshTokenExpiry)
	}
	if c.NoRefreshToken {
		line("note", "the last login came without a refresh token, though the one before had one: some providers send one at the first consent only")
	}
	at("recovered", c.Recovered)
}

// statusLine is a connection as JSON. Times are RFC 3339 in UTC.
type statusLine struct {
	Connection string             `json:"connection"`
	State      tokensource.State  `json:"state"`
	Sick       bool               `json:"sick"`
	Reason     tokensource.Reason `json:"reason,omitempty"`
	ErrorCode  string             `json:"error_code,omitempty"`
	Error      string             `json:"error,omitempty"`
	FailedAt   time.Time          `json:"failed_at,omitzero"`
	Failures   int                `json:"failures,omitempty"`
	NextTry    time.Time          `json:"next_try,omitzero"`
	Recovered  time.Time          `json:"recovered,omitzero"`
	Action     string             `json:"action,omitempty"`
	Exit       int                `json:"exit"`

	Login              time.Time `json:"login,omitzero"`
	Obtained           time.Time `json:"obtained,omitzero"`
	Expiry             time.Time `json:"expiry,omitzero"`
	Refreshable        bool      `json:"refreshable"`
	RefreshTokenIssued time.Time `json:"refresh_token_issued,omitzero"`
	RefreshTokenExpiry time.Time `json:"refresh_token_expiry,omitzero"`
	NoRefreshToken     bool      `json:"no_refresh_token,omitempty"`

	Client    string `json:"client,omitempty"`
	Issuer    string `json:"issuer,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TwoLegged bool   `json:"two_legged,omitempty"`
}

func (c connection) asJSON(now time.Time) statusLine {
	l := statusLine{
		Connection: c.Connection, State: c.State, Sick: isSick(c.Status), Exit: exitFor(c.Status),
		Reason: c.Reason, ErrorCode: c.ErrorCode, FailedAt: c.FailedAt.UTC(), Failures: c.Failures,
		NextTry: c.NextTry.UTC(), Recovered: c.Recovered.UTC(),
		Login: c.Login.UTC(), Obtained: c.Obtained.UTC(), Expiry: c.Expiry.UTC(),
		Refreshable: c.Refreshable, RefreshTokenIssued: c.RefreshTokenIssued.UTC(),
		RefreshTokenExpiry: c.RefreshTokenExpiry.UTC(), NoRefreshToken: c.NoRefreshToken,
		Client: c.client, Issuer: c.owner.Issuer, ClientID: c.owner.ClientID, TwoLegged: c.owner.TwoLegged,
	}
	if c.Reason != "" {
		l.Action = adviceFor(c.Reason).actFor(c.Connection)
	}
	if c.err != nil {
		l.Error = explain(c.err, now)
	}
	return l
}

// group is what a summary counts as one.
type group struct {
	State  tokensource.State  `json:"state"`
	Reason tokensource.Reason `json:"reason,omitempty"`
}

// summarize counts the connections by state and reason.
func (a *app) summarize(ctx context.Context, in *inspector) error {
	counts, examples, total := make(map[group]int), make(map[group]string), 0
	progress := a.progress("connections looked at")
	for c, err := range in.all(ctx, "") {
		if err != nil {
			progress.stop()
			return a.ofStore(err)
		}
		g := group{c.State, c.Reason}
		if counts[g]++; counts[g] == 1 || c.Connection < examples[g] {
			examples[g] = c.Connection
		}
		total++
		progress.count()
	}
	progress.stop()
	order := slices.SortedFunc(maps.Keys(counts), func(x, y group) int {
		return cmp.Or(cmp.Compare(slices.Index(allStates, x.State), slices.Index(allStates, y.State)), cmp.Compare(x.Reason, y.Reason))
	})
	out := bufio.NewWriter(a.out)
	for _, g := range order {
		if a.options.json {
			if err := json.NewEncoder(out).Encode(struct {
				group
				Count   int    `json:"count"`
				Example string `json:"example"`
				Action  string `json:"action,omitempty"`
			}{g, counts[g], examples[g], a.groupAction(g)}); err != nil {
				return err
			}
			continue
		}
		words := string(g.State)
		if g.Reason != "" {
			words += ": " + string(g.Reason)
		}
		fmt.Fprintf(out, "%8s  %s\n", number(counts[g]), words)
		if g.Reason != "" {
			fmt.Fprintf(out, "%10s%s; for instance %s\n%10swhat to do: %s\n", "", adviceFor(g.Reason).meaning, printable(examples[g]), "", a.groupAction(g))
		}
	}
	if !a.options.json {
		fmt.Fprintf(out, "%8s  in all\n", number(total))
	}
	return out.Flush()
}

func (a *app) groupAction(g group) string {
	if g.Reason == "" {
		return ""
	}
	return adviceFor(g.Reason).actFor("")
}
