package natsstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	pageSize = 1000            // messages that are asked for at a time
	silence  = 5 * time.Second // after which a walk gives up
)

var (
	errGap    = errors.New("messages were lost on their way, so that names may be missing: walk again")
	errBehind = fmt.Errorf("the replica that lists the names didn't get on for %v: walk again later", silence)
)

// Names implements [storage.Lister]. It reads the headers of all messages before it
// yields the first name: memory is needed for all names, some 100 MB for a million.
//
// A consumer reads one replica, which may be behind. Names goes on until that has come as
// far as the leader was when it was called, and never leaves out a record silently.
func (s *Store) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := s.list(ctx)
		if err != nil {
			yield("", err)
			return
		}
		for name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// list returns the names of all records.
func (s *Store) list(ctx context.Context) (map[string]struct{}, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	stream, err := s.JetStream.Stream(ctx, s.stream()) // asks the leader
	if err != nil {
		return nil, failure(ctx, err)
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return nil, nil
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubject:     s.subject(">"),
		HeadersOnly:       true,
		MemoryStorage:     true,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return nil, failure(ctx, err)
	}
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		stream.DeleteConsumer(after, consumer.CachedInfo().Name) // or it ends by its InactiveThreshold
	}()
	w := walk{prefix: s.subject(""), names: make(map[string]struct{}), end: state.LastSeq}
	for !w.over {
		before := w.delivered
		if err := s.page(ctx, &w, consumer); err != nil {
			return nil, failure(ctx, err)
		}
		if !w.over && w.delivered == before {
			return nil, failure(ctx, errBehind)
		}
	}
	return w.names, nil
}

// page reads the next messages.
func (s *Store) page(ctx context.Context, w *walk, consumer jetstream.Consumer) error {
	limited, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	attended, done := s.attend(limited)
	defer done()
	batch, err := consumer.Fetch(pageSize, jetstream.FetchContext(attended))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		if err := w.take(m); err != nil || w.over {
			return err
		}
	}
	if limited.Err() != nil {
		return nil // if that was silent, the walk is behind
	}
	return cmp.Or(context.Cause(attended), batch.Error())
}

// walk is what is known of the names so far.
type walk struct {
	prefix    string // of subjects
	names     map[string]struct{}
	delivered uint64 // messages so far
	end       uint64 // the leader's last message when the walk began
	over      bool
}

// take takes one message. A record that is written during the walk comes again, and a
// deletion comes as a marker.
func (w *walk) take(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if w.delivered++; meta.Sequence.Consumer != w.delivered {
		return errGap
	}
	h := m.Headers()
	if name, ok := nameOf(strings.TrimPrefix(m.Subject(), w.prefix), h.Get(nameHeader)); ok {
		if isMarker(h) {
			delete(w.names, name)
		} else {
			w.names[name] = struct{}{}
		}
	}
	w.over = meta.NumPending == 0 && meta.Sequence.Stream >= w.end
	return nil
}
