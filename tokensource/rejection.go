package tokensource

import (
	"context"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Reject says that the API refused t. Code that calls the API without [Manager.Client] uses
// it. If t is the connection's token, it isn't served any more: the next call refreshes it,
// or has the error [ErrLoginRequired] with ReasonRejected if there is no refresh token. A
// token that was replaced meanwhile is left alone, and so is one that a refresh brought less
// than a minute ago, and less than half of its life, in place of another that was refused: what
// is wrong then isn't the token. The first call of a Source reads the record, and does nothing
// if it can't.
func (s *Source) Reject(t *oauth2.Token) {
	if t == nil {
		return
	}
	// The Source that gave t was collected, perhaps.
	if v := s.knownOrRead(context.Background()); v.record != nil && v.record.AccessToken == t.AccessToken {
		s.reject(v)
	}
}

// knownOrRead returns what is known of the connection, after a look at its record if that is
// nothing.
func (s *Source) knownOrRead(ctx context.Context) *view {
	if v := s.known(); v.record != nil {
		return v
	}
	return s.lookNow(ctx)
}

// lookNow returns what is known of the connection after a look at its record.
func (s *Source) lookNow(ctx context.Context) *view {
	v, began := s.known(), time.Now()
	if c, err := s.m.read(ctx, s.name); err == nil {
		s.publish(v, c.record, began)
	}
	return s.known()
}

// ResetTokenOlderThan is [Source.Reject] for who knows when the request was made that the API
// refused, and not with which token: a token that was issued before t isn't served any more,
// and one that was issued since, perhaps to replace it, is left alone. With this method a
// Source is a transport.ResettableTokenSource of k8s.io/client-go.
func (s *Source) ResetTokenOlderThan(t time.Time) {
	v := s.known()
	if v.record != nil && (v.record.Obtained.Before(t) || isFuture(v.record.Obtained, time.Now())) {
		s.reject(v)
	}
}

// reject notes that the API refused this very token, and reports whether another is worth
// trying. It isn't if the token is new and came because the one before was refused: what is
// wrong then isn't the token, which is served on. A token that was replaced meanwhile is left
// alone.
func (s *Source) reject(refused *view) (worthwhile bool) {
	now := time.Now()
	s.change(func(v *view) *view {
		if v.id() != refused.id() {
			worthwhile = true
			return v
		}
		was := refusal{}
		if v.refusal != nil {
			was = *v.refusal
		}
		if worthwhile = !now.Before(was.holdOff); !worthwhile || v.isRejected() {
			return v
		}
		if v.replacedLately(now) {
			worthwhile = false
			was.holdOff = now.Add(refusedFor)
		} else {
			was.at = now
		}
		next := *v
		next.refusal = &was
		return &next
	})
	return worthwhile
}

// markRejected notes that the API refused this very token, whatever becomes of it, and reports
// whether that was news.
func (s *Source) markRejected(refused *view) (news bool) {
	s.change(func(v *view) *view {
		if news = v.id() == refused.id() && !v.isRejected(); !news {
			return v
		}
		next := *v
		next.refusal = &refusal{at: time.Now()}
		return &next
	})
	return news
}

// RequireLogin records that the connection whose stored token is t has ended, as the
// provider has said otherwise than by refusing the token: by a webhook, or when it was asked
// about the token. The code is the provider's, or "". From then on every process has
// [ErrLoginRequired] with ReasonRejected, until a new login is saved.
//
// If t isn't the connection's token any more, nothing is recorded and the error is nil: such
// news can be late, and the user may have connected again. So take t from [Source.Stored]
// before asking the provider whether it is still good. If there is no record, or it can't be
// read or is another registration's, the error is an [*Error], and nothing is recorded. If it
// can't be written, that may have happened or not: call RequireLogin again.
//
// A two-legged grant has no user who could log in: there it is [Source.Reject], and the next
// call obtains another token.
func (s *Source) RequireLogin(ctx context.Context, t *oauth2.Token, code string) error {
	set, err := s.m.settings()
	switch {
	case err != nil:
		return err
	case t == nil || t.AccessToken == "" && t.RefreshToken == "":
		return nil
	case set.twoLegged:
		s.Reject(t)
		return nil
	}
	return s.recordEnd(ctx, s.known(), code, func(stored *record) bool {
		return stored.AccessToken == t.AccessToken && stored.RefreshToken == t.RefreshToken
	})
}

// recordRejection records that the API has ended the connection.
func (s *Source) recordRejection(v *view, code string) {
	if !s.markRejected(v) {
		return // someone else is at it, or it was replaced
	}
	// If that fails the next call records it.
	_ = s.recordEnd(context.Background(), v, code, func(stored *record) bool { return stored.is(v.record.ID) })
}

// recordEnd records that the provider has ended the connection whose record is the one, and
// tells of it. It does nothing if that is recorded already, unless by a write of ours that
// seemed to fail: that is told once a write has returned nil.
func (s *Source) recordEnd(ctx context.Context, known *view, code string, isOne func(stored *record) bool) error {
	began := time.Now()
	f := failure{Reason: ReasonRejected, Code: code, At: wall(began), Final: true}
	var next *record
	again := false
	c, changed, err := s.m.update(ctx, s.name, versioned{}, func(stored *record) *record {
		again = s.m.hasNews(stored)
		switch {
		case stored == nil || !isOne(stored):
			next = nil
		case again:
			next = stored // written once more
		default:
			if !isPrintable(code, stored.AccessToken) || !isPrintable(code, stored.RefreshToken) {
				f.Code = ""
			}
			next = stored.ended(stored.ID, f)
		}
		return next
	})
	if err != nil && next != nil && !again {
		s.m.keepNews(news{EventLoginRequired, next.ID}, next.Failure.At)
	}
	if err != nil || !changed {
		return err
	}
	taken := s.m.takeNews(news{EventLoginRequired, c.ID})
	s.publish(known, c.record, began)
	if again && !taken {
		return nil // someone else tells it
	}
	s.m.emit(ctx, Event{Kind: EventLoginRequired, Connection: s.name, Reason: c.Failure.Reason, Err: newError(s.name, *c.Failure, nil)})
	return nil
}

// isPrintable reports whether code looks like an error code, and neither is a part of the token
// nor has it in it: an API may repeat what it was sent.
func isPrintable(code, token string) bool {
	if tokenerror.RefusalOf(code) != tokenerror.RefusalUnknown {
		return true
	}
	short, long := code, token
	if len(short) > len(long) {
		short, long = long, short
	}
	const secret = 8 // bytes in common
	return tokenerror.LooksLikeCode(code) && (len(short) < secret || !strings.Contains(long, short))
}
