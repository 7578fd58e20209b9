package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

// behindProxy returns a store whose client goes through a proxy, and one of the
// same records that goes straight to the server.
func behindProxy(t *testing.T) (*proxy, *redisstore.Store, *redisstore.Store) {
	s := start(t, durable...)
	p := newProxy(t, s.addr)
	direct := &redisstore.Store{Client: client(t, s.addr)}
	return p, &redisstore.Store{Client: client(t, p.addr)}, direct
}

func mustPut(t testing.TB, s storage.Store, name, value string, old storage.Version) storage.Version {
	t.Helper()
	v, err := s.Put(ctx, name, []byte(value), old)
	require.NoError(t, err)
	return v
}

func requireValue(t testing.TB, s storage.Store, name, value string) storage.Version {
	t.Helper()
	got, v, err := s.Get(ctx, name)
	require.NoError(t, err)
	require.Equal(t, value, string(got))
	return v
}

// requireUnknown checks that err says neither that a write was done nor that it
// wasn't.
func requireUnknown(t testing.TB, err error) {
	t.Helper()
	require.Error(t, err)
	require.NotErrorIs(t, err, storage.ErrConflict)
	require.ErrorContains(t, err, "redisstore: the record may have been written or not: read it again")
}

// TestTheClientItselfWouldLie shows what the Store protects from: the client runs
// the script twice, and the second run finds the first one's record.
func TestTheClientItselfWouldLie(t *testing.T) {
	t.Parallel()
	p, s, _ := behindProxy(t)
	const create = `if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end redis.call('SET', KEYS[1], ARGV[1]) return ARGV[2] + 0`
	p.next(loseAnswer)
	n, err := s.Client.Eval(ctx, create, []string{"key"}, "value", 1, "").Int()
	require.NoError(t, err)
	require.Equal(t, 0, n) // "it was there before", and nobody else was here
}

func TestPutWhoseAnswerIsLost(t *testing.T) {
	notShort(t)
	t.Parallel()
	p, s, direct := behindProxy(t)
	for n := range 4 {
		fates := make([]fate, n)
		for i := range fates {
			fates[i] = loseAnswer
		}
		name := fmt.Sprint("lost ", n)
		p.next(fates...)
		v := mustPut(t, s, name, "first", "")
		require.Equal(t, v, requireValue(t, direct, name, "first"))
		p.next(fates...)
		v = mustPut(t, s, name, "second", v)
		require.Equal(t, v, requireValue(t, direct, name, "second"))
	}
}

func TestPutWhoseRequestIsLost(t *testing.T) {
	notShort(t)
	t.Parallel()
	p, s, direct := behindProxy(t)
	p.next(loseRequest, loseRequest, loseAnswer)
	v := mustPut(t, s, "name", "value", "")
	require.Equal(t, v, requireValue(t, direct, "name", "value"))
	p.next(loseRequest, loseRequest)
	require.NoError(t, s.Delete(ctx, "name", v))
}

func TestPutWhoseAnswersAreAllLost(t *testing.T) {
	notShort(t)
	t.Parallel()
	p, s, direct := behindProxy(t)
	p.set(func() fate { return loseAnswer })
	_, err := s.Put(ctx, "name", []byte("value"), "")
	requireUnknown(t, err)
	requireValue(t, direct, "name", "value")
	p.set(func() fate { return loseRequest })
	_, err = s.Put(ctx, "other", []byte("value"), "")
	requireUnknown(t, err)
	_, _, err = direct.Get(ctx, "other")
	require.ErrorIs(t, err, storage.ErrNotFound)
}

// TestPutThatWasReplacedBeforeItsRepetition: it was written, so ErrConflict would be
// a lie, and it isn't there any more.
func TestPutThatWasReplacedBeforeItsRepetition(t *testing.T) {
	t.Parallel()
	p, s, direct := behindProxy(t)
	var calls int
	p.set(func() fate {
		if calls++; calls == 1 {
			return loseAnswer
		}
		_, v, err := direct.Get(ctx, "name")
		assert.NoError(t, err)
		_, err = direct.Put(ctx, "name", []byte("of someone else"), v)
		assert.NoError(t, err)
		return pass
	})
	_, err := s.Put(ctx, "name", []byte("mine"), "")
	requireUnknown(t, err)
	require.ErrorContains(t, err, "another record or none is there now")
	requireValue(t, direct, "name", "of someone else")
}

