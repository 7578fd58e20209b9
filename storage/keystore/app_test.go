package keystore

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
)

var ctx = context.Background()

var apps atomic.Int64

// newApp returns one that no other test has, nor another run.
func newApp(t testing.TB) App {
	name := fmt.Sprintf("keystore-test-%d-%d", os.Getpid(), apps.Add(1))
	return App{Name: name, Dir: filepath.Join(testenv.DirInMemory(t), "keystore")}
}

// newFileApp returns one that leaves the keyring alone.
func newFileApp(t testing.TB) App {
	a := newApp(t)
	a.File = true
	return a
}

func open(t testing.TB, a App) *storage.Keyset {
	t.Helper()
	keys, err := a.Open(ctx)
	require.NoError(t, err)
	return keys
}

// requireSame fails unless two keysets have the same keys in the same order, and
// these do the same.
func requireSame(t testing.TB, a, b *storage.Keyset) {
	t.Helper()
	require.Equal(t, a.Fingerprints(), b.Fingerprints())
	sealed, err := a.Seal(ctx, []byte("secret"), nil)
	require.NoError(t, err)
	opened, err := b.Open(ctx, sealed, nil)
	require.NoError(t, err)
	require.Equal(t, "secret", string(opened))
}

// newKeys returns new keys.
func newKeys(t testing.TB, n int) keyList {
	var l keyList
	for range n {
		k, err := newKey()
		require.NoError(t, err)
		l = append(l, k)
	}
	return l
}

// snapshot returns what is in the directory of an App, by name.
func snapshot(t testing.TB, a App) map[string]string {
	s := make(map[string]string)
	entries, err := os.ReadDir(a.Dir)
	require.NoError(t, err)
	for _, e := range entries {
		s[e.Name()] = e.Type().String()
		if e.Type().IsRegular() {
			b, err := os.ReadFile(filepath.Join(a.Dir, e.Name()))
			require.NoError(t, err)
			s[e.Name()] += " " + string(b)
		}
	}
	return s
}

func TestKeysInAFile(t *testing.T) {
	t.Parallel()
	a := newFileApp(t)
	a.Dir = filepath.Join(a.Dir, "below")
	keys := open(t, a)
	requireSame(t, keys, open(t, a))
	if runtime.GOOS != "windows" {
		for name, want := range map[string]fs.FileMode{
			"..": fs.ModeDir | 0o700, ".": fs.ModeDir | 0o700, "keys": 0o600, "where": 0o600, "lock": 0o600,
		} {
			info, err := os.Stat(filepath.Join(a.Dir, name))
			require.NoError(t, err)
			assert.Equal(t, want, info.Mode(), name)
		}
	}
	b, err := os.ReadFile(filepath.Join(a.Dir, "keys"))
	require.NoError(t, err)
	assert.Regexp(t, `^oauth2keep keys v1\n[A-Za-z0-9+/]{43}=\nend\n$`, string(b))
	assert.Len(t, snapshot(t, a), 3)
}

// TestStoredBytes has the bytes of version 1, which must be read for ever.
func TestStoredBytes(t *testing.T) {
	t.Parallel()
	const stored = "oauth2keep keys v1\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\nAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\nend\n"
	a := newFileApp(t)
	require.NoError(t, os.MkdirAll(a.Dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir, "keys"), []byte(stored), 0o600))
	keys := open(t, a)
	one, two := newKeyset(t, 1), newKeyset(t, 2)
	assert.Equal(t, []string{one.Fingerprints()[0], two.Fingerprints()[0]}, keys.Fingerprints())
	marker := fmt.Sprintf("oauth2keep keystore v1\nfile\n%s\n%s\nend\n", one.Fingerprints()[0], two.Fingerprints()[0])
	assert.Equal(t, map[string]string{"keys": "---------- " + stored, "where": "---------- " + marker, "lock": "---------- "}, snapshot(t, a))

	// With the line ends of another editor.
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir, "keys"), []byte(strings.ReplaceAll(stored, "\n", "\r\n")), 0o600))
	requireSame(t, keys, open(t, a))
}

func newKeyset(t testing.TB, b byte) *storage.Keyset {
	k, err := storage.NewKeyset([]byte(strings.Repeat(string(rune(b)), 32)))
	require.NoError(t, err)
	return k
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                      "App needs a Name",
		"a/b":                   `can't be "a/b"`,
		`a\b`:                   "can't be",
		"..":                    "can't be",
		".hidden":               "can't be",
		"a.":                    "can't be",
		"my app":                "can't be",
		"ä":                     "can't be",
		strings.Repeat("a", 65): "can't be",
		strings.Repeat("a", 64): "",
		"com.example.My-App_2":  "",
	} {
		a := newFileApp(t)
		a.Name = name
		_, err := a.Open(ctx)
		if want == "" {
			assert.NoError(t, err)
			continue
		}
		assert.ErrorContains(t, err, "keystore: ")
		assert.ErrorContains(t, err, want)
		assert.NoDirExists(t, a.Dir)
	}
}

