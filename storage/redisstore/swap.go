package redisstore

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oauth2keep/oauth2keep/storage"
)

// loadSource is a script although GET would do: a script is sent to the master, whatever
// the client does with commands that only read. Scripts are sent as they are: their
// names are SHA-1 hashes, which FIPS 140 forbids, and they are short.
const loadSource = `return redis.call('GET', KEYS[1])`

// headSource begins the scripts that write: head is what a record begins with, and foreign
// whether there is something else, of any type.
const headSource = `
local kind = redis.call('TYPE', KEYS[1]).ok
local head = kind == 'string' and redis.call('GETRANGE', KEYS[1], 0, 20) or ''
local foreign = kind ~= 'none' and (#head < 21 or string.sub(head, 1, 5) ~= 'o2kr\1')
`

// swapSource replaces or, if ARGV[2] is empty, deletes a record whose head is
// ARGV[1]. A record whose head is already the new one was written by an earlier
// attempt of the same Put; it is written again, so that a WAIT on this connection
// waits for it. Nothing is created later than ARGV[3], in milliseconds of the server's
// clock: what arrives when its sender has given up could bring back a record that was
// deleted since. A replacement or a deletion needs no such limit, for then there is
// another version.
const swapSource = headSource + `
if foreign then
	return -1
end
if head ~= ARGV[1] and (ARGV[2] == '' or head ~= string.sub(ARGV[2], 1, 21)) then
	return 0
end
if head == '' and ARGV[2] ~= '' then
	local now = redis.call('TIME')
	if now[1] * 1000 + now[2] / 1000 > ARGV[3] + 0 then
		return -2
	end
end
if ARGV[2] ~= '' then
	redis.call('SET', KEYS[1], ARGV[2])
elseif head ~= '' then
	redis.call('DEL', KEYS[1])
end
return 1`

// discardSource deletes what Get can't read.
const discardSource = headSource + `
if head ~= '' and not foreign then
	return 0
end
redis.call('DEL', KEYS[1])
return 1`

// What the scripts return.
const (
	late     = -2
	foreign  = -1
	conflict = 0
	swapped  = 1
)

// clockSource returns the time of the server that has a key, in milliseconds.
const clockSource = `local now = redis.call('TIME') return now[1] * 1000 + now[2] / 1000`

var errLate = errors.New("the server got to it too late: see whether it is overloaded, or its clock was set")

// attempts is how often a command is sent before its error is the caller's.
const attempts = 4

// once is a command that the client sends at most once. By default it repeats a
// command whose answer was lost, and the second run of a swap sees the first one's
// record as somebody else's. The Store repeats it itself, and knows that it did.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// swap replaces the record of name, or deletes it if there is no new one.
func (s *Store) swap(ctx context.Context, name string, old storage.Version, record []byte) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	head, ok := headOf(old)
	if !ok {
		return storage.ErrConflict // no record ever had that version
	}
	return s.settle(ctx, name, func() (int64, error) { return s.swapOnce(ctx, s.key(name), head, record) })
}

// settle has a script sent until there is an answer, and returns what that means.
func (s *Store) settle(ctx context.Context, name string, send func() (int64, error)) error {
	result, err := await(ctx, func() (int64, error) { return s.try(ctx, send) })
	switch {
	case err != nil && errors.Is(err, ctx.Err()):
		return doubtful(ctx.Err())
	case err != nil:
		return err
	case result == conflict:
		return storage.ErrConflict
	case result == foreign:
		return fmt.Errorf("%w: %w", storage.ErrConflict, s.unusable(name))
	case result != swapped:
		return doubtful(fmt.Errorf("the server answered %d to a script that doesn't: is there a proxy in between?", result))
	}
	return nil
}

// headOf returns what a record of version v begins with, and false if none can.
func headOf(v storage.Version) (head string, ok bool) {
	if v == "" {
		return "", true
	}
	b, err := hex.DecodeString(string(v))
	return magic + string(b), err == nil && len(b) == versionSize && hex.EncodeToString(b) == string(v)
}

