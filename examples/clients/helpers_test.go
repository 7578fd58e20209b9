package clients

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// tokensourceBackoff is longer than a Manager waits after a refresh that failed.
const tokensourceBackoff = 10 * time.Minute

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// refusal is an answer that isn't OK.
type refusal int

func (r refusal) Error() string { return fmt.Sprintf("the API answers %d", int(r)) }

// elapsed is how long a call takes.
func elapsed(call func() error) (time.Duration, error) {
	start := time.Now()
	err := call()
	return time.Since(start), err
}

// requireLogin: err is one that programs look for, ours and x/oauth2's.
func requireLogin(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, tokensource.ErrLoginRequired)
	var retrieve *oauth2.RetrieveError
	require.ErrorAs(t, err, &retrieve)
	assert.Equal(t, "invalid_grant", retrieve.ErrorCode)
}
