package storage_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// sealedSeeds are sealed records, of which only the first opens with countingKey
// and sealedTokenAD.
func sealedSeeds(t testing.TB) [][]byte {
	sealed := unhex(t, sealedToken)
	with := func(i int, b byte) []byte {
		s := bytes.Clone(sealed)
		s[i] ^= b
		return s
	}
	return [][]byte{
		sealed,
		nil, []byte("o2ks"), []byte("o2ks\x01\x01"), []byte("o2kf\x01\x01"), []byte(`{"access_token":"…"}`),
		sealed[:22], sealed[:46], sealed[:61], sealed[:len(sealed)-1], sealed[1:], append(bytes.Clone(sealed), 0),
		with(0, 1), with(4, 3), with(5, 1), with(6, 1), with(21, 128), with(22, 1), with(33, 1), with(34, 1), with(45, 1), with(46, 1), with(len(sealed)-1, 1),
	}
}

func TestSealedSeeds(t *testing.T) {
	seeds := sealedSeeds(t)
	require.Len(t, seeds, 23)
	k := newKeyset(t, countingKey())
	for i, sealed := range seeds {
		_, err := k.Open(ctx, sealed, []byte(sealedTokenAD))
		if i == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, storage.ErrOpen, "seed %d", i)
		}
	}
}

// FuzzOpen: nothing opens but what was sealed, byte for byte.
func FuzzOpen(f *testing.F) {
	for _, sealed := range sealedSeeds(f) {
		f.Add(sealed, []byte(sealedTokenAD))
		f.Add(sealed, []byte(nil))
	}
	k := newKeyset(f, storage.NewKey(), countingKey())
	f.Fuzz(func(t *testing.T, sealed, ad []byte) {
		plaintext, err := k.Open(ctx, sealed, ad)
		if err != nil {
			require.ErrorIs(t, err, storage.ErrOpen)
			require.Nil(t, plaintext)
			return
		}
		require.True(t, bytes.Equal(unhex(t, sealedToken), sealed))
		require.Equal(t, sealedTokenAD, string(ad))
	})
}

func TestKeyTextSeeds(t *testing.T) {
	require.Len(t, keyForms(urlKey()), 6)
	require.Len(t, keyTextsRefused(), 24)
}

// FuzzParseKey: what is accepted is one of the forms of the key that comes out, and
// what isn't stays out of the error.
func FuzzParseKey(f *testing.F) {
	for _, key := range [][]byte{countingKey(), urlKey()} {
		for _, text := range keyForms(key) {
			f.Add(text)
			f.Add(" " + text + "\n")
		}
	}
	for _, text := range keyTextsRefused() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := storage.ParseKey(text)
		text = strings.TrimSpace(text)
		if err != nil {
			require.Nil(t, key)
			_, again := storage.ParseKey(strings.Repeat("?", len(text)))
			require.EqualError(t, again, err.Error(), "the error depends on more than the length")
			return
		}
		require.Len(t, key, 32)
		if len(text) == 64 {
			text = strings.ToLower(text)
		}
		require.True(t, slices.Contains(keyForms(key), text))
	})
}
