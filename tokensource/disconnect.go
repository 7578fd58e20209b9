package tokensource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// A Revoker is a Refresher that can revoke a grant at the provider (RFC 7009). *endpoints.Config
// is one.
type Revoker interface {
	// Revoke ends the grant of t, and returns nil as well if it has ended before. The
	// error is errors.ErrUnsupported if the provider has no way to do so.
	Revoke(ctx context.Context, t *oauth2.Token) error
}

// Disconnect revokes the connection's grant at the provider and then deletes its record. If
// the revocation fails the record stays, so that it can be tried again. Disconnecting what
// isn't connected does nothing. A login that is saved while the old one is being revoked
// stays.
//
// After an error of the store the record is perhaps deleted. Call it again: nil says that it
// is, for good, and [EventDisconnected] is told once, by the call that returns nil. A call of
// another Manager, as after a restart, tells only of what it deletes itself.
//
// If Config can't revoke, nothing is done, and the error is errors.ErrUnsupported: tell the
// user where to revoke the grant, and call [Manager.Forget].
//
// It waits for a refresh that is in flight, here or elsewhere: what that brings has
// to be revoked too.
func (m *Manager) Disconnect(ctx context.Context, name string) error {
	s := m.Source(name)
	gone, err := s.disconnect(ctx)
	if err == nil && gone {
		m.emit(ctx, Event{Kind: EventDisconnected, Connection: name})
	}
	return err
}

// disconnect revokes and deletes, and reports whether it did.
func (s *Source) disconnect(ctx context.Context) (gone bool, err error) {
	m, lease := s.m, s.newLease()
	defer lease.release()
	var revoked *record
	defer func() {
		if v := s.known(); err != nil && revoked != nil && v.login() == revoked.LoginID {
			s.markRejected(v) // what is revoked isn't served
		}
		if err != nil {
			s.takeBack(lease)
		}
	}()
	for {
		c, look, err := s.readLatest(ctx)
		switch {
		case errors.Is(err, storage.ErrConflict): // connected meanwhile
			if err := lease.pauseAfterConflict(ctx); err != nil {
				return false, err
			}
			continue
		case err != nil:
			return false, err
		case c.record == nil:
			return m.takeNews(news{EventDisconnected, s.name}) || revoked != nil, nil
		case revoked != nil && c.LoginID != revoked.LoginID:
			return false, nil // connected again meanwhile: that is the later decision
		}
		revoker, ok := m.Config.(Revoker)
		if !ok {
			return false, s.cannotRevoke()
		}
		ok, err = lease.acquire(ctx, c, look) // so that nobody refreshes it meanwhile
		if errors.Is(err, errBusy) {
			return false, ctx.Err()
		}
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		if err := s.revoke(ctx, revoker, lease); err != nil {
			return false, err
		}
		revoked = lease.current().record
		err = s.delete(lease.current())
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, storage.ErrConflict):
			if err := lease.pauseAfterConflict(ctx); err != nil {
				return false, err
			}
		default:
			s.giveBack(lease)
			return false, err
		}
	}
}

// readLatest reads the record whose token is to be revoked, and writes the later token of this
// process back if the store went back to an earlier one. The record is nil, and that is durable,
// if there is none; storage.ErrConflict says that there is one again.
func (s *Source) readLatest(ctx context.Context) (c versioned, look span, err error) {
	if err := s.trySave(ctx); err != nil {
		return versioned{}, look, err // what is unsaved would have to be revoked too
	}
	basis := s.known()
	look.began = time.Now()
	c, err = s.m.read(ctx, s.name)
	look.ended = time.Now()
	if err == nil {
		c, err = s.restored(ctx, basis.latest(), c)
	}
	if isReason(err, ReasonNotConnected) {
		c = versioned{}
		if err = s.m.confirmAbsent(ctx, s.name); err == nil {
			s.forget(basis.login(), nil)
		}
	}
	return c, look, err
}

func (s *Source) cannotRevoke() error {
	return fmt.Errorf("tokensource: connection %q can't be revoked by Manager.Config, a %T: %w (Manager.Forget deletes its record without that)",
		s.name, s.m.Config, errors.ErrUnsupported)
}

