package etcdstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A server that notices the deadline before the client does answers without a code.
func TestServerNoticesTheDeadline(t *testing.T) {
	limited, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	answer := errors.New("rpc error: code = Unknown desc = context deadline exceeded")
	assert.ErrorIs(t, failure(limited, answer), context.DeadlineExceeded)
	assert.ErrorIs(t, unwritten(limited, answer), context.DeadlineExceeded)
	assert.ErrorContains(t, unwritten(limited, answer), "may have been written")
	assert.NotErrorIs(t, failure(context.Background(), answer), context.DeadlineExceeded)
	cancel()
	assert.ErrorIs(t, failure(limited, errors.New("another")), context.Canceled)
}
