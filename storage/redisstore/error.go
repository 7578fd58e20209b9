package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// advice is what to do about an error of the server, by the word that it begins
// with.
var advice = []struct{ word, text string }{
	{"READONLY", "this server is a replica: let Client lead to the master, through Sentinel with redis.NewFailoverClient or with redis.NewClusterClient"},
	{"MOVED", "this server is part of a cluster: make Client with redis.NewClusterClient"},
	{"ASK", "this server is part of a cluster: make Client with redis.NewClusterClient"},
	{"CLUSTERDOWN", "the cluster doesn't serve this key: see redis-cli --cluster check"},
	{"TRYAGAIN", "the cluster is moving this key to another server: try again later"},
	{"LOADING", "the server has just started and is loading its data: try again later"},
	{"MASTERDOWN", "this server is a replica that lost its master: let Client lead to the master"},
	{"NOREPLICAS", "fewer replicas are connected than the server's min-replicas-to-write: bring them back"},
	{"OOM", "the server has reached its maxmemory, and nothing was written: give it more memory; don't let it evict"},
	{"MISCONF", "the server can't write to its disk: see its log"},
	{"BUSY", "a script of someone else's is blocking the server: see SCRIPT KILL"},
	{"WRONGTYPE", "something else is stored under this Redis key: move it away, or set another Prefix"},
	{"NOAUTH", "give Client the server's password"},
	{"WRONGPASS", "give Client the right user and password"},
	{"NOPERM", "allow this user what the documentation of redisstore lists"},
}

// failure is what a method returns for err: the context's error if that is why.
func failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return explain(err)
}

// explain adds what to do about err.
func explain(err error) error {
	if errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("redisstore: %w (close the client after the last use of the Store)", err)
	}
	if isAnswer(err) {
		for _, a := range advice {
			if has(err, a.word) {
				return fmt.Errorf("redisstore: %w (%s)", err, a.text)
			}
		}
	}
	return fmt.Errorf("redisstore: %w", err)
}

// has says whether a server's error has the code word: in front, or, from a script
// on servers before Redis 7, in the middle.
func has(err error, word string) bool {
	msg := err.Error()
	return strings.HasPrefix(msg, word+" ") || strings.Contains(msg, ": "+word+" ") || strings.Contains(msg, ": -"+word+" ")
}

// isAnswer says whether the server itself refused. None of its errors comes after
// something was written.
func isAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// passes says whether what the server complains of may be over in a moment.
func passes(err error) bool {
	for _, word := range []string{"READONLY", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "MASTERDOWN", "NOREPLICAS", "MOVED", "ASK", "BUSY"} {
		if has(err, word) {
			return true
		}
	}
	return redis.IsMaxClientsError(err)
}

// unsent says whether the command certainly never left.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted)
}
