package tokensource

import (
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// maxGap is how far apart two looks may be that follow each other: the pause between them, and
// a look that takes as long as a call of the store may.
const maxGap = storeLimit + 2*pollMax

// span is how long something took.
type span struct{ began, ended time.Time }

// observation is what was seen of someone else's attempt.
//
// Its lease is over if a look began more than leaseTime after the first look that saw the same
// version had ended, and no two looks in between were further apart than maxGap. While a read
// hangs, or this process sleeps, nothing is seen, and what held that up has perhaps held up the
// owner's writes as well.
type observation struct {
	version storage.Version
	since   time.Time // the end of the first look that saw it
	last    time.Time // the end of the last one
}

// see notes that a look saw the version v, and reports whether the lease is over.
func (o *observation) see(v storage.Version, look span) bool {
	if o.version != v || apart(o.last, look.ended) > maxGap {
		*o = observation{v, look.ended, look.ended}
		return false
	}
	o.last = look.ended
	return look.began.Sub(o.since) > leaseTime
}
