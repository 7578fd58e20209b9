package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
	"github.com/oauth2keep/oauth2keep/storage"
)

// finding is what one check of the doctor has found.
type finding struct {
	Check string `json:"check"`
	Level level  `json:"level"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"`
}

type level string

const (
	levelOK      level = "ok"
	levelNote    level = "note"    // worth knowing
	levelProblem level = "problem" // has to be repaired
)

// doctor is one examination.
type doctor struct {
	a       *app
	offline bool
	found   []finding
}

func (a *app) doctorCommand() *cobra.Command {
	d := &doctor{a: a}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong with configuration, keys, store, records and clock",
		Long: `Looks at the configuration, the clients and their secrets, the keys, the store and its settings, at every record,
and at the clock, and says what to do about what is wrong. It changes nothing, and sends no token. To compare
the clock it asks the configured providers for the time, unless --offline is given.

The exit code is 0 if there is no problem, and otherwise that of the first: 5 for the configuration, 6 for keys, store
and records, 1 for the clock.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return d.examine(c.Context()) },
	}
	c.Flags().BoolVar(&d.offline, "offline", false, "don't ask providers for the time")
	return c
}

// examine runs all checks. Each finding is told at once.
func (d *doctor) examine(ctx context.Context) error {
	d.checkConfig()
	d.checkClients(ctx)
	keys := d.checkKeys(ctx)
	if store := d.checkStore(ctx); store != nil {
		d.checkRecords(ctx, store, keys)
	}
	if !d.offline {
		d.checkClock(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, f := range d.found {
		if f.Level == levelProblem {
			return &failure{code: exitOfCheck[f.Check], err: errors.New("")}
		}
	}
	return nil
}

var exitOfCheck = map[string]int{"config": exitSetup, "client": exitSetup, "keys": exitStore, "store": exitStore, "records": exitStore, "clock": exitFailure}

// tell prints a finding.
func (d *doctor) tell(check string, l level, do, format string, args ...any) {
	f := finding{check, l, escaped(fmt.Sprintf(format, args...)), do}
	d.found = append(d.found, f)
	if d.a.options.json {
		json.NewEncoder(d.a.out).Encode(f)
		return
	}
	text := strings.ReplaceAll(f.Text, "\n", "\n                   ")
	fmt.Fprintf(d.a.out, "%-8s %-8s  %s\n", f.Level, f.Check, text)
	if do != "" {
		fmt.Fprintf(d.a.out, "                   what to do: %s\n", do)
	}
}

// trouble prints an error as a problem.
func (d *doctor) trouble(check string, err error) {
	_, do := exitCode(err)
	d.tell(check, levelProblem, do, "%s", explain(err, d.a.now()))
}

func (d *doctor) checkConfig() {
	known, err := d.a.config()
	if err != nil {
		d.trouble("config", err)
		return
	}
	if _, err := os.Stat(known.path); err != nil {
		d.tell("config", levelNote, "", "there is no configuration file %s", known.path)
		return
	}
	d.tell("config", levelOK, "", "%s, clients: %d", known.path, len(known.Clients))
}

func (d *doctor) checkClients(ctx context.Context) {
	if d.a.loaded == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(d.a.loaded.Clients)) {
		own := d.a.loaded.Clients[name]
		p, err := own.provider()
		if err != nil {
			d.tell("client", levelProblem, "oauth2keep client set "+quoted(name)+" …", "%s: %s", printable(name), explain(err, d.a.now()))
			continue
		}
		secret, err := d.a.secret(ctx, name, own)
		if err == nil {
			_, err = own.oauth(p, secret, "", d.a.loaded.dir())
		}
		switch {
		case err != nil:
			_, do := exitCode(err)
			d.tell("client", levelProblem, do, "%s: %s", printable(name), explain(err, d.a.now()))
		case len(p.APIURLs) == 0:
			d.tell("client", levelNote, "oauth2keep client set "+quoted(name)+" --api-url https://…", "%s, at %s: its definition has no API, so that tokens are sent nowhere", printable(name), own.providerName())
		case secret == "" && needsSecret(p) && own.SigningKey == "":
			d.tell("client", levelNote, "", "%s, at %s, has no secret", printable(name), own.providerName())
		case own.SigningKey == "" && signs(p):
			d.tell("client", levelNote, "oauth2keep client set "+quoted(name)+" --signing-key file:PATH", "%s, at %s, has no signing key", printable(name), own.providerName())
		default:
			d.tell("client", levelOK, "", "%s, at %s", printable(name), own.providerName())
		}
	}
}

func (d *doctor) checkKeys(ctx context.Context) *storage.Keyset {
	keys, err := d.existingKeys(ctx)
	if err != nil {
		d.trouble("keys", err)
		return nil
	}
	if keys == nil {
		d.tell("keys", levelNote, "", "there is no key yet; the first login makes one")
		return nil
	}
	names := keys.Fingerprints()
	text := names[0]
	if len(names) > 1 {
		text += " seals; old keys: " + strings.Join(names[1:], ", ")
	}
	d.tell("keys", levelOK, "", "%s", text)
	return keys
}

// existingKeys returns the keys, or nil if the command's own were never made: looking must not
// make them.
func (d *doctor) existingKeys(ctx context.Context) (*storage.Keyset, error) {
	if own, ofStore := d.a.keystore(); ofStore {
		if _, err := os.Stat(own.Dir); errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
	}
	return d.a.keys(ctx)
}

// patience is how long a server may take until it counts as one that can't be reached.
const patience = 15 * time.Second

func (d *doctor) checkStore(ctx context.Context) *opened {
	s, err := d.a.storeSpec()
	if err != nil {
		d.trouble("store", err)
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	store, err := d.a.openStore(limited, s, false)
	if errors.Is(err, errNoStore) && s.standard {
		d.tell("store", levelNote, "oauth2keep login CLIENT/ACCOUNT makes it", "there is no store yet at %s", s)
		return nil
	}
	if err != nil {
		d.trouble("store", err)
		return nil
	}
	if err := d.checkMode(s); err != nil {
		d.tell("store", levelProblem, "", "%s", explain(err, d.a.now()))
	}
	list, err := store.lister()
	began := time.Now()
	if err == nil {
		for _, err = range list.Names(limited) {
			break
		}
	}
	took := time.Since(began).Round(time.Millisecond)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		d.tell("store", levelProblem, "look at the server and the network on the way to it", "%s didn't answer within %s", s, patience)
		return nil
	case err != nil:
		d.trouble("store", asStoreFailure(err, s))
		return nil
	}
	if store.check != nil {
		if err := store.check(limited); err != nil {
			d.tell("store", levelProblem, "", "%s: %s", s, explain(err, d.a.now()))
			return store
		}
	}
	d.tell("store", levelOK, "", "%s, answered in %s", s, took)
	return store
}

// checkMode finds a directory or file that is open to others. The records are sealed, but who can
// write them can delete them or put old ones back.
func (d *doctor) checkMode(s address) error {
	if s.path == "" || runtime.GOOS == "windows" {
		return nil
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	return safefile.Check(s.path, info, safefile.Secret)
}
