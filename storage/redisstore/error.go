package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// refusal is an error by which a server says that it did nothing.
type refusal struct {
	word   string // that the error begins with
	passes bool   // it may be over in a moment
	advice string
}

var refusals = []refusal{
	{"READONLY", true, "this server is a replica: let Client lead to the master, through Sentinel with redis.NewFailoverClient or with redis.NewClusterClient"},
	{"MOVED", true, "this server is part of a cluster: make Client with redis.NewClusterClient"},
	{"ASK", true, "the cluster is moving this key to another server: try again later; Client must be made with redis.NewClusterClient"},
	{"TRYAGAIN", true, "the cluster is moving this key to another server: try again later"},
	{"CLUSTERDOWN", true, "the cluster doesn't serve this key: see redis-cli --cluster check"},
	{"LOADING", true, "the server has just started and is loading its data: try again later"},
	{"MASTERDOWN", true, "this server is a replica that lost its master: let Client lead to the master"},
	{"NOREPLICAS", true, "fewer replicas are connected than the server's min-replicas-to-write: bring them back"},
	{"BUSY", true, "a script of someone else's is blocking the server: see SCRIPT KILL"},
	{"ERR max number of clients", true, "raise the server's maxclients, or give Client a smaller PoolSize"},
	{"OOM", false, "the server has reached its maxmemory: give it more memory; don't let it evict"},
	{"MISCONF", false, "the server can't write to its disk, and accepts no write until it can: see its log"},
	{"NOAUTH", false, "give Client the server's password"},
	{"WRONGPASS", false, "give Client the right user and password"},
	{"NOPERM", false, "allow this user what the documentation of redisstore lists"},
	{"DENIED", false, "give the server a password: it is in protected mode"},
	{"ERR unknown command", false, "the Store needs the commands that the documentation of redisstore lists"},
}

// refused returns what a server that did nothing meant by err. It is nil for an
// error of another kind: what a proxy invents may come after a write.
func refused(err error) *refusal {
	for i, r := range refusals {
		if says(err, r.word) {
			return &refusals[i]
		}
	}
	return nil
}

// says tells whether err is a server's that begins with a word. Before Redis 7 a script's
// error has the word in the middle.
func says(err error, word string) bool {
	if !isAnswer(err) {
		return false
	}
	msg := err.Error()
	return strings.HasPrefix(msg, word+" ") || strings.Contains(msg, ": "+word+" ") || strings.Contains(msg, ": -"+word+" ")
}

// isAnswer says whether err is a server's.
func isAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// unsentError is an error of something that went before the write.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

// unsent says whether the command certainly never left, or did nothing.
func unsent(err error) bool {
	var before unsentError
	var op *net.OpError
	return errors.As(err, &before) || errors.As(err, &op) && op.Op == "dial" ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed)
}

// failure is what a method that reads returns for err: the context's error if that
// is why.
func failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("redisstore: %w", advised(err))
}

// doubtful is the error of a write that may have been done before err.
func doubtful(err error) error {
	return fmt.Errorf("redisstore: the record may have been written or not: read it again: %w", err)
}

// advised adds what to do about err.
func advised(err error) error {
	if errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("%w (close the client after the last use of the Store)", err)
	}
	if r := refused(err); r != nil {
		return fmt.Errorf("%w (%s)", err, r.advice)
	}
	return err
}
