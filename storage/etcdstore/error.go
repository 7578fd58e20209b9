package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// known are errors of etcd, and what to do.
var known = []struct {
	err    error
	advice string
}{
	{rpctypes.ErrNoSpace, "etcd has reached its quota: compact, defragment, and disarm the alarm, see etcdctl alarm list; Get and Delete still work"},
	{rpctypes.ErrRequestTooLarge, "raise the server's --max-request-bytes, or store less"},
	{rpctypes.ErrPermissionDenied, "grant this user's role readwrite on the Prefix"},
	{rpctypes.ErrUserEmpty, "give Client a Username and a Password"},
	{rpctypes.ErrAuthFailed, "give Client the right Username and Password"},
	{rpctypes.ErrInvalidAuthToken, "try again: the client logs in anew"},
	{rpctypes.ErrAuthOldRevision, "try again: users or roles were changed meanwhile"},
	{rpctypes.ErrTooManyRequests, "try again later: etcd is overloaded"},
	{rpctypes.ErrCorrupt, "a member's data differ from the others': see etcdctl alarm list"},
}

// failure is what a method that reads returns for err: the context's error if that is
// why.
func failure(ctx context.Context, err error) error {
	if done := ended(ctx, err); done != nil {
		return done
	}
	return fmt.Errorf("etcdstore: %w", advised(err))
}

// ended returns the context's error if that is why a call failed with err. The server knows
// the deadline, and may be the first to notice that it has passed: gRPC has its answer as an
// error without a code.
func ended(ctx context.Context, err error) error {
	if _, limited := ctx.Deadline(); limited && strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// unwritten is the error of a write. Only a refusal says that nothing was written: after a
// time-out the leader, or the next one, may still do it.
func unwritten(ctx context.Context, err error) error {
	what, refused := advice(err)
	done := ended(ctx, err)
	switch {
	case refused:
		return fmt.Errorf("etcdstore: nothing was written: %w", advised(err))
	case what == "" && done != nil:
		err = done
	default:
		err = advised(err)
	}
	return fmt.Errorf("etcdstore: the record may have been written or not: read it again: %w", err)
}

// advice says what to do about an error, and is "" where nothing is known. If refused, it
// came before anything was written. Not so the one that tells of the quota: the write
// that reaches it is done, and gets that error too.
func advice(err error) (what string, refused bool) {
	var told rpctypes.EtcdError
	if !errors.As(rpctypes.Error(err), &told) {
		return "", false
	}
	for _, k := range known {
		if told == k.err {
			return k.advice, told != rpctypes.ErrNoSpace
		}
	}
	return "", false
}

// advised adds what to do about err, whose context isn't done.
func advised(err error) error {
	what, _ := advice(err)
	if clientv3.IsConnCanceled(err) {
		what = "close the client after the last use of the Store"
	}
	if what == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, what)
}
