package tokensource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Disconnect revokes the connection's grant at the provider, if Config can, and
// then deletes its record. If the revocation fails the record stays, so that it can
// be tried again. Disconnecting what isn't connected does nothing. A login that is
// saved while the old one is being revoked stays.
//
// It waits for a refresh that is in flight, here or elsewhere: what that brings has
// to be revoked too.
func (m *Manager) Disconnect(ctx context.Context, key string) error {
	if err := m.check(); err != nil {
		return err
	}
	d := &disconnection{turn: &turn{s: m.Source(key), m: m, ctx: context.WithoutCancel(ctx), waiting: ctx}}
	defer d.unlock()
	for {
		switch what, err := d.try(); {
		case err != nil:
			return err
		case what == disconnected:
			d.unlock() // the callback may connect it again
			m.emit(ctx, Event{Kind: EventDisconnected, Key: key})
			return nil
		case what == nothingThere:
			return nil
		}
	}
}

// disconnection is the work of one call of Disconnect.
type disconnection struct {
	*turn
	revoked *record // what was revoked, if the revocation has happened
}

// progress is what came of one attempt.
type progress int

const (
	changedMeanwhile progress = iota // look again
	nothingThere
	disconnected
)

// try makes one attempt.
func (d *disconnection) try() (progress, error) {
	s, m, ctx := d.s, d.m, d.waiting
	if err := s.savePending(ctx); err != nil {
		return 0, err // what is unsaved would have to be revoked too
	}
	if !d.locked {
		if err := d.lock(ctx); err != nil {
			return 0, err
		}
	}
	rec, version, err := m.read(ctx, s.key)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.forget(d.ctx)
		if d.revoked != nil {
			return disconnected, nil
		}
		return nothingThere, nil
	case err != nil:
		return 0, err
	case d.revoked != nil && !rec.Login.Equal(d.revoked.Login):
		return nothingThere, nil // connected again meanwhile: that is the later decision
	case d.othersAttempt(rec) && !d.locked && !d.leaseIsOver(version):
		return changedMeanwhile, d.wait()
	}
	mine := *rec
	mine.InDoubt = mine.InDoubt || d.othersAttempt(rec)
	start := time.Now()
	version, err = d.claim(ctx, &mine, version) // so that nobody refreshes it meanwhile
	if errors.Is(err, storage.ErrConflict) {
		return changedMeanwhile, nil
	}
	if err != nil {
		return 0, err
	}
	keep := newKeeper(d.turn, &mine, version, start)
	err = m.revoke(ctx, mine.token())
	version = keep.stop()
	if err != nil {
		mine.Attempt = nil
		_, _ = m.write(d.ctx, s.key, &mine, version) // else the lease ends it
		return 0, fmt.Errorf("tokensource: can't revoke connection %q: %w", s.key, err)
	}
	d.revoked = &mine
	return d.delete(version)
}

// revoke revokes t at the provider, if that is possible.
func (m *Manager) revoke(ctx context.Context, t *oauth2.Token) error {
	revoker, ok := m.Config.(interface {
		Revoke(context.Context, *oauth2.Token) error
	})
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(m.withClient(ctx), m.refreshTimeout())
	defer cancel()
	if err := revoker.Revoke(ctx, t); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// delete deletes the record, also if the caller has gone meanwhile: what is revoked
// is no use to anyone.
func (d *disconnection) delete(version storage.Version) (progress, error) {
	s := d.s
	_ = s.order.lock(d.ctx) // d.ctx is never done
	defer s.order.unlock()
	ctx, cancel := context.WithTimeout(d.ctx, storeTimeout)
	defer cancel()
	err := d.m.Store.Delete(ctx, s.key, version)
	if errors.Is(err, storage.ErrConflict) {
		return changedMeanwhile, nil // connected again, or taken over from us
	}
	if err != nil {
		return 0, fmt.Errorf("tokensource: can't delete connection %q: %w", s.key, err)
	}
	s.current.Store(nil)
	s.lastFailure.Store(nil)
	return disconnected, nil
}

// wait waits before someone else's attempt is looked at again.
func (d *disconnection) wait() error {
	timer := time.NewTimer(pollMax/2 + time.Duration(d.m.random()*float64(pollMax/2)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.waiting.Done():
		return d.waiting.Err()
	}
}

// forget drops what this process knows of a connection that is no more.
func (s *Source) forget(ctx context.Context) {
	if s.order.lock(ctx) == nil {
		defer s.order.unlock()
	}
	s.current.Store(nil)
	s.lastFailure.Store(nil)
}