// revoke revokes the token under the lease. If that fails the lease is given up.
func (s *Source) revoke(ctx context.Context, revoker Revoker, lease *lease) error {
	token := lease.current().token()
	lease.keep()
	answers := guarded(func() (struct{}, error) {
		ctx, cancel := s.m.requestContext(ctx)
		defer cancel()
		return struct{}{}, revoker.Revoke(ctx, token)
	})
	a, ok := within(s.m.refreshTimeout(), answers)
	lease.stop()
	err := a.err
	switch {
	case !ok:
		err = errLate
	case err == nil:
		return nil
	}
	s.giveBack(lease)
	if errors.Is(err, errors.ErrUnsupported) {
		return s.cannotRevoke()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	o := outcomeOf(err, new(wire))
	if o.reason.loginRequired() { // the provider refuses what it should take for done
		o.reason = ReasonUnavailable
	}
	e := newError(s.name, failure{Reason: o.reason, Code: o.code}, err)
	e.action = "revoke the grant of"
	return e
}

// giveBack takes our attempt out of the record. Where that fails, the lease ends it.
func (s *Source) giveBack(lease *lease) {
	parent := lease.current()
	_, _, _ = s.m.update(context.Background(), s.name, parent, func(stored *record) *record {
		return stored.released(parent.ID, lease.id)
	})
	lease.gaveBack = true
}

// takeBack is giveBack for an attempt that was perhaps written, though it seemed to fail, and with
// which no token was asked for. The caller, who has left perhaps, doesn't wait for it. The record may
// be another registration's, if it was to be moved.
func (s *Source) takeBack(lease *lease) {
	m, id := s.m, lease.id
	if id == "" || lease.gaveBack {
		return // nothing was written, or nothing is left to do
	}
	unlock := lease.unlock
	lease.unlock = nil // who gets the lock would take the attempt for a dead one's
	m.inflight.add()
	go func() {
		defer m.inflight.done()
		if unlock != nil {
			defer unlock()
		}
		if c, err := m.load(context.Background(), s.name); err == nil && c.heldBy(id) {
			_, _ = m.write(context.Background(), s.name, c.released(c.ID, id), c.version)
		}
	}()
}

// delete deletes the record, also if the caller has gone meanwhile: what is revoked
// is no use to anyone.
func (s *Source) delete(c versioned) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := s.m.delete(s.name, func() error { return s.m.Store.Delete(ctx, s.name, c.version) }); err != nil {
		return s.m.storeError(s.name, err)
	}
	s.forget(c.LoginID, nil)
	return nil
}

// delete makes a call of the store that deletes the record of name. If it returns nil, it is the
// caller who tells of the deletion; otherwise delete remembers if that was perhaps done.
func (m *Manager) delete(name string, call func() error) error {
	n := news{EventDisconnected, name}
	before := m.takeNews(n) // in time for who finds no record before call has returned
	err := m.remove(name, call)
	if err != nil && (before || !errors.Is(err, storage.ErrConflict)) {
		m.keepNews(n, time.Time{})
	}
	return err
}

// discard deletes a record of name that can't be opened or read.
func (m *Manager) discard(ctx context.Context, name string) error {
	// One at a time, since Encrypted.Discard doesn't say whether there was something.
	if err := m.set.discards.lock(ctx); err != nil {
		return err
	}
	defer m.set.discards.unlock()
	if _, err := m.read(ctx, name); err == nil || isGone(err) {
		return storage.ErrConflict // someone else has deleted or replaced it
	}
	return m.delete(name, func() error { return m.Store.Discard(ctx, name) })
}

// confirmAbsent makes it durable that there is no record of name: a deletion that seemed to fail
// may have happened, and not for good.
func (m *Manager) confirmAbsent(ctx context.Context, name string) error {
	err := m.remove(name, func() error { return m.Store.Delete(ctx, name, "") })
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return m.storeError(name, err)
	}
	return nil
}

// Forget deletes the connection's record without telling the provider, also one that can't
// be opened or read: because its key is lost, a file is damaged, or a newer version wrote
// it. The grant lives on at the provider; [Manager.Disconnect] ends it. A record of another
// [Registration] is an error, and stays. Forgetting what isn't connected does nothing. After
// an error of the store, call it again, as with Disconnect.
func (m *Manager) Forget(ctx context.Context, name string) error {
	if _, err := m.settings(); err != nil {
		return err
	}
	s := m.Source(name)
	for try := 0; ; try++ {
		login := s.known().login()
		c, err := m.read(ctx, name)
		absent := isReason(err, ReasonNotConnected)
		switch {
		case absent:
			err = m.confirmAbsent(ctx, name)
		case isReason(err, ReasonOtherClient):
			return err
		case err == nil:
			login = c.LoginID
			err = m.delete(name, func() error { return m.Store.Delete(ctx, name, c.version) })
		case errors.Is(err, storage.ErrOpen), isRecordError(err):
			err = m.discard(ctx, name)
		}
		if errors.Is(err, storage.ErrConflict) && try < maxConflicts {
			if err := m.pause(ctx, try); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return m.storeError(name, err)
		}
		s.forget(login, nil)
		if !absent || m.takeNews(news{EventDisconnected, name}) {
			m.emit(ctx, Event{Kind: EventDisconnected, Connection: name})
		}
		return nil
	}
}
