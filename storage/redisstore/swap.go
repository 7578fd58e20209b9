package redisstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oauth2keep/oauth2keep/storage"
)

// loadScript is a script although GET would do: a script is sent to the master, whatever
// the client does with commands that only read.
var loadScript = redis.NewScript(`return redis.call('GET', KEYS[1])`)

// swapSource replaces or, if ARGV[2] is empty, deletes a record whose head is
// ARGV[1]. A record whose head is already the new one was written by an earlier
// attempt of the same Put; it is written again, so that a WAIT on this connection
// waits for it.
const swapSource = `
local head = redis.call('GETRANGE', KEYS[1], 0, 20)
if head == '' and redis.call('EXISTS', KEYS[1]) == 1 then
	return -1
end
if head ~= ARGV[1] and (ARGV[2] == '' or head ~= string.sub(ARGV[2], 1, 21)) then
	if head == '' or (#head == 21 and string.sub(head, 1, 5) == 'o2kr\1') then
		return 0
	end
	return -1
end
if ARGV[2] ~= '' then
	redis.call('SET', KEYS[1], ARGV[2])
elseif head ~= '' then
	redis.call('DEL', KEYS[1])
end
return 1`

var swapScript = redis.NewScript(swapSource)

// What swapScript returns.
const (
	foreign  = -1
	conflict = 0
	swapped  = 1
)

// attempts is how often a command is sent before its error is the caller's.
const attempts = 4

// once is a command that the client sends at most once. By default it repeats a
// command whose answer was lost, and the second run of a swap sees the first one's
// record as somebody else's. The Store repeats it itself, and knows that it did.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

func newSwap(ctx context.Context, command, script, key string, head, record []byte) once {
	cmd := redis.NewCmd(ctx, command, script, 1, key, head, record)
	cmd.SetFirstKeyPos(3)
	return once{cmd}
}

func (s *Store) load(ctx context.Context, name string) (string, error) {
	return loadScript.Run(ctx, s.Client, []string{s.redisKey(name)}).Text()
}

// swap replaces the record of name, or deletes it if there is no new one.
func (s *Store) swap(ctx context.Context, name string, old storage.Version, record []byte) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	head, ok := headOf(old)
	if !ok {
		return storage.ErrConflict // no record ever had that version
	}
	result, err := await(ctx, func() (int64, error) { return s.try(ctx, s.redisKey(name), head, record) })
	switch {
	case err != nil:
		return err
	case result == conflict:
		return storage.ErrConflict
	case result == foreign:
		return fmt.Errorf("%w: %w", storage.ErrConflict, s.unusable(name, ""))
	case result != swapped:
		return fmt.Errorf("redisstore: the server answered %d to a script that doesn't: is there a proxy in between?", result)
	}
	return nil
}

// headOf returns what a record of version v begins with, and false if none can.
func headOf(v storage.Version) (head []byte, ok bool) {
	if v == "" {
		return []byte{}, true
	}
	b, err := hex.DecodeString(string(v))
	if err != nil || len(b) != versionSize || hex.EncodeToString(b) != string(v) {
		return nil, false
	}
	return append([]byte(magic), b...), true
}

// try sends a swap until there is an answer. It never says conflict of one that an
// earlier attempt, whose answer was lost, may have done.
func (s *Store) try(ctx context.Context, key string, head, record []byte) (int64, error) {
	var last, lost error // the last error, and the last after which nobody knows
	for attempt := range attempts {
		if attempt > 0 {
			if err := pause(ctx, attempt); err != nil {
				return 0, err
			}
		}
		result, err := s.send(ctx, key, head, record)
		if err == nil && (result == swapped || lost == nil) {
			return result, nil
		}
		if err == nil {
			last = errors.New("another record is there now")
			break
		}
		if errors.Is(err, ErrUnconfirmed) {
			return 0, err
		}
		last = err
		switch {
		case isAnswer(err): // and nothing was written
			if !passes(err) {
				return 0, doubtful(err, lost)
			}
		case errors.Is(err, redis.ErrClosed):
			return 0, doubtful(err, lost)
		case !unsent(err):
			lost = err
		}
		s.askAnew(ctx)
	}
	return 0, doubtful(last, lost)
}

// askAnew has the client of a cluster ask who the masters are. It would otherwise go
// on, for a minute, with one that can't be reached any more.
func (s *Store) askAnew(ctx context.Context) {
	if c, ok := s.Client.(*redis.ClusterClient); ok {
		c.ReloadState(ctx)
	}
}

// doubtful is the error of a swap that failed with err, after an answer was lost
// unless lost is nil.
func doubtful(err, lost error) error {
	if lost == nil {
		return explain(err)
	}
	if lost == err {
		return fmt.Errorf("redisstore: the server's answer was lost, and the record may have been written or not: read it again: %w", lost)
	}
	return fmt.Errorf("redisstore: the server's answer was lost, and the record may have been written or not: read it again: %w; then: %w", lost, err)
}

// pause waits before another attempt: up to 20, 80 and 320 milliseconds.
func pause(ctx context.Context, attempt int) error {
	longest := 5 * time.Millisecond << (2 * attempt)
	timer := time.NewTimer(longest/2 + rand.N(longest/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send sends a swap once, and returns what the script returned.
func (s *Store) send(ctx context.Context, key string, head, record []byte) (int64, error) {
	send := s.run
	if s.WaitReplicas > 0 {
		send = s.runAndWait
	}
	result, err := send(ctx, func() once { return newSwap(ctx, "evalsha", swapScript.Hash(), key, head, record) }, key)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		result, err = send(ctx, func() once { return newSwap(ctx, "eval", swapSource, key, head, record) }, key)
	}
	return result, err
}

func (s *Store) run(ctx context.Context, command func() once, _ string) (int64, error) {
	cmd := command()
	if err := s.Client.Process(ctx, cmd); err != nil {
		return 0, err
	}
	return cmd.Int64()
}
