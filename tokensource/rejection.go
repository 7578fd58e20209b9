package tokensource

import (
	"context"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpauth"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// RequireLogin records that the connection whose stored token is t has ended, as the
// provider has said otherwise than by refusing the token: by a webhook, or when it was asked
// about the token. The code is the provider's, or "". From then on every process has
// [ErrLoginRequired] with ReasonRejected, until a new login is saved.
//
// If t isn't the connection's token any more, nothing is recorded and the error is nil: such
// news can be late, and the user may have connected again. So take t from [Source.Stored]
// before asking the provider whether it is still good. If there is no record, or it can't be
// read or written or is another registration's, the error is an [*Error], and nothing is
// recorded.
func (s *Source) RequireLogin(ctx context.Context, t *oauth2.Token, code string) error {
	if t == nil || t.AccessToken == "" && t.RefreshToken == "" {
		return nil
	}
	return s.recordEnd(ctx, s.known(), code, func(stored *record) bool {
		return stored.AccessToken == t.AccessToken && stored.RefreshToken == t.RefreshToken
	})
}

// recordRejection records that the API has ended the connection.
func (s *Source) recordRejection(v *view, code string) {
	if !s.refuse(v) {
		return // someone else is at it, or it was replaced
	}
	began := time.Now()
	err := s.recordEnd(context.Background(), v, code, func(stored *record) bool { return stored.is(v.record.ID) })
	if err != nil { // or else the next call records it
		s.untold(v.id(), wall(began))
	}
}

// recordEnd records that the provider has ended the connection whose record is the one, and
// tells of it. It does nothing if that is recorded already.
func (s *Source) recordEnd(ctx context.Context, known *view, code string, isOne func(stored *record) bool) error {
	began := time.Now()
	f := failure{Reason: ReasonRejected, Code: code, At: wall(began), Final: true}
	c, changed, err := s.m.update(ctx, s.name, versioned{}, func(stored *record) *record {
		if stored == nil || !isOne(stored) {
			return nil
		}
		if !isPrintable(code, stored.AccessToken) {
			f.Code = ""
		}
		return stored.ended(stored.ID, f)
	})
	if err != nil || !changed {
		return err
	}
	s.publish(known, c.record, began)
	s.m.emit(ctx, Event{Kind: EventLoginRequired, Connection: s.name, Reason: f.Reason, Err: newError(s.name, f, nil)})
	return nil
}

// isPrintable reports whether code is one, and not the token that the API repeats.
func isPrintable(code, token string) bool {
	if httpauth.RefusalOf(code) != httpauth.RefusalUnknown {
		return true
	}
	short, long := code, token
	if len(short) > len(long) {
		short, long = long, short
	}
	const secret = 8 // bytes in common
	return tokenerror.LooksLikeCode(code) && (len(short) < secret || !strings.Contains(long, short))
}