func TestDefaultDir(t *testing.T) {
	home := t.TempDir()
	for _, variable := range []string{"HOME", "XDG_CONFIG_HOME", "AppData"} {
		t.Setenv(variable, home)
	}
	config, err := os.UserConfigDir()
	require.NoError(t, err)
	open(t, App{Name: "myapp", File: true})
	assert.FileExists(t, filepath.Join(config, "myapp", "keystore", "keys"))

	for _, variable := range []string{"HOME", "XDG_CONFIG_HOME", "AppData"} {
		t.Setenv(variable, "")
	}
	_, err = App{Name: "myapp", File: true}.Open(ctx)
	assert.ErrorContains(t, err, "keystore: this user has no directory for settings, so App.Dir must be set")
}

func TestDirThatCantBe(t *testing.T) {
	t.Parallel()
	a := newFileApp(t)
	require.NoError(t, os.WriteFile(a.Dir, nil, 0o600))
	_, err := a.Open(ctx)
	assert.ErrorContains(t, err, "keystore: can't make the directory "+a.Dir+": there is a file of that name")
	a.Dir = filepath.Join(a.Dir, "below")
	_, err = a.Open(ctx)
	assert.ErrorContains(t, err, "keystore: can't make the directory "+a.Dir)

	a = newFileApp(t)
	require.NoError(t, os.MkdirAll(filepath.Join(a.Dir, "lock"), 0o700))
	_, err = a.Open(ctx)
	assert.ErrorContains(t, err, "keystore: can't lock the directory "+a.Dir)
}

// TestWriteThatFails leaves the keys as they are.
func TestWriteThatFails(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"keys", "where"} {
		a := newFileApp(t)
		// In the way of the temporary file.
		require.NoError(t, os.MkdirAll(filepath.Join(a.Dir, name+".tmp", "full"), 0o700))
		_, err := a.Open(ctx)
		require.ErrorContains(t, err, "keystore: can't write "+filepath.Join(a.Dir, name))
		require.NoError(t, os.RemoveAll(filepath.Join(a.Dir, name+".tmp")))
		keys := open(t, a)

		require.NoError(t, os.MkdirAll(filepath.Join(a.Dir, name+".tmp", "full"), 0o700))
		_, err = a.Add(ctx)
		require.ErrorContains(t, err, "keystore: can't write "+filepath.Join(a.Dir, name))
		require.NoError(t, os.RemoveAll(filepath.Join(a.Dir, name+".tmp")))
		assert.Equal(t, keys.Fingerprints()[0], open(t, a).Fingerprints()[0])
	}
}

func TestCopyOfAKilledProcessIsRemoved(t *testing.T) {
	t.Parallel()
	a := newFileApp(t)
	open(t, a)
	for _, name := range []string{"keys.tmp", "where.tmp"} {
		require.NoError(t, os.WriteFile(filepath.Join(a.Dir, name), []byte("half"), 0o600))
	}
	open(t, a)
	assert.Len(t, snapshot(t, a), 3)
}

func TestLockIsWaitedFor(t *testing.T) {
	t.Parallel()
	a := newFileApp(t)
	d, err := openDir(ctx, a.Dir)
	require.NoError(t, err)
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = a.Open(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "as another process does")
	d.close()
	open(t, a)

	done, cancel2 := context.WithCancel(ctx)
	cancel2()
	_, err = a.Open(done)
	require.ErrorIs(t, err, context.Canceled)
}

// TestNothingSecretIsPrinted prints all that this package has, in all ways.
func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	a := newFileApp(t)
	keys := open(t, a)
	b, err := os.ReadFile(filepath.Join(a.Dir, "keys"))
	require.NoError(t, err)
	l, err := decodeKeys(string(b))
	require.NoError(t, err)
	secrets := []string{
		strings.Split(string(b), "\n")[1], string(l[0].bytes()), fmt.Sprintf("%x", l[0].bytes()),
		strings.Trim(fmt.Sprint(l[0].bytes()), "[]"),
	}
	type holder struct{ v any }
	for _, v := range []any{a, &a, keys, l, l[0], &l[0], struct{ k key }{l[0]}, marker{inFile, l.fingerprints()}} {
		var out strings.Builder
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, format, v)
			fmt.Fprintf(&out, format, holder{v})
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("message", "value", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("message", "value", v)
		json.NewEncoder(&out).Encode(v)
		for _, secret := range secrets {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%T shows the key", v)
			}
		}
	}
}
