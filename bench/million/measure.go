package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// report is what was measured.
type report struct {
	options
	settings string
	bytes    int // of a sealed record, on average
	jobs     []*job
}

// measure fills the database and takes all measurements.
func (r *report) measure(ctx context.Context, e engine, progress io.Writer) error {
	old, primary := storage.NewKey(), storage.NewKey()
	before, err := storage.NewKeyset(old)
	if err != nil {
		return err
	}
	both, err := storage.NewKeyset(primary, old)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := e.load(ctx, records(ctx, r.n, before, &r.bytes)); err != nil {
		return fmt.Errorf("can't fill the table: %w", err)
	}
	r.bytes /= r.n
	fmt.Fprintf(progress, "%d records are loaded, in %v\n", r.n, time.Since(start).Round(time.Millisecond))

	for _, phase := range phases() {
		if r.only != "" && !slices.Contains(strings.Split(r.only, ","), phase) {
			continue
		}
		start := time.Now()
		if err := r.phase(ctx, e, phase, before, both); err != nil {
			return err
		}
		fmt.Fprintf(progress, "%s was measured, in %v\n", phase, time.Since(start).Round(time.Millisecond))
	}
	return nil
}

// phase measures all sides of a phase, turn by turn. Those that only read have one table
// together.
func (r *report) phase(ctx context.Context, e engine, phase string, before, both *storage.Keyset) (err error) {
	made := 0
	defer func() {
		for number := range made {
			err = errors.Join(err, e.drop(context.WithoutCancel(ctx), number))
		}
	}()
	var at place
	var jobs []*job
	for _, s := range steps {
		if s.phase != phase {
			continue
		}
		if s.writes || made == 0 {
			if at, err = e.make(ctx, made); err != nil {
				return fmt.Errorf("can't make a table: %w", err)
			}
			made++
		}
		keys := before
		if s.writes {
			keys = both
		}
		jobs = append(jobs, newJob(s, at, r.n, keys))
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	r.jobs = append(r.jobs, jobs...)
	return race(ctx, jobs)
}
