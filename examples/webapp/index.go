package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// index is a table of the connections' names: of one user, or in one group. The store of
// tokens can't be asked for these, since it knows names and sealed values only, and
// Manager.Connections reads all. A page reads a few rows here, and for these the status.
//
// The index follows the events. It can be behind, if a process dies between a change and
// its row, so it is only ever where to look: what a page shows is the status, which also
// corrects the row, and a walk over all names adds what is missing.
type index struct {
	db        *database
	log       *slog.Logger
	providers []*provider
}

// entry is a connection with its status. Err is that of reading it.
type entry struct {
	Name     string
	provider *provider
	Status   tokensource.Status
	Err      error
}

// status reads the status of a connection, or returns false if there is none.
func (x *index) status(ctx context.Context, name string) (entry, bool) {
	p := x.providerOf(name)
	if p == nil {
		return entry{}, false
	}
	st, err := p.manager.Status(ctx, name)
	var known *tokensource.Error
	if errors.As(err, &known) && (known.Reason == tokensource.ReasonNotConnected || known.Reason == tokensource.ReasonOtherClient) {
		return entry{}, false
	}
	if err != nil {
		st = tokensource.Status{Connection: name, State: tokensource.StateUnreadable, Reason: tokensource.ReasonStore}
	}
	return entry{name, p, st, err}, true
}

func (x *index) providerOf(name string) *provider {
	for _, p := range x.providers {
		if p.id == readName(name).provider {
			return p
		}
	}
	return nil // it is another process's, which has other providers
}

// updateTimeout bounds the work for an event: who waits for a token waits for it.
const updateTimeout = 3 * time.Second

// update makes the row of a connection what its status is.
func (x *index) update(ctx context.Context, name string) {
	if x.providerOf(name) == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), updateTimeout)
	defer cancel()
	e, ok := x.status(ctx, name)
	var err error
	switch {
	case !ok:
		_, err = x.db.ExecContext(ctx, "DELETE FROM "+x.db.prefix+"connections WHERE name = $1", name)
	case errors.Is(e.Err, storage.ErrOpen) || e.Err == nil:
		_, err = x.db.ExecContext(ctx, "INSERT INTO "+x.db.prefix+`connections (name, owner, grp) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET grp = excluded.grp WHERE `+x.db.prefix+`connections.grp <> excluded.grp`,
			name, readName(name).owner, e.group())
	} // otherwise the store is down, and says nothing about the connection
	if err != nil {
		x.log.Warn("index", "name", name, "error", err)
	}
}

func (e entry) group() string { return stateWords[e.Status.State].group }

// pageSize is how many connections a page shows.
const pageSize = 25

// ofUser returns a user's connections after a name, in the order of the names.
func (x *index) ofUser(ctx context.Context, u *user, after string) (entries []entry, next string, err error) {
	return x.page(ctx, "owner", u.ID, after)
}

// inGroup returns the connections of all users that are in a group, after a name.
func (x *index) inGroup(ctx context.Context, group, after string) (entries []entry, next string, err error) {
	return x.page(ctx, "grp", group, after)
}

// page reads one page of rows by the index of a column, from a name on and not from the
// first row, so that its work is the same for the thousandth page; and the status of each.
// Next is where the next page begins, or "".
func (x *index) page(ctx context.Context, column, value, after string) (entries []entry, next string, err error) {
	rows, err := x.db.QueryContext(ctx, "SELECT name FROM "+x.db.prefix+"connections WHERE "+column+" = $1 AND name > $2 ORDER BY name LIMIT $3",
		value, after, pageSize+1)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, "", err
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return nil, "", err
	}
	rows.Close() // before others need the connection
	if len(names) > pageSize {
		names = names[:pageSize]
		next = names[pageSize-1]
	}
	for _, name := range names {
		e, ok := x.status(ctx, name)
		if !ok || column == "grp" && e.group() != value {
			x.update(ctx, name)
		}
		if ok {
			entries = append(entries, e)
		}
	}
	return entries, next, nil
}

// mostCounted bounds the work of counting: beyond it, an administrator reads "1,000+".
const mostCounted = 1000

// count counts the connections in a group, up to one more than mostCounted.
func (x *index) count(ctx context.Context, group string) (n int, err error) {
	err = x.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+x.db.prefix+"connections WHERE grp = $1 LIMIT $2) AS counted",
		group, mostCounted+1).Scan(&n)
	return n, err
}

// walkEvery is how long a row that is missing stays so at most.
const walkEvery = 15 * time.Minute

// run walks now and then, until ctx is done.
func (x *index) run(ctx context.Context, store *storage.Encrypted) {
	for {
		x.walk(ctx, store)
		select {
		case <-ctx.Done():
			return
		case <-time.After(walkEvery):
		}
	}
}

// walk goes over all names, and adds the rows that are missing.
func (x *index) walk(ctx context.Context, store *storage.Encrypted) {
	for name, err := range store.Names(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				x.log.Warn("index: the names can't be read", "error", err)
			}
			return
		}
		x.update(ctx, name)
	}
}
