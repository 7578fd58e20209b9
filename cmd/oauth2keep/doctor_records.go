package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// defect is a group of records that can't be read, for one cause.
type defect struct {
	count    int
	examples []string
}

const mostExamples = 3

// checkRecords opens every record.
func (d *doctor) checkRecords(ctx context.Context, store *opened, keys *storage.Keyset) {
	if keys == nil {
		d.tell("records", levelNote, "", "can't be opened without the keys")
		return
	}
	in, err := d.a.inspectorOf(storage.Encrypt(store.Store, keys))
	if err != nil {
		return // told by checkConfig
	}
	defects := make(map[string]*defect)
	var total, sick, unknown, early int
	var firstEarly string
	p := d.a.progress("records examined")
	for c, err := range in.all(ctx, "") {
		if err != nil {
			p.stop()
			d.trouble("records", d.a.ofStore(err))
			return
		}
		p.count()
		total++
		switch {
		case c.State == tokensource.StateUnreadable:
			cause := d.cause(c)
			if defects[cause] == nil {
				defects[cause] = &defect{}
			}
			defects[cause].add(c.Connection)
			continue
		case isSick(c.Status):
			sick++
		}
		if c.client == "" {
			unknown++
		}
		if c.Obtained.After(d.a.now().Add(clockTolerance)) {
			if early++; firstEarly == "" {
				firstEarly = c.Connection
			}
		}
	}
	p.stop()
	d.tellRecords(defects, total, sick, unknown)
	if early > 0 {
		d.tell("clock", levelProblem, "set the clocks by NTP, on this machine and on those that refresh tokens",
			"%s of the tokens were issued in the future, by this machine's clock, such as that of %s", number(early), printable(firstEarly))
	}
}

func (d *doctor) tellRecords(defects map[string]*defect, total, sick, unknown int) {
	bad := 0
	for _, cause := range slices.Sorted(maps.Keys(defects)) {
		found := defects[cause]
		bad += found.count
		d.tell("records", levelProblem, actOnCause(cause), "%s of %s: %s: %s", number(found.count), number(total), cause, strings.Join(found.examples, ", "))
	}
	text := number(total) + " examined"
	if sick > 0 {
		text += fmt.Sprintf("; %s with trouble of their own: oauth2keep status", number(sick))
	}
	if unknown > 0 {
		text += fmt.Sprintf("; %s of clients that aren't configured here", number(unknown))
	}
	if bad == 0 {
		d.tell("records", levelOK, "", "%s", text)
	} else {
		d.tell("records", levelNote, "", "%s", text)
	}
}

func (f *defect) add(name string) {
	f.count++
	if len(f.examples) < mostExamples {
		f.examples = append(f.examples, printable(name))
	} else if len(f.examples) == mostExamples {
		f.examples = append(f.examples, "…")
	}
}

var fingerprint = regexp.MustCompile(`\b[0-9a-f]{32}\b`)

const missingKey = "sealed with a key that isn't there, "

// cause says why a record can't be read, without the record's name, so that those of one cause
// are told as one.
func (d *doctor) cause(c connection) string {
	text := explain(c.err, d.a.now())
	key := fingerprint.FindString(text)
	switch {
	case errors.Is(c.err, storage.ErrOpen) && key != "":
		return missingKey + key
	case errors.Is(c.err, storage.ErrOpen):
		return "damaged, moved to another name, or not sealed by oauth2keep"
	case strings.Contains(text, "format"):
		return "in a format that this version doesn't know"
	}
	return "can't be read: " + strings.ReplaceAll(text, c.Connection, "NAME")
}

func actOnCause(cause string) string {
	if strings.HasPrefix(cause, missingKey) {
		return "name that key too, by --key; if it is lost, oauth2keep forget NAME deletes a record, and its user connects again"
	}
	return "restore the records from a backup; if there is none, oauth2keep forget NAME deletes a record, and its user connects again"
}

// clockTolerance is how wrong a clock may be: assertions and the times of tokens allow for about
// as much.
const clockTolerance = time.Minute

// checkClock compares the clock with those of the configured providers.
func (d *doctor) checkClock(ctx context.Context) {
	if d.a.loaded == nil {
		return
	}
	asked := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(d.a.loaded.Clients)) {
		p, err := d.a.loaded.Clients[name].provider()
		if err != nil {
			continue
		}
		u, err := url.Parse(p.Endpoint.TokenURL)
		if err != nil || u.Host == "" || strings.ContainsAny(u.Host, "{}") || asked[u.Host] {
			continue // a host that differs from one connection to the next
		}
		asked[u.Host] = true
		off, err := d.askTime(ctx, u.Scheme+"://"+u.Host+"/")
		switch {
		case err != nil:
			d.tell("clock", levelNote, "", "%s can't be asked: %s", u.Host, explain(err, d.a.now()))
		case off.Abs() > clockTolerance:
			direction := "ahead of"
			if off < 0 {
				direction = "behind"
			}
			d.tell("clock", levelProblem, "set this machine's clock by NTP", "this machine's clock is %s %s that of %s", span(off.Abs()), direction, u.Host)
		default:
			d.tell("clock", levelOK, "", "agrees with that of %s", u.Host)
		}
	}
}

// askTime returns by how much this machine's clock is ahead of a server's, by the Date of its
// answer (RFC 9110, section 6.6.1).
func (d *doctor) askTime(ctx context.Context, address string) (ahead time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return 0, err
	}
	began := d.a.now()
	resp, err := (agent{http.DefaultTransport}).RoundTrip(req) // no redirect is followed
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, errors.New("its answer has no Date")
	}
	ended := d.a.now()
	return began.Add(ended.Sub(began) / 2).Sub(date.Add(time.Second / 2)), nil
}
