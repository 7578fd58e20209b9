package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Copy copies every record of one store to another, so that a program which began on
// a [Dir] can go on with a database. It returns the number of records, and no error
// only if it has then read all of them back, and the stores hold the same.
//
// Nothing may use either store meanwhile: stop the programs first. Copy says so if it
// finds that a record was changed. It never replaces a record: one that is there
// already is right if it is the same, as after an earlier call that was interrupted,
// and an error that wraps [ErrConflict] if it isn't, as is one that src doesn't have.
// src is left as it is, and has to be a [Lister]; if dst isn't one, records that only
// it has aren't noticed. If it found all records there already, it stores one for a
// moment, to see whether they are two stores at all. Should the process be killed in
// that moment, the next call of Copy, [Encrypted.Rekey] or [Encrypted.CheckUnused]
// deletes that record.
//
// Hand it the stores themselves: a sealed record is the same in every store, and no
// key is needed to move it. Two stores that are both [Encrypted] do as well, and their
// keys may differ. Of one that is and one that isn't, Copy refuses to copy, as that
// would write tokens in the clear, or seal them twice.
func Copy(ctx context.Context, dst, src Store) (records int, err error) {
	c := &copier{dst: dst, src: src}
	if c.list, err = c.check(); err != nil {
		return 0, err
	}
	for name, err := range recordNames(ctx, c.list, c.src) {
		if err == nil {
			err = c.copy(ctx, name)
		}
		if err != nil {
			return 0, err
		}
	}
	for name, err := range recordNames(ctx, c.list, c.src) {
		if err == nil {
			err = c.verify(ctx, name)
		}
		if err != nil {
			return 0, err
		}
		records++
	}
	if err := c.verifyNumber(ctx, records); err != nil {
		return 0, err
	}
	if records > 0 && c.written == 0 {
		if err := c.verifyTwo(ctx); err != nil {
			return 0, err
		}
	}
	return records, nil
}

type copier struct {
	dst, src Store
	list     Lister // src
	written  int
}

func (c *copier) check() (Lister, error) {
	if isNil(c.dst) || isNil(c.src) {
		return nil, errors.New("storage: Copy was given no Store: look at the error of what should have opened it")
	}
	_, sealsTo := c.dst.(*Encrypted)
	_, sealsFrom := c.src.(*Encrypted)
	if sealsTo != sealsFrom {
		return nil, fmt.Errorf("storage: can't copy from %T to %T: either both are Encrypted or none is; the stores that they wrap need no key to be copied", c.src, c.dst)
	}
	list, ok := c.src.(Lister)
	if !ok {
		return nil, fmt.Errorf("storage: %T can't list its names: %w", c.src, errors.ErrUnsupported)
	}
	return list, nil
}

func (c *copier) copy(ctx context.Context, name string) error {
	value, _, err := c.src.Get(ctx, name)
	if err != nil {
		return c.copyError(err, name)
	}
	_, err = c.dst.Put(ctx, name, value, "")
	switch {
	case err == nil:
		c.written++
		return nil
	case !errors.Is(err, ErrConflict):
		return named(err, name)
	}
	there, _, err := c.dst.Get(ctx, name)
	if err != nil {
		return c.copyError(err, name)
	}
	if !bytes.Equal(there, value) {
		return fmt.Errorf("storage: %T has another record %q already: %w (copy to an empty store, or delete what is older)", c.dst, name, ErrConflict)
	}
	return nil
}

func (c *copier) verify(ctx context.Context, name string) error {
	value, _, err := c.src.Get(ctx, name)
	if err != nil {
		return c.copyError(err, name)
	}
	there, _, err := c.dst.Get(ctx, name)
	if err != nil {
		return c.copyError(err, name)
	}
	if !bytes.Equal(there, value) {
		return c.copyError(ErrConflict, name)
	}
	return nil
}

// verifyNumber finds records that only the new store has, now that it has all others.
func (c *copier) verifyNumber(ctx context.Context, records int) error {
	list, ok := c.dst.(Lister)
	if !ok {
		return nil
	}
	there := 0
	for _, err := range recordNames(ctx, list, c.dst) {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		if err != nil {
			return err
		}
		there++
	}
	if there == records {
		return nil
	}
	for name, err := range recordNames(ctx, list, c.dst) {
		if err == nil {
			_, _, err = c.src.Get(ctx, name)
		}
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("storage: %T has a record %q that %T doesn't have: %w (stop the programs that use the stores, and copy to an empty store)", c.dst, name, c.src, ErrConflict)
		}
		if err != nil {
			return named(err, name)
		}
	}
	return fmt.Errorf("storage: %T lists %d records of %d: %w (stop the programs that use the stores, and copy again)", c.dst, there, records, ErrConflict)
}

// verifyTwo makes sure that it was two stores that held the same, and not one: their
// user is about to delete one of them.
func (c *copier) verifyTwo(ctx context.Context) error {
	probe := probePrefix + rand.Text()
	v, err := c.dst.Put(ctx, probe, nil, "")
	if err != nil {
		return fmt.Errorf("%w (if there is a record %q in %T now, delete it: it holds nothing)", err, probe, c.dst)
	}
	_, _, found := c.src.Get(ctx, probe)
	inTime, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute) // it mustn't stay
	defer cancel()
	if err := c.dst.Delete(inTime, probe, v); err != nil {
		return fmt.Errorf("%w (delete record %q of %T: it holds nothing)", err, probe, c.dst)
	}
	switch {
	case found == nil:
		return fmt.Errorf("storage: %T and %T are one and the same store, which was left as it is", c.dst, c.src)
	case !errors.Is(found, ErrNotFound):
		return named(found, probe)
	}
	return nil
}

// probePrefix begins the name of the empty record that verifyTwo stores for a moment;
// a text of rand.Text, of 26 characters, follows.
const probePrefix = "oauth2keep copy "

// recordNames lists a store, and deletes what a killed Copy has left in it.
func recordNames(ctx context.Context, list Lister, s Store) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range list.Names(ctx) {
			if err == nil && len(name) == len(probePrefix)+26 && strings.HasPrefix(name, probePrefix) {
				var deleted bool
				if deleted, err = deleteProbe(ctx, s, name); deleted {
					continue
				}
			}
			if !yield(name, err) {
				return
			}
		}
	}
}

// deleteProbe deletes a record if it is empty, sealed or not, and reports whether it
// is gone.
func deleteProbe(ctx context.Context, s Store, name string) (deleted bool, err error) {
	e, encrypted := s.(*Encrypted)
	if encrypted {
		s = e.store
	}
	value, v, err := s.Get(ctx, name)
	if encrypted && err == nil && len(value) > 0 {
		value, err = e.sealer().Open(ctx, value, recordAD(name))
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return true, nil
	case errors.Is(err, ErrOpen), err == nil && len(value) > 0:
		return false, nil // none that Copy has made
	case err == nil:
		err = s.Delete(ctx, name, v)
	}
	if err != nil {
		return false, named(err, name)
	}
	return true, nil
}

// copyError names the record of an error, and explains one that can only come about if
// somebody else is writing.
func (c *copier) copyError(err error, name string) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
		return fmt.Errorf("storage: record %q was changed while it was copied: %w (stop the programs that use the stores, and copy again)", name, ErrConflict)
	}
	return named(err, name)
}