// try has a script sent until there is an answer. It never says conflict of one that an
// earlier attempt, whose answer was lost, may have done.
func (s *Store) try(ctx context.Context, send func() (int64, error)) (int64, error) {
	var lost, last error // the last after which nobody knows, and the last since then
	for attempt := 0; attempt < attempts && pause(ctx, attempt); attempt++ {
		result, err := send()
		r := refused(err)
		switch {
		case err == nil && (result == swapped || lost == nil), errors.Is(err, ErrUnconfirmed):
			return result, err
		case err == nil:
			return 0, doubtful(fmt.Errorf("another record or none is there now, and before that: %w", lost))
		case r != nil || unsent(err):
			last = err
		default:
			lost, last = err, nil
		}
		if r != nil && !r.passes || r == nil && isAnswer(err) || errors.Is(err, redis.ErrClosed) {
			break
		}
		s.askAnew(ctx)
	}
	if lost == nil {
		return 0, fmt.Errorf("redisstore: nothing was written: %w", advised(last))
	}
	if last != nil {
		lost = fmt.Errorf("%w; then: %w", lost, advised(last))
	}
	return 0, doubtful(lost)
}

// askAnew has the client of a cluster ask who the masters are. It would otherwise go
// on, for a minute, with one that can't be reached any more.
func (s *Store) askAnew(ctx context.Context) {
	if c, ok := s.Client.(*redis.ClusterClient); ok {
		c.ReloadState(ctx)
	}
}

// pause waits before another attempt: up to 20, 80 and 320 milliseconds. It returns false
// if ctx is done meanwhile.
func pause(ctx context.Context, attempt int) bool {
	if attempt == 0 {
		return true
	}
	longest := 5 * time.Millisecond << (2 * attempt)
	select {
	case <-time.After(longest/2 + rand.N(longest/2)):
		return true
	case <-ctx.Done():
		return false
	}
}

// swapOnce sends a swap once, and returns what the script returned.
func (s *Store) swapOnce(ctx context.Context, key, head string, record []byte) (int64, error) {
	var limit int64
	if head == "" && record != nil {
		now, err := s.Client.Eval(ctx, clockSource, []string{key}).Int64()
		if err != nil {
			return 0, unsentError{err}
		}
		limit = now + s.patience(ctx).Milliseconds()
	}
	result, err := s.send(ctx, swapSource, key, head, record, limit)
	if result == late {
		err = unsentError{errLate}
	}
	return result, err
}

// send sends a script once, and returns what it returned.
func (s *Store) send(ctx context.Context, source, key string, args ...any) (int64, error) {
	script := once{redis.NewCmd(ctx, append([]any{"eval", source, 1, key}, args...)...)}
	if s.WaitReplicas > 0 {
		return s.sendAndWait(ctx, script, key)
	}
	s.Client.Process(ctx, script)
	return script.Int64()
}

// patience is how long the client waits for an answer.
func (s *Store) patience(ctx context.Context) time.Duration {
	var t time.Duration
	switch c := s.Client.(type) {
	case *redis.Client:
		t = c.Options().ReadTimeout
	case *redis.ClusterClient:
		t = c.Options().ReadTimeout
	}
	if t <= 0 {
		t = 3 * time.Second
	}
	if end, ok := ctx.Deadline(); ok {
		t = min(t, time.Until(end))
	}
	return t
}

// sendAndWait sends a script and a WAIT. WAIT is about what its own connection wrote, and
// so both go in one pipeline, which is one connection: on another one WAIT would
// answer at once that every replica has everything. For the same reason the pipeline is
// a master's and not the cluster's, which would send a script that is redirected to
// another server, and not the WAIT.
func (s *Store) sendAndWait(ctx context.Context, script once, key string) (int64, error) {
	node, _ := s.Client.(*redis.Client)
	if c, ok := s.Client.(*redis.ClusterClient); ok {
		var err error
		if node, err = c.MasterForKey(ctx, key); err != nil {
			return 0, err
		}
	}
	wait := max(cmp.Or(s.WaitTimeout, time.Second), time.Millisecond) // WAIT counts in these, and 0 is for ever
	if t := node.Options().ReadTimeout; t > 0 {
		node = node.WithTimeout(t + wait)
	}
	confirmed := redis.NewIntCmd(ctx, "wait", s.WaitReplicas, wait.Milliseconds())
	pipe := node.Pipeline()
	pipe.Process(ctx, script)
	pipe.Process(ctx, confirmed)
	pipe.Exec(ctx) // each command has its own error
	result, err := script.Int64()
	if err != nil || result != swapped {
		return result, err
	}
	switch n, err := confirmed.Result(); {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	case n < int64(s.WaitReplicas):
		return 0, fmt.Errorf("%w: %d of %d within %v; look at INFO replication on the master", ErrUnconfirmed, n, s.WaitReplicas, wait)
	}
	return result, nil
}
