package sqlstore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// TestConnectionCutInMidWrite cuts connections at any point of a write, of the
// request or of the answer, and compares what Put and Delete said with what is there.
func TestConnectionCutInMidWrite(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		if to.dialect == sqlstore.SQLite {
			t.Skip("SQLite has no connections to cut")
		}
		p, through := newProxy(t, to)
		direct, cut := to.open(t), through.open(t)
		db, err := to.db()
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		var acknowledged, written, lost int
		value, v := "", storage.Version("") // as they are in the table
		for round := range 150 {
			p.arm(-1, -1)
			cut.Get(ctx, "key") // so that there is a connection most of the time
			next := strconv.Itoa(round) + strings.Repeat(" padding", rand.IntN(200))
			switch rand.IntN(3) {
			case 0:
				p.arm(rand.IntN(len(next)+300), -1)
			case 1:
				p.arm(-1, rand.IntN(3))
			case 2:
				p.cut(round%2 == 0) // while nobody uses it
			}
			var nextV storage.Version
			if v != "" && rand.IntN(4) == 0 {
				next = ""
				err = cut.Delete(ctx, "key", v)
			} else {
				nextV, err = cut.Put(ctx, "key", []byte(next), v)
			}
			if err != nil {
				p.settle(t, db, to.dialect)
			}
			now, nowV, getErr := direct.Get(ctx, "key")
			if !errors.Is(getErr, storage.ErrNotFound) {
				require.NoError(t, getErr)
			}
			switch {
			case err == nil:
				require.Equal(t, next, string(now), "round %d: an acknowledged write isn't there", round)
				require.Equal(t, nextV, nowV)
				acknowledged++
			case errors.Is(err, storage.ErrConflict):
				t.Fatalf("round %d: a conflict without anyone to conflict with", round)
			case nowV != v:
				require.Equal(t, next, string(now))
				written++
			default:
				require.Equal(t, value, string(now))
				lost++
			}
			if err != nil {
				require.NotContains(t, err.Error(), "padding")
			}
			value, v = string(now), nowV
		}
		t.Logf("%d acknowledged; of those that failed, %d were written and %d were not", acknowledged, written, lost)
		require.Positive(t, acknowledged)
		require.Positive(t, written)
		require.Positive(t, lost)
	})
}

// TestSlowServer has a server that doesn't answer any more. Whatever it was asked,
// the context's end is the end.
func TestSlowServer(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		if to.dialect == sqlstore.SQLite {
			t.Skip("see TestRowLocked")
		}
		p, through := newProxy(t, to)
		s, direct := through.open(t), to.open(t)
		v := mustPut(t, s, "key", "value", "")
		resume := p.stall()
		t.Cleanup(resume)
		for name, call := range map[string]func(context.Context) error{
			"Get":    func(ctx context.Context) error { _, _, err := s.Get(ctx, "key"); return err },
			"Put":    func(ctx context.Context) error { _, err := s.Put(ctx, "new", nil, ""); return err },
			"Delete": func(ctx context.Context) error { return s.Delete(ctx, "key", v) },
			"Keys": func(ctx context.Context) error {
				for _, err := range s.Keys(ctx) {
					return err
				}
				return nil
			},
			"CreateTable": s.CreateTable,
		} {
			for want, end := range ends {
				ctx, cancel := end(ctx)
				began := time.Now()
				err := call(ctx)
				cancel()
				require.Equal(t, want, err, name)
				require.Less(t, time.Since(began), 10*time.Second, name)
			}
		}
		resume()
		_, _, err := direct.Get(ctx, "key")
		if !errors.Is(err, storage.ErrNotFound) { // what was sent may be done by now
			require.NoError(t, err)
		}
	})
}

// ends are the ways for a context to end while a database is at work.
var ends = map[error]func(context.Context) (context.Context, context.CancelFunc){
	context.DeadlineExceeded: func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 100*time.Millisecond)
	},
	context.Canceled: func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(100*time.Millisecond, cancel)
		return ctx, cancel
	},
}

// TestRowLocked has another transaction hold the record.
func TestRowLocked(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		s := to.open(t)
		v := mustPut(t, s, "key", "value", "")
		db, err := to.db()
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		tx, err := db.Begin()
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = tx.Exec("UPDATE " + to.table + " SET value = value")
		require.NoError(t, err)

		for want, end := range ends {
			ctx, cancel := end(ctx)
			began := time.Now()
			_, err := s.Put(ctx, "key", []byte("new"), v)
			cancel()
			require.Equal(t, want, err)
			require.Less(t, time.Since(began), 5*time.Second)
		}
		value, _, err := s.Get(ctx, "key") // readers don't wait
		require.NoError(t, err)
		require.Equal(t, "value", string(value))

		// Who has more patience, waits. The server may yet do what was given up, and so
		// the record is read again.
		time.AfterFunc(50*time.Millisecond, func() { tx.Rollback() })
		for {
			_, v, err := s.Get(ctx, "key")
			require.NoError(t, err)
			if _, err = s.Put(ctx, "key", []byte("newer"), v); err == nil {
				break
			}
			require.ErrorIs(t, err, storage.ErrConflict)
		}
	})
}
