package natsstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// largest is the most that the message of a record takes, in bytes: what the contract of
// [storage.Store] promises, and headers, in which a long name is escaped.
const largest = 1<<20 + 1<<10 + 3*4096 + 512

// Check reads the settings of the bucket, and the server's max_payload, and returns an
// error that lists each under which records can be lost or don't fit, or nil if there is
// none: call it when the program starts, and decide.
//
// It can't see the most important one, which servers don't tell: sync_interval has to be
// always.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	stream, err := s.JetStream.Stream(ctx, s.stream())
	if err != nil {
		return failure(ctx, err)
	}
	c := stream.CachedInfo().Config
	payload := s.JetStream.Conn().MaxPayload()
	var found []error
	for _, p := range []struct {
		is   bool
		what string
	}{
		{c.Storage == jetstream.MemoryStorage, "is kept in memory: a restart loses all records: set Storage to FileStorage"},
		{c.PersistMode == jetstream.AsyncPersistMode, "is written asynchronously: a kill loses what was acknowledged: set PersistMode to the default"},
		{c.MaxAge > 0, fmt.Sprintf("lets records expire after %v: set TTL to 0", c.MaxAge)},
		{c.Discard == jetstream.DiscardOld && (c.MaxBytes > 0 || c.MaxMsgs > 0), "drops old records when it is full: set Discard to DiscardNew"},
		{c.Mirror != nil || len(c.Sources) > 0, "is a copy of another: let Bucket name that"},
		{c.MaxMsgsPerSubject != 1, "keeps replaced values: set History to 1"},
		{!c.AllowRollup || c.DenyPurge, "refuses deletions: make it with JetStream.CreateKeyValue"},
		{c.MaxMsgSize >= 0 && c.MaxMsgSize < largest, fmt.Sprintf("takes messages of up to %d bytes, and the largest record needs %d: raise MaxValueSize", c.MaxMsgSize, largest)},
		{payload < largest, fmt.Sprintf("is on a server that takes messages of up to %d bytes, and the largest record needs %d: raise its max_payload", payload, largest)},
	} {
		if p.is {
			found = append(found, fmt.Errorf("natsstore: the bucket %s %s", s.bucket(), p.what))
		}
	}
	return errors.Join(found...)
}
