package tokensource

import (
	"context"
	"errors"
	"fmt"

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
	s := m.Source(key)
	l := s.newLease()
	defer l.release()
	gone, err := s.disconnect(ctx, l)
	if err == nil && gone {
		l.release() // the callback may connect it again
		m.emit(ctx, Event{Kind: EventDisconnected, Connection: key})
	}
	return err
}

// disconnect revokes and deletes, and reports whether it did either.
func (s *Source) disconnect(ctx context.Context, l *lease) (gone bool, err error) {
	var revoked *record
	for {
		if err := s.savePending(ctx); err != nil {
			return false, err // what is unsaved would have to be revoked too
		}
		c, err := s.m.load(ctx, s.key)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			s.forget(context.WithoutCancel(ctx))
			return revoked != nil, nil
		case err != nil:
			return false, err
		case revoked != nil && !c.Login.Equal(revoked.Login):
			return false, nil // connected again meanwhile: that is the later decision
		}
		ok, err := l.acquire(ctx, c) // so that nobody refreshes it meanwhile
		if errors.Is(err, errBusy) {
			return false, ctx.Err()
		}
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		token := l.cell.token()
		l.keep(context.WithoutCancel(ctx))
		err = s.m.revoke(ctx, token)
		l.stop()
		if err != nil {
			_, _ = s.m.write(context.WithoutCancel(ctx), s.key, l.cell.with(nil, l.cell.Failure), l.cell.version) // else the lease ends it
			return false, fmt.Errorf("tokensource: can't revoke connection %q: %w", s.key, err)
		}
		revoked = l.cell.record
		if err := s.delete(context.WithoutCancel(ctx), l.cell.version); !errors.Is(err, storage.ErrConflict) {
			return err == nil, err
		}
	}
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
func (s *Source) delete(ctx context.Context, version storage.Version) error {
	_ = s.order.lock(ctx) // ctx is never done
	defer s.order.unlock()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := s.m.Store.Delete(ctx, s.key, version); err != nil {
		return fmt.Errorf("tokensource: can't delete connection %q: %w", s.key, err)
	}
	s.current.Store(nil)
	s.lastFailure.Store(nil)
	return nil
}

// forget drops what this process knows of a connection that is no more.
func (s *Source) forget(ctx context.Context) {
	if s.order.lock(ctx) == nil {
		defer s.order.unlock()
	}
	s.current.Store(nil)
	s.lastFailure.Store(nil)
}
