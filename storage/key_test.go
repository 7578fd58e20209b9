package storage_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// urlKey is a key whose base64 holds characters that differ between the alphabets.
func urlKey() []byte { return bytes.Repeat([]byte{0xfb, 0xef, 0xff, 0xfe}, 8) }

// keyForms returns every text that stands for a key.
func keyForms(key []byte) []string {
	return []string{
		base64.StdEncoding.EncodeToString(key), base64.RawStdEncoding.EncodeToString(key),
		base64.URLEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key),
		hex.EncodeToString(key), strings.ToUpper(hex.EncodeToString(key)),
	}
}

func TestNewKeyIsRandom(t *testing.T) {
	a, b := storage.NewKey(), storage.NewKey()
	require.Len(t, a, 32)
	require.False(t, bytes.Equal(a, b))
	newKeyset(t, a, b)
}

func TestParseKey(t *testing.T) {
	for _, key := range [][]byte{countingKey(), urlKey(), storage.NewKey()} {
		for _, form := range keyForms(key) {
			for _, text := range []string{form, form + "\n", " \t" + form + "\r\n\n"} {
				got, err := storage.ParseKey(text)
				require.NoError(t, err)
				require.True(t, bytes.Equal(key, got))
			}
		}
	}
}

// keyTextsRefused are near misses; that they are no keys is tested, and that the
// fuzzer begins with them.
func keyTextsRefused() []string {
	std := base64.StdEncoding.EncodeToString(urlKey())
	raw := strings.TrimSuffix(std, "=")
	return []string{
		"", " \n", "password", "correct horse battery staple", strings.Repeat("x", 32),
		base64.StdEncoding.EncodeToString(make([]byte, 31)), base64.StdEncoding.EncodeToString(make([]byte, 33)),
		base64.StdEncoding.EncodeToString(make([]byte, 16)), hex.EncodeToString(make([]byte, 16)), hex.EncodeToString(make([]byte, 31)),
		"-" + std[1:],                  // both alphabets
		raw[:42] + "/",                 // bits that stand for nothing
		raw[:20] + "\n" + raw[20:],     // line breaks, which package base64 skips
		raw[:20] + "\n" + raw[21:],     // and which then leave too little
		"=" + raw, raw + "==", std[1:], // padding
		`"` + std + `"`, "hex:" + hex.EncodeToString(urlKey()), "0x" + hex.EncodeToString(urlKey()), strings.Repeat("g", 64),
		strings.Repeat("é", 22), strings.Repeat("\x00", 44), strings.Repeat("=", 44),
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, text := range keyTextsRefused() {
		key, err := storage.ParseKey(text)
		require.ErrorContains(t, err, "a key is 32 random bytes written as base64 (44 characters) or hexadecimal (64); make one with: openssl rand -base64 32", "%q", text)
		require.Nil(t, key)
		if text := strings.TrimSpace(text); len(text) > 5 {
			require.NotContains(t, err.Error(), text[1:6], "the error repeats what may be a secret")
		}
	}
	_, err := storage.ParseKey("  \n")
	require.ErrorContains(t, err, "storage: the key is empty, perhaps because its variable isn't set: ")
	_, err = storage.ParseKey(" password ")
	require.ErrorContains(t, err, "storage: these 8 characters aren't a key: ")
}

func writeFile(t *testing.T, data string, mode os.FileMode) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "token.key")
	require.NoError(t, os.WriteFile(path, []byte(data), 0o600))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

func TestReadKeyFile(t *testing.T) {
	for _, key := range [][]byte{countingKey(), urlKey(), storage.NewKey()} {
		for _, data := range append(keyForms(key), string(key), " "+hex.EncodeToString(key)+"\r\n") {
			for _, mode := range []os.FileMode{0o600, 0o400, 0o440, 0o640} {
				got, err := storage.ReadKeyFile(writeFile(t, data, mode))
				require.NoError(t, err)
				require.True(t, bytes.Equal(key, got))
			}
		}
	}
}

