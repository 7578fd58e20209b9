package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
)

// printable returns a name as it can be shown: as it is, or quoted if it has anything in
// it that a terminal could obey or an eye could miss. Names come from the store, where
// anyone may have put them.
func printable(name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) || strings.ContainsAny(name, `"\`) || !isValid(name) {
		return strconv.Quote(name)
	}
	return name
}

func isValid(s string) bool { return strings.ToValidUTF8(s, "") == s }

// quoted returns a name as a shell takes it.
func quoted(name string) string {
	plain := !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/-_.:@+,=%", r)
	})
	if plain && isValid(name) {
		return name
	}
	if printable(name) == name || strings.ContainsAny(name, ` "\`) && escaped(name) == name {
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return strconv.Quote(name)
}

// escaped returns a text without control characters but ends of lines and tabs.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		switch {
		case r == '\n' || r == '\t' || unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ask asks a question on the terminal and returns the line that is typed.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(a.err, question)
	return waitFor(ctx, func() (string, error) {
		line, err := a.lines().ReadString('\n')
		if err != nil && !(errors.Is(err, io.EOF) && line != "") {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	})
}

// askSecret asks for a secret, which isn't shown as it is typed.
func (a *app) askSecret(ctx context.Context, question string) (string, error) {
	f, ok := a.in.(*os.File)
	if a.typed != nil {
		fmt.Fprintln(a.err, question)
		return a.typed()
	}
	if !ok || !isTerminal(f) {
		return "", usage("there is no terminal to ask for a secret at: name its source, by --secret file:PATH or --secret env:NAME, or pipe it into --secret stdin")
	}
	fmt.Fprint(a.err, question)
	defer fmt.Fprintln(a.err)
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", err
	}
	secret, err := waitFor(ctx, func() (string, error) {
		b, err := term.ReadPassword(int(f.Fd()))
		return string(b), err
	})
	if err != nil {
		term.Restore(int(f.Fd()), before)
	}
	return strings.TrimSpace(secret), err
}

// waitFor calls f, and returns earlier if ctx is done: what a user types can't be called
// off, and the process ends then.
func waitFor(ctx context.Context, f func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := f()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (a *app) lines() *bufio.Reader {
	if a.reader == nil {
		a.reader = bufio.NewReader(a.in)
	}
	return a.reader
}

// confirm asks before something that can't be undone.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !isTerminal(a.in) {
		return usage("this can't be undone, and there is no terminal to ask at: add --yes")
	}
	answer, err := a.ask(ctx, question+" [y/N] ")
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &failure{code: exitFailure, err: errors.New("nothing was done")}
}

// relative returns a time as people say it: "in 2h5m", "3d ago", "now".
func relative(t, now time.Time) string {
	switch d := t.Sub(now); {
	case t.IsZero():
		return "-"
	case d > -500*time.Millisecond && d < 500*time.Millisecond:
		return "now"
	case d < 0:
		return span(-d) + " ago"
	default:
		return "in " + span(d)
	}
}

// span returns a duration with at most two units.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute-500*time.Millisecond:
		return fmt.Sprintf("%ds", int(d.Round(time.Second)/time.Second))
	case d < 48*time.Hour:
		text := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	case d < 100*365*day:
		return fmt.Sprintf("%dd", int(d.Round(day)/day))
	}
	return "more than a century"
}

// number writes a count with commas.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
