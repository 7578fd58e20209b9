package kms

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
)

func newFile(t testing.TB) File { return File(filepath.Join(testenv.DirInMemory(t), "token.keys")) }

func contents(t testing.TB, f File) string {
	t.Helper()
	b, err := os.ReadFile(string(f))
	require.NoError(t, err)
	return string(b)
}

// TestRotation replaces a data key, and then the key of the KMS, as the
// documentation says it.
func TestRotation(t *testing.T) {
	t.Parallel()
	f, k := newFile(t), newKMS(t)
	_, err := f.Open(ctx, k)
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "kms: "+string(f)+": can't read the key file: ")
	const none = "there is no file to change: Create makes one"
	require.ErrorContains(t, f.Rewrap(ctx, k, k), none)
	_, err = f.MakePrimary(ctx, k, "x")
	require.ErrorContains(t, err, none)
	require.ErrorContains(t, f.Remove(ctx, k, "x"), none)
	_, err = f.Add(ctx, k, storage.NewKey())
	require.ErrorContains(t, err, none)
	assert.NoFileExists(t, string(f))

	first, err := f.Create(ctx, k, storage.NewKey())
	require.NoError(t, err)
	_, err = f.Create(ctx, k, storage.NewKey())
	require.ErrorContains(t, err, "the file is there already: Add adds a key to it")
	before, err := f.Open(ctx, k)
	require.NoError(t, err)
	require.Equal(t, []string{first}, before.Fingerprints())
	store := new(storage.Memory)
	_, err = storage.Encrypt(store, before).Put(ctx, "record", []byte("secret"), "")
	require.NoError(t, err)

	second, err := f.Add(ctx, k, storage.NewKey())
	require.NoError(t, err)
	third, err := f.Add(ctx, k, storage.NewKey())
	require.NoError(t, err)
	keys, err := f.Open(ctx, k)
	require.NoError(t, err)
	require.Equal(t, []string{first, second, third}, keys.Fingerprints())
	previous, err := f.MakePrimary(ctx, k, second)
	require.NoError(t, err)
	require.Equal(t, first, previous)
	after, err := f.Open(ctx, k)
	require.NoError(t, err)
	require.Equal(t, []string{second, first, third}, after.Fingerprints())
	report, err := storage.Encrypt(store, after).Rekey(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]int{second: 1, first: 0, third: 0}, report.ByKey)
	require.NoError(t, storage.Encrypt(store, after).CheckUnused(ctx, first))
	require.ErrorContains(t, f.Remove(ctx, k, second), "key "+second+" is the primary key and can't be removed")
	require.NoError(t, f.Remove(ctx, k, first))
	// Nor is a key itself, which no error repeats, a fingerprint.
	for _, unknown := range []string{"", first, base64.StdEncoding.EncodeToString(storage.NewKey()), string(storage.NewKey())} {
		want := "kms: " + string(f) + ": what was given isn't the fingerprint of a key in it, which has " + second + ", " + third
		require.EqualError(t, f.Remove(ctx, k, unknown), want)
		_, err := f.MakePrimary(ctx, k, unknown)
		require.EqualError(t, err, want)
	}

	next := newKMS(t)
	require.NoError(t, f.Rewrap(ctx, k, next))
	_, err = f.Open(ctx, k)
	require.ErrorContains(t, err, "kms: "+string(f)+": can't unwrap keys "+second)
	last, err := f.Open(ctx, next)
	require.NoError(t, err)
	require.Equal(t, []string{second, third}, last.Fingerprints())
	value, _, err := storage.Encrypt(store, last).Get(ctx, "record")
	require.NoError(t, err)
	assert.Equal(t, "secret", string(value))
}

