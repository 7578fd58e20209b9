package storage_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// requireDamaged checks that a broken file is an error that names it, in every
// method, and that it stays as it is.
func requireDamaged(t *testing.T, d *storage.Dir, name, file, how string) {
	t.Helper()
	before, err := os.ReadFile(file)
	require.NoError(t, err)

	_, v, err := d.Get(ctx, name)
	require.ErrorIs(t, err, storage.ErrOpen, how)
	require.NotErrorIs(t, err, storage.ErrNotFound, how)
	require.NotErrorIs(t, err, storage.ErrConflict, how)
	require.ErrorContains(t, err, file, how)
	require.ErrorContains(t, err, "restore it from a backup", how)
	require.Empty(t, v, how)

	for _, old := range []storage.Version{"", "66ea6aaa8638f44022cf289806426e50"} {
		_, err := d.Put(ctx, name, []byte("overwritten"), old)
		require.ErrorIs(t, err, storage.ErrConflict, how) // nothing was written
		require.ErrorIs(t, err, storage.ErrOpen, how)
		require.ErrorContains(t, err, file, how)
		err = d.Delete(ctx, name, old)
		require.ErrorIs(t, err, storage.ErrConflict, how)
		require.ErrorIs(t, err, storage.ErrOpen, how)
	}

	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after), how)
}

func TestDirNeverTakesADamagedFileForAMiss(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	v := mustPut(t, d, "account 1", "sealed bytes", "")
	file := recordFiles(t, path)[0]
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	for n := range whole {
		require.NoError(t, os.WriteFile(file, whole[:n], 0o600))
		requireDamaged(t, d, "account 1", file, fmt.Sprintf("cut to %d bytes", n))
		b := bytes.Clone(whole)
		b[n] ^= 0x20
		require.NoError(t, os.WriteFile(file, b, 0o600))
		requireDamaged(t, d, "account 1", file, fmt.Sprintf("byte %d changed", n))
	}
	for how, b := range map[string][]byte{
		"longer": append(bytes.Clone(whole), 0), "zeros": make([]byte, len(whole)), "foreign": []byte("{}"),
	} {
		require.NoError(t, os.WriteFile(file, b, 0o600))
		requireDamaged(t, d, "account 1", file, how)
	}
	require.NoError(t, os.WriteFile(file, whole, 0o600))
	_, got, err := d.Get(ctx, "account 1")
	require.NoError(t, err)
	require.Equal(t, v, got)
}

// TestEncryptedDirFilesAreErrOpen is the same through both layers, as a program
// meets it.
func TestEncryptedDirFilesAreErrOpen(t *testing.T) {
	path := t.TempDir()
	e := storage.Encrypt(openDir(t, path), newKeyset(t, storage.NewKey()))
	mustPut(t, e, "account 1", "token", "")
	file := recordFiles(t, path)[0]
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	for n := range whole {
		b := bytes.Clone(whole)
		b[n] ^= 1
		for _, b := range [][]byte{b, whole[:n]} {
			require.NoError(t, os.WriteFile(file, b, 0o600))
			_, v, err := e.Get(ctx, "account 1")
			require.ErrorIs(t, err, storage.ErrOpen)
			require.ErrorContains(t, err, `(record "account 1")`)
			require.Empty(t, v)
			_, err = e.Put(ctx, "account 1", nil, "")
			require.ErrorIs(t, err, storage.ErrConflict)
		}
	}
}

func TestDirKnowsAFileThatWasMoved(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	mustPut(t, d, "a", "value of a", "")
	file := recordFiles(t, path)[0]
	v := mustPut(t, d, "b", "value of b", "")
	require.NoError(t, d.Delete(ctx, "b", v))
	b := fileOf(t, path, d, "b")
	require.NoError(t, os.Rename(file, b))

	requireDamaged(t, d, "b", b, "renamed")
	_, _, err := d.Get(ctx, "b")
	require.ErrorContains(t, err, "it was renamed or copied")
	_, _, err = d.Get(ctx, "a")
	require.Equal(t, storage.ErrNotFound, err)
	err = listError(d.Names(ctx))
	require.ErrorIs(t, err, storage.ErrOpen)
	require.ErrorContains(t, err, b)
}

// fileOf returns the path of the file of a record, which need not exist.
func fileOf(t *testing.T, path string, d *storage.Dir, name string) string {
	t.Helper()
	before := recordFiles(t, path)
	v, err := d.Put(ctx, name, nil, "")
	require.NoError(t, err)
	var file string
	for _, f := range recordFiles(t, path) {
		if !slices.Contains(before, f) {
			file = f
		}
	}
	require.NotEmpty(t, file)
	require.NoError(t, d.Delete(ctx, name, v))
	return file
}

func TestDirNamesGoesOnPastDamagedFiles(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	const n = 12
	for i := range n {
		mustPut(t, d, fmt.Sprint("account ", i), "value", "")
	}
	for i, how := range []string{"", "foreign", "o2kf\x01 and so on", "o2kf\x01" + strings.Repeat("\xff", 90)} {
		require.NoError(t, os.WriteFile(recordFiles(t, path)[3*i], []byte(how), 0o600))
	}
	names := make(map[string]bool)
	var last error
	for name, err := range d.Names(ctx) {
		require.NoError(t, last, "the walk went on after an error")
		if last = err; err == nil {
			names[name] = true
		}
	}
	require.Len(t, names, n-4)
	require.ErrorIs(t, last, storage.ErrOpen)
	require.ErrorContains(t, last, path)
	require.ErrorContains(t, last, "(4 of 12 files aren't usable)")

	// Rekey does what it can before it says so.
	e := storage.Encrypt(d, newKeyset(t, storage.NewKey()))
	report, err := e.Rekey(ctx)
	require.ErrorIs(t, err, storage.ErrOpen)
	require.ErrorContains(t, err, "(4 of 12 files aren't usable)")
	require.Equal(t, n-4, report.Unopenable) // values that were never sealed
}

// TestRekeyCountsDamagedFiles is about files whose name can be read and whose value
// can't.
func TestRekeyCountsDamagedFiles(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	old, primary := storage.NewKey(), storage.NewKey()
	fill(t, d, "account ", 6, old)
	file := recordFiles(t, path)[2]
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, whole[:len(whole)-1], 0o600))

	report, err := storage.Encrypt(d, newKeyset(t, primary, old)).Rekey(ctx)
	require.ErrorIs(t, err, storage.ErrOpen)
	require.ErrorContains(t, err, "storage: 1 of 6 records can't be opened")
	require.ErrorContains(t, err, file)
	require.Equal(t, 5, report.Moved)
	require.Equal(t, 1, report.Unopenable)
	require.Equal(t, map[string]int{report.Primary: 5, fingerprintOf(t, old): 0}, report.ByKey)
}