func TestReadKeyFileRefuses(t *testing.T) {
	raw := string(storage.NewKey())
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "holds no key"},
		{"a password of 32 characters", "secret secret secret secret secr", "holds 32 characters of text, which are no random bytes"},
		{"16 bytes in hexadecimal", "00112233445566778899aabbccddeeff", "holds 32 characters of text, which are no random bytes"},
		{"too short", raw[:31], "holds no key"},
		{"too long", raw + "\n", "holds no key"},
		{"a key and something else", hex.EncodeToString([]byte(raw)) + "\nsecret", "holds no key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeFile(t, c.data, 0o600)
			key, err := storage.ReadKeyFile(path)
			require.ErrorContains(t, err, "storage: the key file "+path+" "+c.want)
			require.ErrorContains(t, err, "openssl rand")
			require.NotContains(t, err.Error(), "secret")
			require.Nil(t, key)
		})
	}
	_, err := storage.ReadKeyFile(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "storage: can't read the key file: ")
	_, err = storage.ReadKeyFile(t.TempDir())
	require.ErrorContains(t, err, "it is a directory and not a file")
	_, err = storage.ReadKeyFile(writeFile(t, strings.Repeat("secret", 1000), 0o600))
	require.ErrorContains(t, err, "is longer than 1024 bytes")
	require.NotContains(t, err.Error(), "secret")
}

func TestReadKeyFileRefusesWhatOthersCanRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has access lists instead of modes")
	}
	for _, mode := range []os.FileMode{0o604, 0o644, 0o660, 0o620, 0o602, 0o601, 0o444, 0o777} {
		path := writeFile(t, hex.EncodeToString(storage.NewKey()), mode)
		key, err := storage.ReadKeyFile(path)
		require.ErrorContains(t, err, "is open to others (mode 0")
		require.ErrorContains(t, err, ": chmod g-w,o= "+path)
		require.Nil(t, key)
	}
}

func TestWriteKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	key := storage.NewKey()
	require.NoError(t, storage.WriteKeyFile(path, key))
	got, err := storage.ReadKeyFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(key, got))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, base64.StdEncoding.EncodeToString(key)+"\n", string(text))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}

	// It replaces nothing, and leaves nothing beside it.
	err = storage.WriteKeyFile(path, storage.NewKey())
	require.ErrorIs(t, err, os.ErrExist)
	require.ErrorContains(t, err, "storage: can't write the key file: ")
	again, err := storage.ReadKeyFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(key, again))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)

	other := filepath.Join(filepath.Dir(path), "other")
	require.ErrorContains(t, storage.WriteKeyFile(other, key[:31]), "storage: the key has 31 bytes")
	require.ErrorContains(t, storage.WriteKeyFile(other, make([]byte, 32)), "storage: the key is all zeros")
	require.NoFileExists(t, other)
	require.ErrorIs(t, storage.WriteKeyFile(filepath.Join(other, "below"), key), os.ErrNotExist)
}

// TestWriteKeyFileAtTheSameTime: of programs that start for the first time, one makes
// the key, and all have it.
func TestWriteKeyFileAtTheSameTime(t *testing.T) {
	for range 10 {
		path := filepath.Join(t.TempDir(), "token.key")
		var made atomic.Int32
		keys := make([][]byte, 16)
		var wg sync.WaitGroup
		for i := range keys {
			wg.Go(func() {
				err := storage.WriteKeyFile(path, storage.NewKey())
				if err == nil {
					made.Add(1)
				} else if !assert.ErrorIs(t, err, os.ErrExist) {
					return
				}
				keys[i], err = storage.ReadKeyFile(path)
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		require.Equal(t, int32(1), made.Load())
		for _, key := range keys {
			require.True(t, bytes.Equal(keys[0], key))
		}
	}
}
