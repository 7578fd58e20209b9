package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"runtime"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// openings is how often a database is opened, since once takes too little time.
const openings = 50

func openOurs(ctx context.Context, j *job) (int, error) {
	for i := range openings {
		db, s, err := j.Place.open(ctx)
		if err != nil {
			return 0, err
		}
		err = s.CreateTable(ctx)
		if err == nil {
			_, _, err = storage.Encrypt(s, j.keys).Get(ctx, keyOf(i%j.N))
		}
		if err := errors.Join(err, db.Close()); err != nil {
			return i, err
		}
		j.add(1)
	}
	return openings, nil
}

func coldOurs(ctx context.Context, j *job) (int, error) {
	return j.tokens(ctx, nil)
}

func keepOurs(ctx context.Context, j *job) (int, error) {
	kept := make([]*tokensource.Source, 0, j.N)
	defer runtime.KeepAlive(kept)
	return j.tokens(ctx, func(s *tokensource.Source) { kept = append(kept, s) })
}

// tokens asks for every connection's token for the first time.
func (j *job) tokens(ctx context.Context, keep func(*tokensource.Source)) (int, error) {
	db, m, err := j.manager(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	n := 0
	for i := range order(j.N) {
		s := m.Source(keyOf(i))
		t, err := s.TokenContext(ctx)
		if err != nil {
			return n, err
		}
		if t.AccessToken == "" {
			return n, fmt.Errorf("connection %q has an empty token", keyOf(i))
		}
		if keep != nil {
			keep(s)
		}
		n++
		j.add(1)
	}
	return n, nil
}

func sweepOurs(ctx context.Context, j *job) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Run reads a record before it asks for the next key, so all are read when the
	// keys are at their end.
	db, m, err := j.manager(ctx, cancel)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var failure error
	m.OnEvent = func(_ context.Context, e tokensource.Event) {
		failure = fmt.Errorf("connection %q: %s: %w", e.Connection, e.Kind, e.Err)
		cancel()
	}
	if err := m.Run(ctx); !errors.Is(err, context.Canceled) {
		return 0, err
	}
	return int(j.done.Load()), failure
}

func rekeyOurs(ctx context.Context, j *job) (int, error) {
	db, s, err := j.Place.open(ctx)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	report, err := storage.Encrypt(walked{s, j, func() {}}, j.keys).Rekey(ctx)
	j.rekey = &report
	return report.Moved, err
}

func (j *job) manager(ctx context.Context, atEnd func()) (*sql.DB, *tokensource.Manager, error) {
	db, s, err := j.Place.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	return db, &tokensource.Manager{Config: new(nobody), Store: storage.Encrypt(walked{s, j, atEnd}, j.keys)}, nil
}

// walked is a table that counts the keys that were listed and dealt with.
type walked struct {
	*sqlstore.Store
	job   *job
	atEnd func()
}

func (w walked) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range w.Store.Names(ctx) {
			if !yield(key, err) || err != nil {
				return
			}
			w.job.add(1)
		}
		w.atEnd()
	}
}
