package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// openings is how often a database is opened, since once takes too little time.
const openings = 50

func openOurs(ctx context.Context, j *job) error {
	for i := range openings {
		db, s, err := j.place.open(ctx)
		if err != nil {
			return err
		}
		err = s.CreateTable(ctx)
		if err == nil {
			_, _, err = storage.Encrypt(s, j.keys).Get(ctx, keyOf(i%j.n))
		}
		if err := errors.Join(err, db.Close()); err != nil {
			return err
		}
		j.add(ctx, 1)
	}
	return nil
}

// coldOurs asks for every connection's token for the first time.
func coldOurs(ctx context.Context, j *job) error {
	db, s, err := j.place.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	m := &tokensource.Manager{Config: new(nobody), Store: storage.Encrypt(s, j.keys)}
	for i := range order(j.n) {
		if _, err := m.Source(keyOf(i)).TokenContext(ctx); err != nil {
			return err
		}
		j.add(ctx, 1)
	}
	return nil
}

func sweepOurs(ctx context.Context, j *job) error {
	db, s, err := j.place.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	sweep, cancel := context.WithCancel(ctx)
	defer cancel()
	var failure error
	m := &tokensource.Manager{Config: new(nobody), Store: storage.Encrypt(walked{s, ctx, j, cancel}, j.keys)}
	m.OnEvent = func(_ context.Context, e tokensource.Event) {
		failure = fmt.Errorf("connection %q: %s: %w", e.Connection, e.Kind, e.Err)
		cancel()
	}
	if err := m.Run(sweep); !errors.Is(err, context.Canceled) {
		return err
	}
	return failure
}

func rekeyOurs(ctx context.Context, j *job) error {
	db, s, err := j.place.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := storage.Encrypt(walked{s, ctx, j, func() {}}, j.keys).Rekey(ctx)
	if err == nil && report.Moved != j.n {
		err = fmt.Errorf("its report is %+v", report)
	}
	return err
}

// walked is a table that counts the names that were listed and dealt with: who reads a
// record does so before asking for the next name, so all are read when they are at their
// end.
type walked struct {
	*sqlstore.Store
	ctx   context.Context
	job   *job
	atEnd func()
}

func (w walked) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range w.Store.Names(ctx) {
			if !yield(name, err) || err != nil {
				return
			}
			w.job.add(w.ctx, 1)
		}
		w.atEnd()
	}
}
