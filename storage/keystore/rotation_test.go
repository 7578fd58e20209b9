package keystore

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gokeyring "github.com/zalando/go-keyring"

	"github.com/oauth2keep/oauth2keep/storage"
)

func TestRotationInAFile(t *testing.T) {
	t.Parallel()
	testRotation(t, newFileApp(t))
}

// testRotation replaces a key as the documentation says it.
func testRotation(t *testing.T, a App) {
	store := new(storage.Memory)
	before := open(t, a)
	first := before.Fingerprints()[0]
	_, err := storage.Encrypt(store, before).Put(ctx, "record", []byte("secret"), "")
	require.NoError(t, err)

	second, err := a.Add(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{first, second}, open(t, a).Fingerprints())
	previous, err := a.MakePrimary(ctx, second)
	require.NoError(t, err)
	require.Equal(t, first, previous)
	after := open(t, a)
	require.Equal(t, []string{second, first}, after.Fingerprints())
	previous, err = a.MakePrimary(ctx, second) // again
	require.NoError(t, err)
	require.Equal(t, second, previous)
	require.Equal(t, []string{second, first}, open(t, a).Fingerprints())

	report, err := storage.Encrypt(store, after).Rekey(ctx)
	require.NoError(t, err)
	assert.Equal(t, map[string]int{second: 1, first: 0}, report.ByKey)
	require.NoError(t, storage.Encrypt(store, after).CheckUnused(ctx, first))

	err = a.Remove(ctx, second)
	require.ErrorContains(t, err, "keystore: key "+second+" is the primary key")
	require.NoError(t, a.Remove(ctx, first))
	last := open(t, a)
	require.Equal(t, []string{second}, last.Fingerprints())
	value, _, err := storage.Encrypt(store, last).Get(ctx, "record")
	require.NoError(t, err)
	assert.Equal(t, "secret", string(value))
	where, err := os.ReadFile(filepath.Join(a.Dir, "where"))
	require.NoError(t, err)
	assert.NotContains(t, string(where), first)

	// Nor is a key itself, which no error repeats, a fingerprint.
	for _, unknown := range []string{"", first, second[:8], base64.StdEncoding.EncodeToString(storage.NewKey()), string(storage.NewKey())} {
		want := "keystore: what was given isn't the fingerprint of a key of " + a.Name + ", which has " + second
		assert.EqualError(t, a.Remove(ctx, unknown), want)
		_, err := a.MakePrimary(ctx, unknown)
		assert.EqualError(t, err, want)
	}
	require.Equal(t, []string{second}, open(t, a).Fingerprints())
}

func TestAddBeforeOpen(t *testing.T) {
	t.Parallel()
	a := newFileApp(t)
	added, err := a.Add(ctx)
	require.NoError(t, err)
	got := open(t, a).Fingerprints()
	require.Len(t, got, 2)
	assert.Equal(t, added, got[1])
}

// TestMaxKeys also counts the bytes for the systems that the tests don't run on.
func TestMaxKeys(t *testing.T) {
	t.Parallel()
	a := newFileApp(t)
	require.NoError(t, os.MkdirAll(a.Dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir, "keys"), []byte(newKeys(t, MaxKeys-1).encode()), 0o600))
	_, err := a.Add(ctx)
	require.NoError(t, err)
	_, err = a.Add(ctx)
	require.ErrorContains(t, err, "has 50 keys, and the keyring of Windows holds no more")
	require.Len(t, open(t, a).Fingerprints(), MaxKeys)
	text, err := os.ReadFile(filepath.Join(a.Dir, "keys"))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(text), 2560, "Windows")
	const command = len("add-generic-password -U -s '' -a '' -w 'go-keyring-base64:'\n") + maxName + len(entryUser)
	assert.LessOrEqual(t, command+(len(text)+2)/3*4, 4096, "macOS")
}

// TestChangesThatWereCutShort are the states between the writes of a change.
func TestChangesThatWereCutShort(t *testing.T) {
	t.Parallel()
	l := newKeys(t, 3)
	for name, test := range map[string]struct {
		where []string
		want  string
	}{
		"first key, before the marker": {nil, ""},
		"a key was added":              {[]string{l[0].fingerprint, l[1].fingerprint}, ""},
		"another order":                {[]string{l[2].fingerprint, l[1].fingerprint, l[0].fingerprint}, ""},
		"a key is missing":             {[]string{l[2].fingerprint, newKeys(t, 1)[0].fingerprint}, "which was there, and only has " + l[0].fingerprint},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFileApp(t)
			require.NoError(t, os.MkdirAll(a.Dir, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(a.Dir, "keys"), []byte(l.encode()), 0o600))
			if test.where != nil {
				require.NoError(t, os.WriteFile(filepath.Join(a.Dir, "where"), []byte(marker{inFile, test.where}.encode()), 0o600))
			}
			before := snapshot(t, a)
			keys, err := a.Open(ctx)
			if test.want != "" {
				require.ErrorContains(t, err, test.want)
				before["lock"] = "---------- "
				assert.Equal(t, before, snapshot(t, a))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, l.fingerprints(), keys.Fingerprints())
			b, err := os.ReadFile(filepath.Join(a.Dir, "where"))
			require.NoError(t, err)
			m, err := decodeMarker(string(b))
			require.NoError(t, err)
			assert.ElementsMatch(t, l.fingerprints(), m.names)
		})
	}
}

// noKeyring stands for systems that go-keyring doesn't know.
type noKeyring struct{}

func (noKeyring) get(string, string) (string, error) { return "", gokeyring.ErrUnsupportedPlatform }
func (noKeyring) set(string, string, string) error   { return gokeyring.ErrUnsupportedPlatform }

func TestUnsupportedPlatform(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	_, err := a.update(ctx, noKeyring{}, nil)
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(a.Dir, "keys"))
}
