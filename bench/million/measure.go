package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// report is what was measured.
type report struct {
	options
	settings string
	sync     time.Duration
	contents contents
	results  map[string]result // by the name of the step
}

// measure fills the database and takes all measurements.
func (r *report) measure(ctx context.Context, e engine, progress io.Writer) error {
	old, primary := storage.NewKey(), storage.NewKey()
	before, err := storage.NewKeyset(old)
	if err != nil {
		return err
	}
	after, err := storage.NewKeyset(primary) // which opens nothing that wasn't moved
	if err != nil {
		return err
	}
	start := time.Now()
	if err := e.load(ctx, records(ctx, r.n, before, &r.contents)); err != nil {
		return fmt.Errorf("can't fill the table: %w", err)
	}
	fmt.Fprintf(progress, "%d records are loaded, in %v\n", r.n, time.Since(start).Round(time.Millisecond))

	r.results = make(map[string]result)
	for _, phase := range phases() {
		if r.only != "" && !slices.Contains(strings.Split(r.only, ","), phase) {
			continue
		}
		start := time.Now()
		if err := r.phase(ctx, e, phase, old, primary, after); err != nil {
			return err
		}
		fmt.Fprintf(progress, "%s was measured, in %v\n", phase, time.Since(start).Round(time.Millisecond))
	}
	return nil
}

// phase measures all sides of a phase, turn by turn.
func (r *report) phase(ctx context.Context, e engine, phase string, old, primary []byte, after storage.Sealer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	made := 0
	defer func() {
		for number := range made {
			err = errors.Join(err, e.drop(context.WithoutCancel(ctx), number))
		}
	}()
	var tasks []task
	sides := sidesOf(phase)
	for _, s := range sides {
		t := task{Phase: phase, Side: s.side, N: r.n, Primary: old, Old: old}
		if s.writes {
			t.Primary = primary
		}
		if s.writes || made == 0 { // those that only read have one table together
			if t.Place, err = e.make(ctx, made); err != nil {
				return fmt.Errorf("can't make a table: %w", err)
			}
			made++
		} else {
			t.Place = tasks[0].Place
		}
		if r.profile != "" {
			name := strings.NewReplacer(" ", "", ",", "-").Replace(r.engine + "-" + s.String())
			t.Profile = filepath.Join(r.profile, name+".pprof")
		}
		tasks = append(tasks, t)
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	var racers []*racer
	for i, s := range sides {
		racer, err := start(ctx, s, tasks[i])
		if err != nil {
			return err
		}
		defer racer.stop()
		racers = append(racers, racer)
	}
	if err := race(racers); err != nil {
		return cmp.Or(ctx.Err(), err) // the children die of the former
	}
	for _, racer := range racers {
		racer.stop()
		if err := r.check(ctx, racer, after); err != nil {
			return fmt.Errorf("%v: %w", racer.step, err)
		}
		r.results[racer.step.String()] = racer.result
	}
	return nil
}

// check makes sure that what was measured is what was to be measured.
func (r *report) check(ctx context.Context, racer *racer, after storage.Sealer) error {
	if racer.times == 0 && racer.result.Records != r.n {
		return fmt.Errorf("%d records of %d were dealt with", racer.result.Records, r.n)
	}
	if racer.phase != "rekey" || racer.side != ours {
		return nil
	}
	if m := racer.result.Rekey; m == nil || m.Examined != r.n || m.Moved != r.n || m.Unopenable != 0 || m.ByKey[m.Primary] != r.n {
		return fmt.Errorf("its report is %+v", m)
	}
	b, err := racer.task.Place.openBare(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	now, err := inspect(ctx, b.scan(ctx), after)
	if err != nil {
		return err
	}
	if now != r.contents {
		return fmt.Errorf("the contents of %d records were changed to those of %d others", r.contents.Records, now.Records)
	}
	return nil
}
