package storage_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// contents returns all records of a store.
func contents(t *testing.T, s storage.Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for name, err := range s.(storage.Lister).Names(ctx) {
		require.NoError(t, err)
		value, _, err := s.Get(ctx, name)
		require.NoError(t, err)
		all[name] = string(value)
	}
	return all
}

func TestCopyThereAndBack(t *testing.T) {
	const n = 30
	key := storage.NewKey()
	first := openShared(t, t.TempDir())
	fill(t, first, "account/", n, key)
	mustPut(t, first, "", "", "") // an empty value under an empty name

	memory, back := new(storage.Memory), openShared(t, t.TempDir())
	records, err := storage.Copy(ctx, memory, first)
	require.NoError(t, err)
	require.Equal(t, n+1, records)
	records, err = storage.Copy(ctx, back, memory)
	require.NoError(t, err)
	require.Equal(t, n+1, records)
	require.Equal(t, contents(t, first), contents(t, back))
	requireTokens(t, back, "account/", n, key)

	records, err = storage.Copy(ctx, back, first)
	require.NoError(t, err, "what is there already and the same is right")
	require.Equal(t, n+1, records)
	require.Len(t, contents(t, back), n+1)
	records, err = storage.Copy(ctx, openShared(t, back.(sharedDir).path), back)
	require.ErrorContains(t, err, "are one and the same store")
	require.Zero(t, records)
	require.Len(t, contents(t, back), n+1)
	records, err = storage.Copy(ctx, new(storage.Memory), new(storage.Memory))
	require.NoError(t, err)
	require.Zero(t, records)
}

// TestCopyIsResumed stops it at every call to either store. Whatever was done by then,
// the next call does the rest.
func TestCopyIsResumed(t *testing.T) {
	const n = 4
	broken := errors.New("the store is down")
	from := new(storage.Memory)
	fill(t, from, "account ", n, storage.NewKey())
	for stop := 0; ; stop++ {
		inner := new(storage.Memory)
		calls := 0
		before := func(string, string) error {
			if calls++; calls > stop {
				return broken
			}
			return nil
		}
		records, err := storage.Copy(ctx, hookStore{inner, before}, hookStore{from, before})
		if err == nil {
			require.Equal(t, n, records)
			require.Equal(t, 4*n, stop, "two calls to copy a record, two to verify it")
			return
		}
		require.ErrorIs(t, err, broken)
		require.Zero(t, records)
		records, err = storage.Copy(ctx, inner, from)
		require.NoError(t, err)
		require.Equal(t, n, records)
		require.Equal(t, contents(t, from), contents(t, inner))
	}
}

// TestCopyLeavesNoProbe has the context end while Copy looks whether it was given two
// stores.
func TestCopyLeavesNoProbe(t *testing.T) {
	from, to := new(storage.Memory), new(storage.Memory)
	mustPut(t, from, "a", "value", "")
	mustPut(t, to, "a", "value", "")
	for _, when := range []string{"Put", "Get"} {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		watch := func(op, name string) error {
			if name != "a" && op == when {
				cancel()
			}
			return nil
		}
		_, err := storage.Copy(inner, hookStore{to, watch}, hookStore{from, watch})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, map[string]string{"a": "value"}, contents(t, to))
	}
}

