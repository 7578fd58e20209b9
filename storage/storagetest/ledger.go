package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oauth2keep/oauth2keep/storage"
)

// ledger is what the only writer of a record knows about it. Only what was acknowledged
// is durable. Writes whose outcome nobody knows are in doubt: each may have happened, and
// may yet happen for as long as the version that it names is there. Even if one was seen
// by Get, it may be gone after the next crash, until another write is acknowledged.
type ledger struct {
	name  string
	value string          // of the last write that was acknowledged
	acked storage.Version // of that write, "" if it was a deletion
	v     storage.Version // as it was last seen: what the next write names
	doubt []string        // values that were written since, "" for a deletion

	// Creations that were ever in doubt: the version that they name, "", is there again
	// after a deletion.
	created []string

	conflict bool // there was one, so that the version must have changed
	sure     int  // acknowledged writes
	doubted  int
}

// write writes a value, or deletes the record if it is "". The error is the store's
// lie, not its failure.
func (l *ledger) write(ctx context.Context, s storage.Store, value string) (lie error) {
	var v storage.Version
	var err error
	if value == "" {
		err = s.Delete(ctx, l.name, l.v)
	} else {
		v, err = s.Put(ctx, l.name, []byte(value), l.v)
	}
	switch {
	case err == nil:
		l.value, l.acked, l.v, l.doubt = value, v, v, nil
		l.sure++
	case !errors.Is(err, storage.ErrConflict):
		l.doubt = append(l.doubt, value)
		l.doubted++
		if l.v == "" {
			l.created = append(l.created, value)
		}
	case len(l.doubt) == 0 && (l.v != "" || len(l.created) == 0):
		return fmt.Errorf("a write of %s was a conflict, and nobody else writes it: did the store, or its driver, write it twice?", brief(l.name))
	default:
		l.conflict = true // with what was in doubt
	}
	return nil
}

// read compares what is stored with what may be. If the store can't say, its error is
// returned as failed.
func (l *ledger) read(ctx context.Context, s storage.Store) (failed, lie error) {
	b, v, err := s.Get(ctx, l.name)
	value := string(b)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		value, v = "", ""
	case err != nil:
		return err, nil
	}
	absent := l.acked == "" || slices.Contains(l.doubt, "") // at some time since
	switch {
	case v == l.acked && value != l.value:
		return nil, fmt.Errorf("%s holds %s in the version of %s", brief(l.name), brief(value), brief(l.value))
	case v == l.v && l.conflict:
		return nil, fmt.Errorf("a write of %s was a conflict, and its version hasn't changed", brief(l.name))
	case v != l.acked && !slices.Contains(l.doubt, value) && !(absent && slices.Contains(l.created, value)):
		return nil, fmt.Errorf("%s holds %s; acknowledged was %s, and %d writes of other values were in doubt", brief(l.name), brief(value), brief(l.value), len(l.doubt))
	}
	if v != l.v {
		l.v, l.conflict = v, false
	}
	return nil, nil
}
