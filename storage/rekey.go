package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// RekeyReport says what [Encrypted.Rekey] found. Records that were deleted while it
// ran aren't counted.
type RekeyReport struct {
	// Examined is the number of records that were looked at, and is the sum of
	// those that were moved, were left because the primary key seals them
	// already, and couldn't be opened.
	Examined int

	// Moved is the number of records that were sealed again with the primary key.
	Moved int

	// Unopenable is the number of records that couldn't be opened. They were left
	// as they are. FirstUnopenable is the name of the first, if there is any.
	Unopenable      int
	FirstUnopenable string

	// Primary is the fingerprint of the primary key (see [Keyset.Fingerprints]). ByKey is
	// how many of the examined records each key seals now, by fingerprint, with a zero for
	// a key of the Keyset that seals none; a record of which it can't be read isn't
	// in it. Both are empty if the Sealer isn't a Keyset.
	Primary string
	ByKey   map[string]int
}

// keyTeller is a Sealer that knows which key sealed a record. Of any other, Rekey
// has to assume that every record needs to be sealed again.
type keyTeller interface {
	Fingerprints() []string
	// sealedWith returns the fingerprint in a sealed record, or false if it has none.
	sealedWith(sealed []byte) (fingerprint string, ok bool)
}

var _ keyTeller = (*Keyset)(nil)

// Rekey opens every record, and seals those again that aren't sealed with the
// primary key. It needs a store that is a [Lister]. Other processes may go on using
// the store; records that they write meanwhile are left to their choice of key, so
// call it when all of them seal with the new one. After an error, call it again: it
// goes on with what is left, except that with a Sealer that isn't a Keyset it seals
// every record anew.
//
// It returns nil if it saw every record and all are sealed with the primary key now.
// Records that can't be opened don't stop it; the error wraps [ErrOpen] then, says
// how many there are and names the first. Any other error, of the context too, ends
// it, and the report holds what was done so far.
func (e *Encrypted) Rekey(ctx context.Context) (RekeyReport, error) {
	r := rekey{e: e, report: RekeyReport{ByKey: make(map[string]int)}}
	if err := e.check(); err != nil {
		return r.report, err
	}
	if r.teller, _ = e.sealer().(keyTeller); r.teller != nil {
		for i, f := range r.teller.Fingerprints() {
			if i == 0 {
				r.report.Primary = f
			}
			r.report.ByKey[f] = 0
		}
	}
	for name, err := range recordNames(ctx, e, e) {
		if err == nil {
			err = r.record(ctx, name)
		}
		if err != nil {
			return r.report, errors.Join(err, r.unopenable())
		}
	}
	return r.report, r.unopenable()
}

type rekey struct {
	e      *Encrypted
	teller keyTeller // nil if the Sealer can't tell
	report RekeyReport
	first  error // why the first unopenable record is one
}

// record seals one record with the primary key, again for as long as others change it in
// between.
func (r *rekey) record(ctx context.Context, name string) error {
	for {
		sealed, v, err := r.e.store.Get(ctx, name)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case errors.Is(err, ErrOpen):
			r.leave(name, nil, err)
			return nil
		case err != nil:
			return named(err, name)
		}
		// Also what needs no moving is opened: a report that all is well should mean it.
		value, err := r.e.sealer().Open(ctx, sealed, recordAD(name))
		if errors.Is(err, ErrOpen) {
			r.leave(name, sealed, err)
			return nil
		}
		if err != nil {
			return named(err, name)
		}
		if r.current(sealed) {
			r.count(sealed)
			return nil
		}
		sealed, err = r.e.sealer().Seal(ctx, value, recordAD(name))
		if err != nil {
			return named(err, name)
		}
		_, err = r.e.store.Put(ctx, name, sealed, v)
		if errors.Is(err, ErrConflict) {
			continue // it was written meanwhile, most likely with the primary key
		}
		if err != nil {
			return named(err, name)
		}
		r.count(sealed)
		r.report.Moved++
		return nil
	}
}

// current reports whether a record is known to be sealed with the primary key.
func (r *rekey) current(sealed []byte) bool {
	if r.teller == nil {
		return false
	}
	by, ok := r.teller.sealedWith(sealed)
	return ok && by == r.report.Primary
}

func (r *rekey) count(sealed []byte) {
	r.report.Examined++
	if r.teller == nil {
		return
	}
	if by, ok := r.teller.sealedWith(sealed); ok {
		r.report.ByKey[by]++
	}
}

func (r *rekey) leave(name string, sealed []byte, err error) {
	r.count(sealed)
	if r.report.Unopenable++; r.first == nil {
		r.report.FirstUnopenable, r.first = name, err
	}
}

func (r *rekey) unopenable() error {
	if r.first == nil {
		return nil
	}
	return fmt.Errorf("storage: %d of %d records can't be opened and were left as they are, the first is %q: %w",
		r.report.Unopenable, r.report.Examined, r.report.FirstUnopenable, r.first)
}

// CheckUnused returns nil if no record is sealed with a key, which may be given up then:
// taken out of every keyset, and destroyed. The key is one of this keyset's old ones, named as
// by [Keyset.Fingerprints], of which the first is the primary key's. Call CheckUnused after
// [Encrypted.Rekey], when no process seals with the key any more; what one still did
// would be written behind its back. It needs a store that is a [Lister], and looks at
// every record without opening it.
//
// After any error, keep the key. If records need it, the error says how many there are and
// names the first. If none does that tells, and there is one that doesn't tell which key it
// needs, the error wraps [ErrOpen]. It wraps errors.ErrUnsupported if the Sealer isn't a
// Keyset or the store isn't a Lister.
func (e *Encrypted) CheckUnused(ctx context.Context, fingerprint string) error {
	if err := e.check(); err != nil {
		return err
	}
	teller, ok := e.sealer().(keyTeller)
	if !ok {
		return fmt.Errorf("storage: %T doesn't tell which key sealed a record: %w", e.sealer(), errors.ErrUnsupported)
	}
	keys := teller.Fingerprints()
	if len(keys) == 0 {
		return errNoKeyset
	}
	switch slices.Index(keys, fingerprint) {
	case -1: // mistyped, it would seem to be unused; it may be a key by mistake, and isn't repeated
		return errors.New("storage: what was given isn't the fingerprint of a key in this keyset, which has " + strings.Join(keys, ", "))
	case 0:
		return fmt.Errorf("storage: this key must be kept: %s is the primary key of this keyset, which seals whatever is written", fingerprint)
	}
	var examined, needed, unknown int
	var firstNeeded, firstUnknown string
	for name, err := range recordNames(ctx, e, e) {
		if err != nil {
			return err
		}
		sealed, _, err := e.store.Get(ctx, name)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil && !errors.Is(err, ErrOpen) {
			return named(err, name)
		}
		examined++
		switch by, ok := teller.sealedWith(sealed); {
		case err != nil || !ok:
			if unknown++; unknown == 1 {
				firstUnknown = name
			}
		case by == fingerprint:
			if needed++; needed == 1 {
				firstNeeded = name
			}
		}
	}
	switch {
	case needed > 0:
		return fmt.Errorf("storage: this key must be kept: %d of %d records are sealed with %s, the first is %q: call Rekey with a keyset that has it as an old key", needed, examined, fingerprint, firstNeeded)
	case unknown > 0:
		return fmt.Errorf("%w: %d of %d records don't tell which key sealed them, the first is %q: key %s must be kept until they are restored or discarded", ErrOpen, unknown, examined, firstUnknown, fingerprint)
	}
	return nil
}