// TestAnExistingKeyCanBeWrapped is how a program comes from a key file to a KMS.
func TestAnExistingKeyCanBeWrapped(t *testing.T) {
	t.Parallel()
	f, k := newFile(t), newKMS(t)
	key := storage.NewKey()
	plain, err := storage.NewKeyset(key)
	require.NoError(t, err)
	sealed, err := plain.Seal(ctx, []byte("secret"), nil)
	require.NoError(t, err)
	name, err := f.Create(ctx, k, key)
	require.NoError(t, err)
	_, err = f.Add(ctx, k, key)
	require.ErrorContains(t, err, "key "+name+" is there already")
	keys, err := f.Open(ctx, k)
	require.NoError(t, err)
	opened, err := keys.Open(ctx, sealed, nil)
	require.NoError(t, err)
	assert.Equal(t, "secret", string(opened))
}

// TestAFailedChangeChangesNothing: what a KMS can't give back is never written.
func TestAFailedChangeChangesNothing(t *testing.T) {
	t.Parallel()
	f, k := newFile(t), newKMS(t)
	forgets := broken{k, nil, func([]byte) ([]byte, error) { return make([]byte, 32), nil }}
	_, err := f.Create(ctx, forgets, storage.NewKey())
	require.ErrorContains(t, err, "doesn't decrypt it again")
	require.NoFileExists(t, string(f))

	_, err = f.Create(ctx, k, storage.NewKey())
	require.NoError(t, err)
	for range 2 {
		_, err = f.Add(ctx, k, storage.NewKey())
		require.NoError(t, err)
	}
	before := contents(t, f)
	_, err = f.Add(ctx, forgets, storage.NewKey())
	require.ErrorContains(t, err, "can't unwrap keys ")
	err = f.Rewrap(ctx, k, forgets)
	require.ErrorContains(t, err, "can't wrap keys ")
	require.ErrorContains(t, err, "doesn't decrypt it again")
	require.ErrorContains(t, f.Rewrap(ctx, forgets, k), "can't unwrap keys ")
	fails := broken{k, func([]byte) ([]byte, error) { return nil, context.DeadlineExceeded }, nil}
	require.ErrorIs(t, f.Rewrap(ctx, k, fails), context.DeadlineExceeded)
	done, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, f.Rewrap(done, k, k), context.Canceled)
	assert.Equal(t, before, contents(t, f))
	entries, err := os.ReadDir(filepath.Dir(string(f)))
	require.NoError(t, err)
	assert.Len(t, entries, 2, "the file and its lock")
}

func TestModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("for Unix")
	}
	f, k := newFile(t), newKMS(t)
	first, err := f.Create(ctx, k, storage.NewKey())
	require.NoError(t, err)
	mode := func() os.FileMode {
		info, err := os.Stat(string(f))
		require.NoError(t, err)
		return info.Mode()
	}
	assert.Equal(t, os.FileMode(0o600), mode())
	require.NoError(t, os.Chmod(string(f), 0o640))
	second, err := f.Add(ctx, k, storage.NewKey())
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), mode(), "those who may read it go on doing so")

	// Kubernetes mounts secrets as symbolic links.
	link := File(string(f) + ".link")
	require.NoError(t, os.Symlink(string(f), string(link)))
	keys, err := link.Open(ctx, k)
	require.NoError(t, err)
	assert.Equal(t, []string{first, second}, keys.Fingerprints())
	_, err = link.MakePrimary(ctx, k, second)
	assert.ErrorContains(t, err, "it is a symbolic link and not a file")
}

// TestParallelAdds loses no key.
func TestParallelAdds(t *testing.T) {
	t.Parallel()
	f, k := newFile(t), newKMS(t)
	var wg sync.WaitGroup
	first, err := f.Create(ctx, k, storage.NewKey())
	require.NoError(t, err)
	added := make([]string, 16)
	for i := range added {
		wg.Go(func() { added[i], _ = f.Add(ctx, k, storage.NewKey()) })
	}
	wg.Wait()
	keys, err := f.Open(ctx, k)
	require.NoError(t, err)
	assert.ElementsMatch(t, append(added, first), keys.Fingerprints())
}

func TestLockIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	root, err := os.OpenRoot(filepath.Dir(string(f)))
	require.NoError(t, err)
	defer root.Close()
	unlock, err := safefile.Lock(ctx, root, filepath.Base(string(f))+".lock")
	require.NoError(t, err)
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = f.Create(short, newKMS(t), storage.NewKey())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "kms: can't lock the key file "+string(f))
	unlock()
	_, err = f.Create(ctx, newKMS(t), storage.NewKey())
	require.NoError(t, err)
}

func TestPathsThatAreNone(t *testing.T) {
	t.Parallel()
	k := newKMS(t)
	dir := t.TempDir()
	for f, want := range map[File]string{
		"":                                   "this File is no path",
		File(filepath.Join(dir, "no", "no")): "can't lock the key file",
		File(dir):                            "it is a directory and not a file",
	} {
		_, err := f.Create(ctx, k, storage.NewKey())
		assert.ErrorContains(t, err, "kms: ")
		assert.ErrorContains(t, err, want)
		_, err = f.Open(ctx, k)
		assert.ErrorContains(t, err, "kms: ")
	}
	f := newFile(t)
	require.NoError(t, os.MkdirAll(string(f)+".tmp/full", 0o700)) // in the way of the temporary file
	_, err := f.Create(ctx, k, storage.NewKey())
	assert.ErrorContains(t, err, "can't write the key file: ")
	assert.NoFileExists(t, string(f))
}

// TestWrongFiles gives what isn't a file of wrapped keys: the error says what it is
// or how it is damaged, shows none of it, and nothing is written.
func TestWrongFiles(t *testing.T) {
	t.Parallel()
	k := newKMS(t)
	key := storage.NewKey()
	one, two := mustWrap(t, k, storage.NewKey()), mustWrap(t, k, storage.NewKey())
	sum := func(s string) string { return s + ":" + checksum(s) }
	fields := strings.Split(two, ":")
	with := func(format, name, ciphertext string) string {
		return sum(strings.Join([]string{fields[0], format, name, ciphertext}, ":"))
	}
	for name, test := range map[string]struct{ text, want string }{
		"empty":                 {"", "there is no key: the text is empty"},
		"white space":           {" \n\n", "there is no key: the text is empty"},
		"words":                 {"my secret passphrase, which is long enough", `something that doesn't begin with "oauth2keep-kms:"`},
		"key in base64":         {base64.StdEncoding.EncodeToString(key), "but a key in the clear"},
		"key in hexadecimal":    {hex.EncodeToString(key) + "\n", "but a key in the clear"},
		"key of random bytes":   {"\x01\xff\x80" + strings.Repeat("\xfe", 29), "but binary, perhaps a key in the clear"},
		"keys of keystore":      {"oauth2keep keys v1\n" + base64.StdEncoding.EncodeToString(key) + "\nend\n", "a file of package keystore, with keys in the clear"},
		"marker of keystore":    {"oauth2keep keystore v1\nkeyring\nend\n", "a file of package keystore, without any key"},
		"PEM":                   {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "but a PEM file"},
		"keyset":                {`{"primaryKeyId":1}`, "but JSON, perhaps a keyset of Tink"},
		"cut short":             {two[:len(two)-1], "the text is cut short or has something behind it"},
		"cut in the middle":     {two[:len(two)-20], "the text is cut short"},
		"cut in the name":       {two[:30], "the text is cut short"},
		"cut in the magic":      {two[:10], `something that doesn't begin with "oauth2keep-kms:"`},
		"magic alone":           {"oauth2keep-kms", "the text is cut short"},
		"two texts":             {one + "\n" + two, "the text is cut short or has something behind it"},
		"key below":             {one + "\n" + base64.StdEncoding.EncodeToString(key), "the text is cut short or has something behind it"},
		"format of before":      {with("1", fields[2], fields[3]), "the format is unknown"},
		"later format":          {with("3", fields[2], fields[3]), "the format is unknown"},
		"something behind":      {two + ":more", "the text is cut short or has something behind it"},
		"another name":          {strings.Replace(two, fields[2], strings.Split(one, ":")[2], 1), "the text was changed: its checksum is another one"},
		"checksum made again":   {with("2", strings.Split(one, ":")[2], fields[3]), "can't unwrap key " + strings.Split(one, ":")[2]},
		"name that is none":     {with("2", "ABC", fields[3]), "these aren't wrapped keys, though the checksum is right"},
		"name twice":            {with("2", fields[2]+","+fields[2], fields[3]), "these aren't wrapped keys, though"},
		"no name":               {with("2", "", fields[3]), "these aren't wrapped keys, though"},
		"ciphertext not base64": {with("2", fields[2], "*"), "these aren't wrapped keys, though"},
		"no ciphertext":         {with("2", fields[2], ""), "these aren't wrapped keys, though"},
		"endless":               {strings.Repeat("x", maxFile+1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(ctx, k, test.text)
			require.ErrorContains(t, err, "kms: ")
			require.ErrorContains(t, err, test.want)
			f := newFile(t)
			require.NoError(t, os.WriteFile(string(f), []byte(test.text), 0o600))
			_, err = f.Open(ctx, k)
			require.ErrorContains(t, err, "kms: "+string(f))
			require.ErrorContains(t, err, test.want)
			requireNoKey(t, err.Error(), key)
			for _, word := range strings.Fields(test.text) {
				require.False(t, len(word) > 20 && strings.Contains(err.Error(), word), "the error shows the text")
			}
			if !strings.Contains(test.want, "can't unwrap") {
				_, err = f.Add(ctx, k, storage.NewKey())
				require.Error(t, err)
			}
			require.Error(t, f.Rewrap(ctx, k, k))
			assert.Equal(t, test.text, contents(t, f))
		})
	}
}

