package natsstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oauth2keep/oauth2keep/storage"
)

// DefaultBucket is the key-value bucket of a Store that names none.
const DefaultBucket = "oauth2keep"

// Store is a [storage.Store] and a [storage.Lister] in a key-value bucket of JetStream.
// JetStream is required, and the bucket has to be there. The fields must not be changed
// once a method was called. Methods may be called concurrently, and any number of
// processes on any number of machines may use the same bucket.
//
// What a nil error promises depends on how the servers are set up: see the documentation
// of this package, and [Store.Check].
type Store struct {
	// JetStream is what jetstream.New, or NewWithDomain, makes of the application's
	// connection. The Store never closes that.
	JetStream jetstream.JetStream

	// Bucket names the bucket, which must hold nothing else. Empty means
	// [DefaultBucket].
	Bucket string
}

var (
	_ storage.Store  = (*Store)(nil)
	_ storage.Lister = (*Store)(nil)
)

// Get implements [storage.Store]. It asks the leader of the bucket. KeyValue.Get of
// package jetstream asks any replica, which may be behind.
func (s *Store) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	key, _ := keyOf(name)
	last, err := s.last(ctx, s.subject(key))
	if err != nil {
		return nil, "", err
	}
	if last == nil || last.deleted() {
		return nil, "", storage.ErrNotFound
	}
	return last.Data, versionOf(last.Sequence), nil
}

// Put implements [storage.Store]. If ctx is done before the server answered, the record
// may be written nevertheless.
func (s *Store) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if err := s.check(ctx); err != nil {
		return "", err
	}
	sequence, ok := sequenceOf(old)
	if !ok {
		return "", storage.ErrConflict // no record ever had that version
	}
	m := s.message(name, value)
	written, err := s.publish(ctx, m, sequence)
	if old == "" && errors.Is(err, storage.ErrConflict) {
		// A deleted record has left a marker, which is what the new one follows.
		key, _ := keyOf(name)
		last, failed := s.last(ctx, s.subject(key))
		if failed != nil {
			return "", fmt.Errorf("natsstore: nothing was written: %w", failed)
		}
		if last != nil && last.deleted() {
			written, err = s.publish(ctx, m, last.Sequence)
		}
	}
	if err != nil {
		return "", err
	}
	return versionOf(written), nil
}

// Delete implements [storage.Store]. If ctx is done before the server answered, the
// record may be deleted nevertheless.
func (s *Store) Delete(ctx context.Context, name string, old storage.Version) error {
	if old == "" {
		switch _, _, err := s.Get(ctx, name); {
		case err == nil:
			return storage.ErrConflict
		case errors.Is(err, storage.ErrNotFound):
			return nil
		default:
			return err
		}
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	sequence, ok := sequenceOf(old)
	if !ok {
		return storage.ErrConflict
	}
	m := s.message(name, nil)
	m.Header.Set(operationHeader, "PURGE") // as KeyValue.Purge does: no older value stays
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	_, err := s.publish(ctx, m, sequence)
	return err
}

const (
	operationHeader = "KV-Operation"       // is there if a message is the marker of a deletion
	reasonHeader    = "Nats-Marker-Reason" // or of one that a server made
)

// isMarker says whether a message marks a deletion.
func isMarker(h nats.Header) bool {
	return h.Get(operationHeader) != "" || h.Get(reasonHeader) != ""
}

// message is what a record becomes.
func (s *Store) message(name string, value []byte) *nats.Msg {
	key, long := keyOf(name)
	m := nats.NewMsg(s.subject(key))
	if s.apiPrefix() != jetstream.DefaultAPIPrefix { // as KeyValue does: it leads to the other domain
		m.Subject = s.apiPrefix() + m.Subject
	}
	if long {
		m.Header.Set(nameHeader, escape(name))
	}
	m.Data = value
	return m
}

// publish writes a message if the last one of its subject is the one with a sequence
// number, or none if that is 0. It returns the number of the new one.
func (s *Store) publish(ctx context.Context, m *nats.Msg, sequence uint64) (uint64, error) {
	limited, cancel := s.limit(ctx)
	defer cancel()
	attended, done := s.attend(limited)
	defer done()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		ack, err := s.JetStream.PublishMsg(attended, m, jetstream.WithExpectStream(s.stream()),
			jetstream.WithExpectLastSequencePerSubject(sequence))
		switch code := codeOf(err); {
		case err == nil:
			return ack.Sequence, nil
		case code == jetstream.JSErrCodeStreamWrongLastSequence:
			return 0, storage.ErrConflict
		case code != jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			return 0, unwritten(ctx, err)
		}
		// The leader didn't look: another write of this record is on its way to the replicas.
		select {
		case <-time.After(pause):
		case <-attended.Done():
			return 0, fmt.Errorf("natsstore: nothing was written: another write of this record is under way: %w", context.Cause(attended))
		}
	}
}