// TestCopysProbeIsRecognized has a process killed before it could delete the record
// that it had stored for a moment.
func TestCopysProbeIsRecognized(t *testing.T) {
	key, next := storage.NewKey(), storage.NewKey()
	killed := errors.New("killed")
	fresh := func(encrypted bool) (dst *storage.Memory, src, same storage.Store) {
		dst, memory := new(storage.Memory), new(storage.Memory)
		fill(t, memory, "account ", 2, key)
		_, err := storage.Copy(ctx, dst, memory)
		require.NoError(t, err)
		armed := true
		src, same = hookStore{memory, func(_, name string) error {
			if armed && strings.HasPrefix(name, "oauth2keep copy ") {
				armed = false
				panic(killed)
			}
			return nil
		}}, dst
		if encrypted {
			src, same = storage.Encrypt(src, newKeyset(t, key)), storage.Encrypt(dst, newKeyset(t, key))
		}
		func() {
			defer func() { require.Equal(t, killed, recover()) }()
			storage.Copy(ctx, same, src)
		}()
		require.Len(t, contents(t, dst), 3, "there is a probe")
		return dst, src, same
	}
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprint("encrypted ", encrypted), func(t *testing.T) {
			t.Run("by Copy to it", func(t *testing.T) {
				dst, src, same := fresh(encrypted)
				n, err := storage.Copy(ctx, same, src)
				require.NoError(t, err)
				require.Equal(t, 2, n)
				require.Len(t, contents(t, dst), 2)
			})
			t.Run("by Copy from it", func(t *testing.T) {
				dst, src, same := fresh(encrypted)
				n, err := storage.Copy(ctx, src, same)
				require.NoError(t, err)
				require.Equal(t, 2, n)
				require.Len(t, contents(t, dst), 2)
			})
			t.Run("by Rekey", func(t *testing.T) {
				dst, _, _ := fresh(encrypted)
				e := storage.Encrypt(dst, newKeyset(t, next, key))
				report, err := e.Rekey(ctx)
				require.NoError(t, err)
				require.Equal(t, 2, report.Examined)
				require.Len(t, contents(t, dst), 2)
			})
			t.Run("by CheckUnused", func(t *testing.T) {
				dst, _, _ := fresh(encrypted)
				e := storage.Encrypt(dst, newKeyset(t, key, next))
				require.NoError(t, e.CheckUnused(ctx, fingerprintOf(t, next)))
				require.Len(t, contents(t, dst), 2)
			})
		})
	}

	// What only looks like it stays.
	dst := new(storage.Memory)
	name := "oauth2keep copy " + strings.Repeat("A", 26)
	e := storage.Encrypt(dst, newKeyset(t, key, next))
	mustPut(t, e, name, "a token", "")
	mustPut(t, e, name+"A", "", "")
	report, err := e.Rekey(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, report.Examined)
	require.NoError(t, e.CheckUnused(ctx, fingerprintOf(t, next)))
	require.Len(t, contents(t, dst), 2)
}

func TestCopyReplacesNothing(t *testing.T) {
	from, to := new(storage.Memory), new(storage.Memory)
	mustPut(t, from, "a", "new", "")
	mustPut(t, to, "a", "old", "")
	_, err := storage.Copy(ctx, to, from)
	require.ErrorIs(t, err, storage.ErrConflict)
	require.ErrorContains(t, err, `has another record "a" already`)
	require.Equal(t, map[string]string{"a": "old"}, contents(t, to))

	to = new(storage.Memory)
	mustPut(t, to, "b", "of another program", "")
	_, err = storage.Copy(ctx, to, from)
	require.ErrorIs(t, err, storage.ErrConflict)
	require.ErrorContains(t, err, `has a record "b" that`)
	_, err = storage.Copy(ctx, bareStore{to}, from)
	require.NoError(t, err, "what can't be listed can't be missed")
	_, err = storage.Copy(ctx, plainLister{bareStore{to}, errors.ErrUnsupported}, from)
	require.NoError(t, err)
}

// plainLister is a Store whose Names only says why it doesn't list them.
type plainLister struct {
	bareStore
	err error
}

func (l plainLister) Names(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", l.err) }
}

// TestCopyNoticesWriters changes a record at every moment at which Copy could miss it.
func TestCopyNoticesWriters(t *testing.T) {
	const n = 3
	for change, do := range map[string]func(s *storage.Memory, name string){
		"replaced": func(s *storage.Memory, name string) {
			_, v, err := s.Get(ctx, name)
			require.NoError(t, err)
			mustPut(t, s, name, "refreshed", v)
		},
		"deleted": func(s *storage.Memory, name string) {
			_, v, err := s.Get(ctx, name)
			require.NoError(t, err)
			require.NoError(t, s.Delete(ctx, name, v))
		},
		"created": func(s *storage.Memory, _ string) {
			if _, _, err := s.Get(ctx, "new"); err != nil {
				mustPut(t, s, "new", "value", "")
			}
		},
	} {
		t.Run(change, func(t *testing.T) {
			noticed := 0
			for moment := range 4 * n { // calls to either store
				from, to := new(storage.Memory), new(storage.Memory)
				fill(t, from, "account ", n, storage.NewKey())
				calls := 0
				before := func(_, name string) error {
					if calls == moment {
						do(from, name)
					}
					calls++
					return nil
				}
				_, err := storage.Copy(ctx, hookStore{to, before}, hookStore{from, before})
				if err == nil {
					// It was copied in its new state, or changed after it had been verified.
					continue
				}
				require.ErrorIs(t, err, storage.ErrConflict)
				require.ErrorContains(t, err, "stop the programs")
				noticed++
			}
			if change != "created" { // a walk may have a new name or not
				require.GreaterOrEqual(t, noticed, n)
			}
		})
	}

	// Writers to the new store: what they wrote stays, and is told.
	from, to := new(storage.Memory), new(storage.Memory)
	mustPut(t, from, "a", "value", "")
	wrote := false
	_, err := storage.Copy(ctx, to, hookStore{from, func(string, string) error {
		if !wrote {
			wrote = true
			mustPut(t, to, "b", "of a program", "")
		}
		return nil
	}})
	require.ErrorIs(t, err, storage.ErrConflict)
	require.Equal(t, map[string]string{"a": "value", "b": "of a program"}, contents(t, to))
}

