package keystore

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDamage is about files that aren't what they should be: the error names them,
// and nothing is written.
func TestDamage(t *testing.T) {
	t.Parallel()
	write := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	}
	change := func(name string, f func(string) string) func(string) error {
		return func(dir string) error {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			return write(name, f(string(b)))(dir)
		}
	}
	replace := func(name string, by func(path string) error) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, name)
			if err := os.Remove(path); err != nil {
				return err
			}
			return by(path)
		}
	}
	chmod := func(name string, mode os.FileMode) func(string) error {
		return func(dir string) error { return os.Chmod(filepath.Join(dir, name), mode) }
	}
	link := func(path string) error {
		target := path + ".away"
		if err := os.WriteFile(target, []byte("hunter2"), 0o600); err != nil {
			return err
		}
		return os.Symlink(filepath.Base(target), path)
	}
	mkdir := func(path string) error { return os.Mkdir(path, 0o700) }
	const anew = "begin anew by deleting "
	tests := map[string]struct {
		unix   bool
		damage func(dir string) error
		want   []string
	}{
		"keys gone":              {false, func(dir string) error { return os.Remove(filepath.Join(dir, "keys")) }, []string{"/keys is gone, and the keys of", anew}},
		"keys empty":             {false, write("keys", ""), []string{"/keys isn't usable: it is empty", anew}},
		"keys garbage":           {false, write("keys", "hunter2"), []string{`/keys isn't usable: it doesn't begin with the line "oauth2keep keys v1"`, anew}},
		"keys of a later format": {false, write("keys", "oauth2keep keys v2\nhunter2\n"), []string{"its format is unknown: it was changed, or comes from a newer version"}},
		"keys cut short": {false, change("keys", func(s string) string { return s[:len(s)-4] }),
			[]string{`it is cut short: the line "end" is missing`}},
		"keys cut in the key": {false, change("keys", func(s string) string { return s[:30] }), []string{"it is cut short"}},
		"keys too long":       {false, change("keys", func(s string) string { return s + strings.Repeat("x", 1<<16) }), []string{"/keys is longer than 65536 bytes"}},
		"no keys":             {false, write("keys", "oauth2keep keys v1\nend\n"), []string{"there is no key in it"}},
		"not a key":           {false, write("keys", "oauth2keep keys v1\nhunter2\nend\n"), []string{"line 2 holds no key"}},
		"key of zeros":        {false, write("keys", "oauth2keep keys v1\n"+strings.Repeat("A", 43)+"=\nend\n"), []string{"line 2 holds no key that could be used"}},
		"key twice": {false, change("keys", func(s string) string {
			l := strings.Split(s, "\n")
			return strings.Join([]string{l[0], l[1], l[1], l[2], l[3]}, "\n")
		}), []string{"line 3 repeats the key "}},
		"other keys":       {false, write("keys", newKeys(t, 1).encode()), []string{"lacks key ", "which was there, and only has", anew}},
		"keys a directory": {false, replace("keys", mkdir), []string{"/keys can't be read: it is a directory and not a file"}},
		"keys a link":      {true, replace("keys", link), []string{"/keys can't be read: it is a symbolic link and not a file"}},
		"keys a pipe":      {true, replace("keys", mkfifo), []string{"/keys can't be read: it is a named pipe and not a file"}},
		"keys open":        {true, chmod("keys", 0o644), []string{"/keys is open to others (mode 0644): chmod g-w,o= "}},
		"keys written":     {true, chmod("keys", 0o660), []string{"/keys is open to others (mode 0660): chmod g-w,o= "}},
		"directory open":   {true, chmod(".", 0o755), []string{"is open to others (mode 0755): chmod g-w,o= "}},
		"marker empty":     {false, write("where", ""), []string{"/where, which says where the keys of", "isn't usable: it is empty; delete it"}},
		"marker garbage":   {false, write("where", "hunter2"), []string{`it doesn't begin with the line "oauth2keep keystore v1"`}},
		"marker of a later format": {false, write("where", "oauth2keep keystore v2\nend\n"),
			[]string{"its format is unknown"}},
		"marker without a place":     {false, write("where", "oauth2keep keystore v1\nend\n"), []string{"it doesn't say where the keys are"}},
		"marker with a strange one":  {false, write("where", "oauth2keep keystore v1\nhunter2\nend\n"), []string{`line 2 is neither "keyring" nor "file"`}},
		"marker with a strange name": {false, write("where", "oauth2keep keystore v1\nfile\nhunter2\nend\n"), []string{"line 3 isn't the fingerprint of a key"}},
		"marker a directory":         {false, replace("where", mkdir), []string{"/where can't be read: it is a directory and not a file"}},
		"marker a link":              {true, replace("where", link), []string{"/where can't be read: it is a symbolic link and not a file"}},
		"marker open":                {true, chmod("where", 0o644), []string{"/where is open to others (mode 0644): chmod g-w,o= "}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.unix && runtime.GOOS == "windows" {
				t.Skip("for Unix")
			}
			a := newFileApp(t)
			open(t, a)
			text := snapshot(t, a)["keys"]
			require.NoError(t, test.damage(a.Dir))
			before := snapshot(t, a)
			text += "\n" + before["keys"]
			check := func(err error) {
				t.Helper()
				require.ErrorContains(t, err, "keystore: ")
				for _, want := range test.want {
					require.ErrorContains(t, err, filepath.FromSlash(want))
				}
				require.NotContains(t, err.Error(), "hunter2")
				for _, line := range strings.Split(text, "\n") {
					require.False(t, len(line) > 40 && strings.Contains(err.Error(), line), "the error shows a key")
				}
			}
			_, err := a.Open(ctx)
			check(err)
			_, err = a.Add(ctx)
			check(err)
			check(a.Remove(ctx, "x"))
			assert.Equal(t, before, snapshot(t, a))
		})
	}
}

func FuzzDecode(f *testing.F) {
	seeds := []string{
		"", "end", "oauth2keep keys v1\nend", "oauth2keep keys v2\nend",
		"oauth2keep keys v1\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\nend\n",
		"oauth2keep keystore v1\nkeyring\n00112233445566778899aabbccddeeff\nend\n",
		"oauth2keep keystore v1\nfile\nend\n",
	}
	read := 0
	for _, s := range seeds {
		f.Add(s)
		if _, err := decodeKeys(s); err == nil {
			read++
		}
		if _, err := decodeMarker(s); err == nil {
			read++
		}
	}
	if read != 3 {
		f.Fatalf("%d seeds are read", read)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := decodeKeys(text); err == nil {
			again, err := decodeKeys(l.encode())
			require.NoError(t, err)
			require.Equal(t, l.fingerprints(), again.fingerprints())
		}
		if m, err := decodeMarker(text); err == nil {
			again, err := decodeMarker(m.encode())
			require.NoError(t, err)
			require.True(t, m.equal(again))
		}
	})
}
