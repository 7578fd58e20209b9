package natsstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
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
// yields the first name: memory is needed for all names, some 200 MB for a million.
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

// list returns the names of all records. The leader tells which subjects there are, and
// a consumer which of them have a record: that reads one replica, which may be behind
// at first, and passes over what is written again just then. Of those the leader is asked.
func (s *Store) list(ctx context.Context) (map[string]struct{}, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	stream, err := s.JetStream.Stream(ctx, s.stream())
	if err != nil {
		return nil, failure(ctx, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(s.subject(">")))
	if err != nil {
		return nil, failure(ctx, err)
	}
	w := walk{prefix: s.subject(""), unseen: info.State.Subjects, names: make(map[string]struct{}), end: info.State.LastSeq}
	if len(w.unseen) == 0 {
		return nil, nil
	}
	if err := s.consume(ctx, &w, stream); err != nil {
		return nil, failure(ctx, err)
	}
	for subject := range w.unseen {
		m, err := s.last(ctx, subject)
		if err != nil {
			return nil, err
		}
		if m != nil {
			w.see(subject, m.header())
		}
	}
	return w.names, nil
}

// consume reads the last message of each subject, up to the end of the walk.
func (s *Store) consume(ctx context.Context, w *walk, stream jetstream.Stream) error {
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubject:     s.subject(">"),
		HeadersOnly:       true,
		MemoryStorage:     true,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		stream.DeleteConsumer(after, consumer.CachedInfo().Name) // or it ends by its InactiveThreshold
	}()
	for last := time.Now(); !w.over; {
		before := w.delivered
		err := s.page(ctx, w, consumer)
		switch {
		case errors.Is(err, nats.ErrNoResponders) && time.Since(last) < silence:
			time.Sleep(5 * time.Millisecond) // servers get to know of a new consumer one by one
		case err != nil:
			return err
		case w.delivered > before:
			last = time.Now()
		case !w.over:
			return errBehind
		}
	}
	return nil
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
	prefix    string              // of subjects
	unseen    map[string]uint64   // subjects that the leader had, and that weren't read yet
	names     map[string]struct{} // of records
	delivered uint64              // messages so far
	end       uint64              // the leader's last message when the walk began
	over      bool
}

// take takes a consumer's next message.
func (w *walk) take(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if w.delivered++; meta.Sequence.Consumer != w.delivered {
		return errGap
	}
	w.see(m.Subject(), m.Headers())
	w.over = meta.Sequence.Stream >= w.end
	return nil
}

// see notes whether a subject has a record. If that is written during the walk it comes
// again, and a deletion comes as a marker.
func (w *walk) see(subject string, h nats.Header) {
	delete(w.unseen, subject)
	name, ok := nameOf(strings.TrimPrefix(subject, w.prefix), h.Get(nameHeader))
	switch {
	case !ok:
	case isMarker(h):
		delete(w.names, name)
	default:
		w.names[name] = struct{}{}
	}
}
