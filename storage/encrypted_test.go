package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

func TestEncryptedStoresNothingReadable(t *testing.T) {
	store := new(storage.Memory)
	e := storage.Encrypt(store, newKeyset(t, storage.NewKey()))
	mustPut(t, e, "account 1", "the refresh token", "")
	raw, _, err := store.Get(ctx, "account 1")
	require.NoError(t, err)
	require.Equal(t, "o2ks\x01\x01", string(raw[:6]))
	require.False(t, bytes.Contains(raw, []byte("refresh")))
}

func TestEncryptedReadsWhatTheFirstVersionStored(t *testing.T) {
	store := new(storage.Memory)
	mustPut(t, store, "account 1", string(unhex(t, sealedToken)), "")
	value, _, err := storage.Encrypt(store, newKeyset(t, countingKey())).Get(ctx, "account 1")
	require.NoError(t, err)
	require.Equal(t, "token", string(value))
}

// requireUnopenable checks that what stands under "account 1" is an error, neither a
// miss nor a value, and can't be overwritten or deleted through e.
func requireUnopenable(t *testing.T, store storage.Store, e *storage.Encrypted, how string, args ...any) {
	t.Helper()
	how = fmt.Sprintf(how, args...)
	before, version, err := store.Get(ctx, "account 1")
	require.NoError(t, err, how)

	value, v, err := e.Get(ctx, "account 1")
	require.ErrorIs(t, err, storage.ErrOpen, how)
	require.NotErrorIs(t, err, storage.ErrNotFound, how)
	require.ErrorContains(t, err, `(record "account 1")`, how)
	require.Nil(t, value, how)
	require.Empty(t, v, how)

	_, err = e.Put(ctx, "account 1", []byte("overwritten"), v)
	require.ErrorIs(t, err, storage.ErrConflict, how)
	require.ErrorIs(t, e.Delete(ctx, "account 1", v), storage.ErrConflict, how)

	after, now, err := store.Get(ctx, "account 1")
	require.NoError(t, err, how)
	require.Equal(t, version, now, how)
	require.True(t, bytes.Equal(before, after), how)
}

func TestEncryptedNeverOverwritesWhatItCannotOpen(t *testing.T) {
	store := new(storage.Memory)
	key := storage.NewKey()
	e := storage.Encrypt(store, newKeyset(t, key))
	mustPut(t, e, "account 2", "of another", "")
	v := mustPut(t, e, "account 1", "token", "")
	whole, _, err := store.Get(ctx, "account 1")
	require.NoError(t, err)
	other, _, err := store.Get(ctx, "account 2")
	require.NoError(t, err)
	set := func(sealed []byte) { v = mustPut(t, store, "account 1", string(sealed), v) }

	for n := range whole {
		set(whole[:n])
		requireUnopenable(t, store, e, "cut to %d bytes", n)
		b := bytes.Clone(whole)
		b[n] ^= 0x10
		set(b)
		requireUnopenable(t, store, e, "byte %d changed", n)
	}
	set(append(bytes.Clone(whole), 'x'))
	requireUnopenable(t, store, e, "longer")
	set(other)
	requireUnopenable(t, store, e, "moved from another record")
	set([]byte(`{"access_token":"in the clear"}`))
	requireUnopenable(t, store, e, "never sealed")

	set(whole)
	wrong := storage.NewKey()
	requireUnopenable(t, store, storage.Encrypt(store, newKeyset(t, wrong)), "wrong key")
	value, _, err := storage.Encrypt(store, newKeyset(t, wrong, key)).Get(ctx, "account 1")
	require.NoError(t, err)
	require.Equal(t, "token", string(value))
}

func TestEncryptedNamesTheMissingKey(t *testing.T) {
	store := new(storage.Memory)
	mustPut(t, store, "a\n\"b", string(unhex(t, sealedToken)), "")
	_, _, err := storage.Encrypt(store, newKeyset(t, bytes.Repeat([]byte{7}, 32))).Get(ctx, "a\n\"b")
	require.EqualError(t, err, "storage: can't open the sealed record: it was sealed with key c23e1ba17c3144237c5f467411a6b94c, "+
		"which isn't in this keyset (it has 74e05bafd157beb25a5507660cb47429): give that key to NewKeyset as an old one (record \"a\\n\\\"b\"); if it can't be had back, Encrypted.Discard deletes it")
}

// TestEncryptedTellsNamesApart is about the lengths in the associated data.
func TestEncryptedTellsNamesApart(t *testing.T) {
	store := new(storage.Memory)
	e := storage.Encrypt(store, newKeyset(t, storage.NewKey()))
	mustPut(t, e, "ab", "token", "")
	sealed, _, err := store.Get(ctx, "ab")
	require.NoError(t, err)
	for _, name := range []string{"", "a", "abc", "b", "AB", "ab\x00", "\x00ab", "\x00\x00\x00\x00\x00\x00\x00\x02ab"} {
		mustPut(t, store, name, string(sealed), "")
		_, _, err := e.Get(ctx, name)
		require.ErrorIs(t, err, storage.ErrOpen, "%q", name)
	}
}