// TestStoredText has a text of version 2, which must be read for ever. Its ciphertext
// stands for that of a KMS.
func TestStoredText(t *testing.T) {
	t.Parallel()
	one, two := []byte(strings.Repeat("\x01", 32)), []byte(strings.Repeat("\x02", 32))
	plaintext := append(bytes.Clone(one), two...)
	k := broken{nil, func(b []byte) ([]byte, error) {
		require.True(t, bytes.Equal(plaintext, b))
		return []byte("ciphertext"), nil
	}, func(b []byte) ([]byte, error) {
		require.Equal(t, "ciphertext", string(b))
		return plaintext, nil
	}}
	text, err := Wrap(ctx, k, one, two)
	require.NoError(t, err)
	assert.Equal(t, stored, text)
	keys, err := Open(ctx, k, stored)
	require.NoError(t, err)
	assert.Equal(t, []string{nameOf(t, one), nameOf(t, two)}, keys.Fingerprints())
}

const stored = "oauth2keep-kms:2:fbe357879e33e4953367070a14dbc169,25d43a5875d2ff60f8e408a4631f724e:Y2lwaGVydGV4dA==:5bbfa52f"

func FuzzParse(f *testing.F) {
	seeds := []string{
		stored, " " + stored + "\n", stored + " " + stored, "", "oauth2keep-kms", "oauth2keep-kms:2::::",
		"oauth2keep-kms:3:a:b:c", "-----BEGIN", "{}", strings.Repeat("\xff", 32),
	}
	read := 0
	for _, s := range seeds {
		f.Add(s)
		if _, err := parse(s); err == nil {
			read++
		}
	}
	if read != 2 {
		f.Fatalf("%d seeds are read", read)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := parse(text)
		if err != nil {
			return
		}
		// Whatever is read is what would be written, but for white space.
		require.Equal(t, strings.TrimSpace(text), w.String())
	})
}