// TestCopyVerifies copies to stores that say that they wrote, and didn't.
func TestCopyVerifies(t *testing.T) {
	from := new(storage.Memory)
	fill(t, from, "account ", 3, storage.NewKey())
	for name, spoil := range map[string]func(value []byte) []byte{
		"an empty value": func([]byte) []byte { return nil },
		"half":           func(value []byte) []byte { return value[:len(value)/2] },
		"one bit":        func(value []byte) []byte { value[0] ^= 1; return value },
	} {
		_, err := storage.Copy(ctx, liar{new(storage.Memory), spoil}, from)
		require.ErrorIs(t, err, storage.ErrConflict, name)
	}
	_, err := storage.Copy(ctx, liar{new(storage.Memory), nil}, from)
	require.ErrorContains(t, err, "was changed while it was copied")

	_, err = storage.Copy(ctx, forgetter{new(storage.Memory)}, from)
	require.ErrorContains(t, err, "lists 0 records of 3")
}

// liar stores something else than it is given, or nothing.
type liar struct {
	*storage.Memory
	spoil func([]byte) []byte
}

func (l liar) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if l.spoil == nil {
		return "1", nil
	}
	return l.Memory.Put(ctx, name, l.spoil(value), old)
}

// forgetter has every record, and lists none.
type forgetter struct{ *storage.Memory }

func (forgetter) Names(context.Context) iter.Seq2[string, error] {
	return func(func(string, error) bool) {}
}

func TestCopyOfEncryptedStores(t *testing.T) {
	const n = 5
	old, next := storage.NewKey(), storage.NewKey()
	from, to := new(storage.Memory), new(storage.Memory)
	fill(t, from, "account ", n, old)
	records, err := storage.Copy(ctx, storage.Encrypt(to, newKeyset(t, next)), storage.Encrypt(from, newKeyset(t, old)))
	require.NoError(t, err)
	require.Equal(t, n, records)
	requireTokens(t, to, "account ", n, next)
	requireTokens(t, from, "account ", n, old)

	for _, c := range []struct{ to, from storage.Store }{
		{new(storage.Memory), storage.Encrypt(from, newKeyset(t, old))},
		{storage.Encrypt(new(storage.Memory), newKeyset(t, old)), from},
	} {
		_, err = storage.Copy(ctx, c.to, c.from)
		require.ErrorContains(t, err, "either both are Encrypted or none is")
		for range c.to.(storage.Lister).Names(ctx) {
			t.Fatal("something was written")
		}
	}

	_, err = storage.Copy(ctx, storage.Encrypt(new(storage.Memory), newKeyset(t, next)), storage.Encrypt(from, newKeyset(t, next)))
	require.ErrorIs(t, err, storage.ErrOpen)
}

func TestCopySaysWhatItCannotDo(t *testing.T) {
	memory := new(storage.Memory)
	mustPut(t, memory, "a", "value", "")
	broken := errors.New("the list breaks off")
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	for _, c := range []struct {
		ctx      context.Context
		to, from storage.Store
		want     error
		text     string
	}{
		{ctx, nil, memory, nil, "Copy was given no Store"},
		{ctx, memory, (*storage.Dir)(nil), nil, "Copy was given no Store"},
		{ctx, memory, bareStore{memory}, errors.ErrUnsupported, "can't list its names"},
		{ctx, memory, listStore{new(storage.Memory), broken}, broken, ""},
		{ctx, new(storage.Memory), listStore{memory, broken}, broken, ""},
		{ctx, plainLister{bareStore{new(storage.Memory)}, broken}, memory, broken, ""},
		{ctx, hookStore{new(storage.Memory), func(op, _ string) error {
			if op == "Put" {
				return broken
			}
			return nil
		}}, memory, broken, `(record "a")`},
		{canceled, new(storage.Memory), memory, context.Canceled, ""},
	} {
		records, err := storage.Copy(c.ctx, c.to, c.from)
		require.Error(t, err)
		require.Zero(t, records)
		if c.want != nil {
			require.ErrorIs(t, err, c.want)
		}
		require.ErrorContains(t, err, c.text)
	}
	require.Equal(t, map[string]string{"a": "value"}, contents(t, memory))
}