func TestEncryptedReturnsTheStoresErrors(t *testing.T) {
	e := storage.Encrypt(new(storage.Memory), newKeyset(t, storage.NewKey()))
	_, _, err := e.Get(ctx, "missing")
	require.Equal(t, storage.ErrNotFound, err)
	_, err = e.Put(ctx, "missing", nil, "7")
	require.Equal(t, storage.ErrConflict, err)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, _, err = e.Get(canceled, "missing")
	require.Equal(t, context.Canceled, err)
}

// TestEncryptedOpensWhatWasPutBack is what the documentation says of somebody who can
// write the store.
func TestEncryptedOpensWhatWasPutBack(t *testing.T) {
	store := new(storage.Memory)
	e := storage.Encrypt(store, newKeyset(t, storage.NewKey()))
	v := mustPut(t, e, "account 1", "first", "")
	before, _, err := store.Get(ctx, "account 1")
	require.NoError(t, err)
	v = mustPut(t, e, "account 1", "second", v)
	mustPut(t, store, "account 1", string(before), v)
	value, _, err := e.Get(ctx, "account 1")
	require.NoError(t, err)
	require.Equal(t, "first", string(value))
}

// downSealer is a key management service that doesn't answer.
type downSealer struct{ err error }

func (s *downSealer) Seal(context.Context, []byte, []byte) ([]byte, error) { return nil, s.err }
func (s *downSealer) Open(context.Context, []byte, []byte) ([]byte, error) { return nil, s.err }

func TestEncryptedWithASealerThatIsDown(t *testing.T) {
	down := &downSealer{errors.New("kms: no answer")}
	store := new(storage.Memory)
	e := storage.Encrypt(store, down)
	_, err := e.Put(ctx, "key", []byte("token"), "")
	require.ErrorIs(t, err, down.err)
	_, _, err = store.Get(ctx, "key")
	require.Equal(t, storage.ErrNotFound, err)

	mustPut(t, store, "key", "sealed", "")
	_, v, err := e.Get(ctx, "key")
	require.EqualError(t, err, `kms: no answer (record "key")`)
	require.NotErrorIs(t, err, storage.ErrOpen, "the record may be all right")
	require.Empty(t, v)
}

func TestEncryptedWithoutLocksOrList(t *testing.T) {
	e := storage.Encrypt(bareStore{new(storage.Memory)}, newKeyset(t, storage.NewKey()))
	_, err := e.Lock(ctx, "key")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.EqualError(t, err, "storage: storage_test.bareStore has no locks: unsupported operation")
	require.EqualError(t, listError(e.Names(ctx)), "storage: storage_test.bareStore can't list its names: unsupported operation")
	_, err = e.Rekey(ctx)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// listError walks to the end and returns the error there.
func listError(names iter.Seq2[string, error]) (last error) {
	for _, err := range names {
		last = err
	}
	return last
}

func TestEncryptWithoutAPartSaysSo(t *testing.T) {
	k := newKeyset(t, storage.NewKey())
	var noDir *storage.Dir
	var noKeyset *storage.Keyset
	const noStore = "storage: Encrypt was given no Store: look at the error of what should have opened it"
	const noSealer = "storage: Encrypt was given no Sealer: look at the error of NewKeyset"
	for _, c := range []struct {
		name string
		e    *storage.Encrypted
		want string
	}{
		{"nil", nil, "storage: this Encrypted is nil: make it with Encrypt"},
		{"zero", new(storage.Encrypted), noStore},
		{"no store", storage.Encrypt(nil, k), noStore},
		{"nil Dir", storage.Encrypt(noDir, k), noStore},
		{"no sealer", storage.Encrypt(new(storage.Memory), nil), noSealer},
		{"nil Keyset", storage.Encrypt(new(storage.Memory), noKeyset), noSealer},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := c.e.Get(ctx, "key")
			require.EqualError(t, err, c.want)
			_, err = c.e.Put(ctx, "key", nil, "")
			require.EqualError(t, err, c.want)
			require.EqualError(t, c.e.Delete(ctx, "key", ""), c.want)
			require.EqualError(t, c.e.Discard(ctx, "key"), c.want)
			_, err = c.e.Lock(ctx, "key")
			require.EqualError(t, err, c.want)
			require.EqualError(t, listError(c.e.Names(ctx)), c.want)
			_, err = c.e.Rekey(ctx)
			require.EqualError(t, err, c.want)
			require.Equal(t, "storage.Encrypted()", fmt.Sprint(c.e))
		})
	}
	require.Equal(t, "storage.Encrypted(*storage.Memory, *storage.Keyset)", fmt.Sprint(storage.Encrypt(new(storage.Memory), k)))
}