func TestDeleteWhoseAnswerIsLost(t *testing.T) {
	notShort(t)
	t.Parallel()
	p, s, direct := behindProxy(t)
	v := mustPut(t, s, "name", "value", "")
	p.next(loseAnswer)
	requireUnknown(t, s.Delete(ctx, "name", v)) // it may have been someone else
	_, _, err := direct.Get(ctx, "name")
	require.ErrorIs(t, err, storage.ErrNotFound)
	p.next(loseAnswer)
	require.NoError(t, s.Delete(ctx, "name", ""))
}

func TestAConflictIsStillOneWhenNothingWasLost(t *testing.T) {
	t.Parallel()
	p, s, _ := behindProxy(t)
	v := mustPut(t, s, "name", "value", "")
	_, err := s.Put(ctx, "name", nil, "")
	require.ErrorIs(t, err, storage.ErrConflict)
	p.next(loseRequest) // nobody can know that it wasn't done
	_, err = s.Put(ctx, "name", nil, "")
	requireUnknown(t, err)
	require.NoError(t, s.Delete(ctx, "name", v))
}

// TestAnswersAreTrue has several writers whose connections are cut at random, and
// holds every answer against what was stored.
func TestAnswersAreTrue(t *testing.T) {
	notShort(t)
	t.Parallel()
	p, s, direct := behindProxy(t)
	const writers, rounds = 6, 50
	p.set(func() fate { return fate(max(0, rand.IntN(6)-3)) })
	type mark struct{ writer, round int }
	var mu sync.Mutex
	acknowledged, denied, unknown := make(map[mark]bool), make(map[mark]bool), 0
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for r := range rounds {
				value, v, err := direct.Get(ctx, "log")
				if err != nil && !errors.Is(err, storage.ErrNotFound) {
					t.Error(err)
					return
				}
				_, err = s.Put(ctx, "log", fmt.Appendf(value, "%d.%d ", w, r), v)
				mu.Lock()
				switch {
				case err == nil:
					acknowledged[mark{w, r}] = true
				case errors.Is(err, storage.ErrConflict):
					denied[mark{w, r}] = true
				default:
					unknown++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	value, _, err := direct.Get(ctx, "log")
	require.NoError(t, err)
	written := make(map[mark]bool)
	for line := range strings.FieldsSeq(string(value)) {
		var m mark
		_, err := fmt.Sscanf(line, "%d.%d", &m.writer, &m.round)
		require.NoError(t, err)
		require.False(t, written[m], "written twice")
		written[m] = true
	}
	for m := range acknowledged {
		require.True(t, written[m], "acknowledged and lost: %v", m)
	}
	for m := range denied {
		require.False(t, written[m], "written, and called a conflict: %v", m)
	}
	t.Logf("%d acknowledged, %d conflicts, %d unknown", len(acknowledged), len(denied), unknown)
	require.NotEmpty(t, acknowledged)
	require.Positive(t, unknown)
}

// TestWhatIsLateBringsNothingBack has a connection hang with a creation in it, and go on
// when the record was created on another one, and deleted.
func TestWhatIsLateBringsNothingBack(t *testing.T) {
	notShort(t)
	t.Parallel()
	p, s, direct := behindProxy(t)
	s.Client = s.Client.(*redis.Client).WithTimeout(300 * time.Millisecond)
	p.next(delay)
	v := mustPut(t, s, "name", "value", "")
	require.NoError(t, s.Delete(ctx, "name", v))
	p.goOn()
	_, _, err := direct.Get(ctx, "name")
	require.ErrorIs(t, err, storage.ErrNotFound)

	s.Client = s.Client.(*redis.Client).WithTimeout(time.Minute) // and the context ends it
	p.next(delay)
	limited, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	_, err = s.Put(limited, "name", []byte("value"), "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	p.goOn()
	_, _, err = direct.Get(ctx, "name")
	require.ErrorIs(t, err, storage.ErrNotFound)
}
