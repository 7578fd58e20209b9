package tokensource

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// countingStore counts what is read while names are listed.
type countingStore struct {
	storage.Memory
	listed, read int
	ahead        int // the most names that were listed before their records were read
	fail         error
}

func (c *countingStore) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	c.read++
	return c.Memory.Get(ctx, name)
}

func (c *countingStore) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range c.Memory.Names(ctx) {
			c.listed++
			c.ahead = max(c.ahead, c.listed-c.read)
			if !yield(name, err) {
				return
			}
			if c.fail != nil {
				yield("", c.fail)
				return
			}
		}
	}
}

// listing returns a Manager over n connections of its own.
func listing(t *testing.T, n int) (*Manager, *countingStore) {
	store := new(countingStore)
	m := &Manager{Config: new(fakeProvider), Store: encrypted(store)}
	for i := range n {
		require.NoError(t, m.Save(t.Context(), fmt.Sprint(i), &oauth2.Token{AccessToken: "a", RefreshToken: "r"}))
	}
	store.listed, store.read = 0, 0
	return m, store
}

func TestConnectionsReadsOneRecordAtATime(t *testing.T) {
	const n = 50
	m, store := listing(t, n)
	seen := make(map[string]bool)
	for st, err := range m.Connections(t.Context()) {
		require.NoError(t, err)
		assert.Equal(t, StateHealthy, st.State)
		seen[st.Connection] = true
		assert.Equal(t, len(seen), store.read)
	}
	assert.Len(t, seen, n)
	assert.Equal(t, 1, store.ahead)
}

func TestConnectionsTellsWhatItCannotReadAndGoesOn(t *testing.T) {
	m, store := listing(t, 3)
	ctx := t.Context()
	other := &Manager{Config: new(fakeProvider), Store: m.Store, Registration: moved}
	require.NoError(t, other.Save(ctx, "another's", &oauth2.Token{AccessToken: "a"}))
	_, err := m.Store.Put(ctx, "damaged", []byte("no record"), "")
	require.NoError(t, err)
	_, err = m.Store.Put(ctx, "newer", []byte(`{"format":99}`), "")
	require.NoError(t, err)
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	lost := &Manager{Config: new(fakeProvider), Store: storage.Encrypt(store, keys)}
	require.NoError(t, lost.Save(ctx, "key lost", &oauth2.Token{AccessToken: "a"}))

	unreadable := make(map[string]error)
	healthy := 0
	for st, err := range m.Connections(ctx) {
		if err == nil {
			healthy++
			assert.Equal(t, StateHealthy, st.State)
			continue
		}
		assert.Equal(t, StateUnreadable, st.State)
		assert.Equal(t, ReasonStore, st.Reason)
		unreadable[st.Connection] = err
	}
	assert.Equal(t, 3, healthy)
	require.Len(t, unreadable, 3)
	assert.ErrorIs(t, unreadable["key lost"], storage.ErrOpen)
	assert.ErrorIs(t, unreadable["damaged"], errRecord)
	assert.ErrorContains(t, unreadable["newer"], "format 99")
	for name, err := range unreadable {
		assert.ErrorContains(t, err, "Forget", name)
		assert.NotErrorIs(t, err, ErrLoginRequired)
	}
}

func TestConnectionsEndsWhenItIsTold(t *testing.T) {
	m, store := listing(t, 10)
	for range m.Connections(t.Context()) {
		break
	}
	assert.Equal(t, 1, store.read)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for st, err := range m.Connections(ctx) {
		n++
		if last = err; err != nil {
			assert.Empty(t, st.Connection)
			continue
		}
		if n == 3 {
			cancel()
		}
	}
	assert.ErrorIs(t, last, context.Canceled)
	assert.Equal(t, 4, n)
}

func TestConnectionsEndsWhereTheStoreCannotList(t *testing.T) {
	m, store := listing(t, 10)
	store.fail = errStoreDown
	n := 0
	for st, err := range m.Connections(t.Context()) {
		if n++; n == 2 {
			assert.ErrorIs(t, err, errStoreDown)
			assert.Empty(t, st.Connection)
		}
	}
	assert.Equal(t, 2, n)

	m = &Manager{Config: new(fakeProvider), Store: encrypted(unlocked{new(storage.Memory)})}
	n = 0
	for _, err := range m.Connections(t.Context()) {
		n++
		assert.ErrorIs(t, err, errors.ErrUnsupported)
	}
	assert.Equal(t, 1, n)
	for _, err := range new(Manager).Connections(t.Context()) {
		assert.ErrorContains(t, err, "Manager.Config")
	}
}

// TestConnectionsMayBeForgottenWhileTheyAreListed, as a program that tidies up does.
func TestConnectionsMayBeForgottenWhileTheyAreListed(t *testing.T) {
	m, _ := listing(t, 10)
	n := 0
	for st, err := range m.Connections(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, m.Forget(t.Context(), st.Connection))
		n++
	}
	assert.Equal(t, 10, n)
	for st := range m.Connections(t.Context()) {
		t.Error(st.Connection)
	}
}
