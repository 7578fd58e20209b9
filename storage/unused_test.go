package storage_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

func TestCheckUnused(t *testing.T) {
	old, primary, never := storage.NewKey(), storage.NewKey(), storage.NewKey()
	name := fingerprintOf(t, old)
	store := new(storage.Memory)
	fill(t, store, "old ", 3, old)
	fill(t, store, "new ", 2, primary)
	e := storage.Encrypt(store, newKeyset(t, primary, old, never))

	err := e.CheckUnused(ctx, name)
	require.ErrorContains(t, err, "storage: this key must be kept: 3 of 5 records are sealed with "+fingerprintOf(t, old))
	require.ErrorContains(t, err, `the first is "old `)
	require.NoError(t, e.CheckUnused(ctx, fingerprintOf(t, never)))
	err = e.CheckUnused(ctx, fingerprintOf(t, primary))
	require.ErrorContains(t, err, "storage: this key must be kept: "+fingerprintOf(t, primary)+" is the primary key of this keyset")

	_, err = e.Rekey(ctx)
	require.NoError(t, err)
	require.NoError(t, e.CheckUnused(ctx, name))

	// A process that was left behind, and still seals with the old key.
	behind := storage.Encrypt(store, newKeyset(t, old, primary))
	_, v, err := behind.Get(ctx, "new 1")
	require.NoError(t, err)
	mustPut(t, behind, "new 1", "refreshed", v)
	err = e.CheckUnused(ctx, name)
	require.ErrorContains(t, err, `storage: this key must be kept: 1 of 5 records are sealed with `+fingerprintOf(t, old)+`, the first is "new 1": call Rekey`)

	// A fingerprint that is mistyped, or of a key that isn't there, is no unused key's.
	for _, other := range []string{"", "storage.Keyset", name[1:], name + "0", fingerprintOf(t, storage.NewKey())} {
		require.ErrorContains(t, e.CheckUnused(ctx, other), "isn't the fingerprint of a key in this keyset, which has "+fingerprintOf(t, primary))
	}
	// Nor is the key itself, which no error repeats.
	for _, key := range []string{string(old), base64.StdEncoding.EncodeToString(old), hex.EncodeToString(old)} {
		require.EqualError(t, e.CheckUnused(ctx, key), "storage: what was given isn't the fingerprint of a key in this keyset, which has "+
			strings.Join([]string{fingerprintOf(t, primary), name, fingerprintOf(t, never)}, ", "))
	}
}

func TestCheckUnusedRefusesWhatItCannotTell(t *testing.T) {
	old, primary := storage.NewKey(), storage.NewKey()
	memory := new(storage.Memory)
	fill(t, memory, "account ", 2, primary)
	keys := newKeyset(t, primary, old)
	broken := errors.New("the store is down")
	canceled, cancel := context.WithCancel(ctx)
	cancel()

	foreign := new(storage.Memory)
	fill(t, foreign, "account ", 2, primary)
	mustPut(t, foreign, "foreign", "not sealed at all", "")

	for _, c := range []struct {
		ctx  context.Context
		e    *storage.Encrypted
		want error
		text string
	}{
		{ctx, storage.Encrypt(foreign, keys), storage.ErrOpen, `1 of 3 records don't tell which key sealed them, the first is "foreign"`},
		{ctx, storage.Encrypt(bareStore{memory}, keys), errors.ErrUnsupported, "can't list its names"},
		{ctx, storage.Encrypt(memory, &plainSealer{Sealer: keys}), errors.ErrUnsupported, "doesn't tell which key"},
		{ctx, storage.Encrypt(listStore{memory, broken}, keys), broken, ""},
		{ctx, storage.Encrypt(hookStore{memory, func(string, string) error { return broken }}, keys), broken, `(record "account `},
		{ctx, storage.Encrypt(hookStore{memory, func(string, string) error { return storage.ErrOpen }}, keys), storage.ErrOpen, "2 of 2 records don't tell"},
		{canceled, storage.Encrypt(memory, keys), context.Canceled, ""},
		{ctx, storage.Encrypt(memory, nil), nil, "Encrypt was given no Sealer"},
		{ctx, storage.Encrypt(memory, new(storage.Keyset)), nil, "this Keyset has no keys"},
	} {
		err := c.e.CheckUnused(c.ctx, fingerprintOf(t, old))
		require.Error(t, err)
		if c.want != nil {
			require.ErrorIs(t, err, c.want)
		}
		require.ErrorContains(t, err, c.text)
	}

	// Deleted meanwhile: no record needs anything any more.
	deleting := hookStore{memory, func(_, name string) error {
		if _, v, err := memory.Get(ctx, name); err == nil {
			return memory.Delete(ctx, name, v)
		}
		return nil
	}}
	require.NoError(t, storage.Encrypt(deleting, keys).CheckUnused(ctx, fingerprintOf(t, old)))
}