// stored is a message as the leader returns it.
type stored struct {
	Sequence uint64 `json:"seq"`
	Headers  []byte `json:"hdrs"`
	Data     []byte `json:"data"`
}

// header returns the headers of m, nil if it has none.
func (m *stored) header() nats.Header {
	h, _ := nats.DecodeHeadersMsg(m.Headers)
	return h
}

// deleted says whether m is the marker of a deletion.
func (m *stored) deleted() bool { return isMarker(m.header()) }

// answer is what came of asking once.
type answer struct {
	message *stored // nil: there is none
	err     error
}

// last asks the leader for the last message of a subject, nil if there is none. It asks
// again each second until ctx is done, since what is asked while there is no leader is never
// answered; but an answer that takes longer, as of a large record on a slow line, is taken too.
// Package jetstream asks any replica if the bucket allows it, as all do that it makes.
func (s *Store) last(ctx context.Context, subject string) (*stored, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	limited, cancel := s.limit(ctx)
	defer cancel() // of what is still asked
	answers := make(chan answer)
	for {
		go s.askInto(limited, subject, answers)
		select {
		case a := <-answers:
			switch {
			case a.err == nil:
				return a.message, nil
			case codeOf(a.err) == codeNoLeader:
				select {
				case <-time.After(time.Second):
				case <-limited.Done():
				}
			case limited.Err() == nil && !errors.Is(a.err, context.Canceled): // which is a broken connection
				return nil, failure(ctx, a.err)
			}
		case <-time.After(time.Second):
		case <-limited.Done():
		}
		if limited.Err() != nil {
			return nil, failure(ctx, limited.Err())
		}
	}
}

// askInto asks once, unless the connection breaks before the answer has come.
func (s *Store) askInto(ctx context.Context, subject string, answers chan<- answer) {
	attended, done := s.attend(ctx)
	defer done()
	m, err := s.ask(attended, subject)
	select {
	case answers <- answer{m, err}:
	case <-ctx.Done():
	}
}

// ask asks once. While there is no leader, that is never answered, or by codeNoLeader.
func (s *Store) ask(ctx context.Context, subject string) (*stored, error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return nil, err
	}
	answer, err := s.JetStream.Conn().RequestWithContext(ctx, s.apiPrefix()+"STREAM.MSG.GET."+s.stream(), request)
	if err != nil {
		return nil, err
	}
	var told struct {
		Message *stored             `json:"message"`
		Error   *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(answer.Data, &told); {
	case err != nil:
		return nil, err
	case told.Error != nil && told.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case told.Error != nil:
		return nil, told.Error
	case told.Message == nil:
		return nil, errors.New("the server's answer holds no message")
	}
	return told.Message, nil
}

// limit is ctx with the deadline that package jetstream gives to one without.
func (s *Store) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, cmp.Or(s.JetStream.Options().DefaultTimeout, 5*time.Second), errSilent)
}

// attend returns a context that ends when the connection breaks: no answer comes then to
// what was sent.
func (s *Store) attend(ctx context.Context) (attended context.Context, done func()) {
	attended, end := context.WithCancelCause(ctx)
	broken := s.JetStream.Conn().StatusChanged(nats.RECONNECTING, nats.CLOSED)
	go func() {
		if _, ok := <-broken; ok {
			end(errBroken)
		}
	}()
	return attended, func() {
		s.JetStream.Conn().RemoveStatusListener(broken) // and closes it
		end(nil)
	}
}

// check is the beginning of every method.
func (s *Store) check(ctx context.Context) error {
	if s.JetStream == nil {
		return errors.New("natsstore: this Store has no JetStream: set it to what jetstream.New makes of the application's connection")
	}
	return ctx.Err()
}

func (s *Store) bucket() string { return cmp.Or(s.Bucket, DefaultBucket) }

// stream is the stream that is the bucket.
func (s *Store) stream() string { return "KV_" + s.bucket() }

// subject is that of a key, or of all keys if it is ">".
func (s *Store) subject(key string) string { return "$KV." + s.bucket() + "." + key }

// apiPrefix begins the subjects of requests to JetStream.
func (s *Store) apiPrefix() string {
	switch o := s.JetStream.Options(); {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

// versionOf is the version of a record whose last message has a sequence number, which
// counts the messages of the bucket.
func versionOf(sequence uint64) storage.Version {
	return storage.Version(strconv.FormatUint(sequence, 10))
}

// sequenceOf returns the sequence number of a version, 0 if there must be no record, and
// false if no record can have that version.
func sequenceOf(v storage.Version) (sequence uint64, ok bool) {
	if v == "" {
		return 0, true
	}
	sequence, err := strconv.ParseUint(string(v), 10, 64)
	return sequence, err == nil && sequence > 0 && versionOf(sequence) == v
}
