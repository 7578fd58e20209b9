package storage_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// fingerprintOf returns a key's fingerprint as RekeyReport has it.
func fingerprintOf(t *testing.T, key []byte) string {
	t.Helper()
	return newKeyset(t, key).Fingerprints()[0]
}

// fill stores n records sealed with key, named prefix and a number.
func fill(t *testing.T, store storage.Store, prefix string, n int, key []byte) {
	e := storage.Encrypt(store, newKeyset(t, key))
	for i := range n {
		mustPut(t, e, fmt.Sprint(prefix, i), fmt.Sprint("token of ", prefix, i), "")
	}
}

// requireTokens checks that key alone opens what fill stored.
func requireTokens(t *testing.T, store storage.Store, prefix string, n int, key []byte) {
	t.Helper()
	e := storage.Encrypt(store, newKeyset(t, key))
	for i := range n {
		value, _, err := e.Get(ctx, fmt.Sprint(prefix, i))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("token of ", prefix, i), string(value))
	}
}

func TestRekeyMovesEveryRecord(t *testing.T) {
	a, b, c := storage.NewKey(), storage.NewKey(), storage.NewKey()
	for _, open := range []func(t *testing.T) storage.Store{
		func(t *testing.T) storage.Store { return new(storage.Memory) },
		func(t *testing.T) storage.Store { return openShared(t, t.TempDir()) },
	} {
		store := open(t)
		fill(t, store, "a", 5, a)
		fill(t, store, "b", 3, b)
		fill(t, store, "c", 2, c)
		_, untouched, err := store.Get(ctx, "c0")
		require.NoError(t, err)

		e := storage.Encrypt(store, newKeyset(t, c, a, b))
		report, err := e.Rekey(ctx)
		require.NoError(t, err)
		primary := fingerprintOf(t, c)
		byKey := map[string]int{primary: 10, fingerprintOf(t, a): 0, fingerprintOf(t, b): 0}
		require.Equal(t, storage.RekeyReport{Examined: 10, Moved: 8, Primary: primary, ByKey: byKey}, report)

		requireTokens(t, store, "a", 5, c)
		requireTokens(t, store, "b", 3, c)
		requireTokens(t, store, "c", 2, c)
		_, now, err := store.Get(ctx, "c0")
		require.NoError(t, err)
		require.Equal(t, untouched, now, "a record that was sealed with the primary key was written again")

		report, err = e.Rekey(ctx)
		require.NoError(t, err)
		require.Equal(t, storage.RekeyReport{Examined: 10, Primary: primary, ByKey: byKey}, report)
	}
}

func TestRekeyOfAnEmptyStore(t *testing.T) {
	key := storage.NewKey()
	report, err := storage.Encrypt(new(storage.Memory), newKeyset(t, key)).Rekey(ctx)
	require.NoError(t, err)
	require.Equal(t, storage.RekeyReport{Primary: fingerprintOf(t, key), ByKey: map[string]int{fingerprintOf(t, key): 0}}, report)
}

func TestRekeyGoesOnPastWhatItCannotOpen(t *testing.T) {
	old, primary, lost := storage.NewKey(), storage.NewKey(), storage.NewKey()
	store := new(storage.Memory)
	fill(t, store, "old", 4, old)
	fill(t, store, "lost", 2, lost)
	mustPut(t, store, "foreign", "not sealed at all", "")
	moved, _, err := store.Get(ctx, "old0")
	require.NoError(t, err)
	mustPut(t, store, "moved", string(moved), "")

	e := storage.Encrypt(store, newKeyset(t, primary, old))
	report, err := e.Rekey(ctx)
	require.ErrorIs(t, err, storage.ErrOpen)
	require.ErrorContains(t, err, fmt.Sprintf("storage: 4 of 8 records can't be opened and were left as they are, the first is %q: storage: can't open", report.FirstUnopenable))
	require.Contains(t, []string{"lost0", "lost1", "foreign", "moved"}, report.FirstUnopenable)
	report.FirstUnopenable = ""
	require.Equal(t, storage.RekeyReport{
		Examined: 8, Moved: 4, Unopenable: 4,
		Primary: fingerprintOf(t, primary),
		ByKey:   map[string]int{fingerprintOf(t, primary): 4, fingerprintOf(t, old): 1, fingerprintOf(t, lost): 2},
	}, report)
	requireTokens(t, store, "old", 4, primary)
	requireTokens(t, store, "lost", 2, lost)

	// With the lost key found, and the rest gone, it comes to an end.
	for _, name := range []string{"foreign", "moved"} {
		_, v, err := store.Get(ctx, name)
		require.NoError(t, err)
		require.NoError(t, store.Delete(ctx, name, v))
	}
	report, err = storage.Encrypt(store, newKeyset(t, primary, lost)).Rekey(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, report.Moved)
	require.Equal(t, 6, report.Examined)
}

// TestRekeyOpensWhatNeedsNoMoving: no error means that all is well.
func TestRekeyOpensWhatNeedsNoMoving(t *testing.T) {
	primary := storage.NewKey()
	store := new(storage.Memory)
	fill(t, store, "account ", 2, primary)
	sealed, v, err := store.Get(ctx, "account 1")
	require.NoError(t, err)
	sealed[len(sealed)-1] ^= 1
	mustPut(t, store, "account 1", string(sealed), v)
	report, err := storage.Encrypt(store, newKeyset(t, primary)).Rekey(ctx)
	require.ErrorIs(t, err, storage.ErrOpen)
	name := fingerprintOf(t, primary)
	require.Equal(t, storage.RekeyReport{Examined: 2, Unopenable: 1, FirstUnopenable: "account 1", Primary: name, ByKey: map[string]int{name: 2}}, report)
}

// hookStore calls before ahead of every Get and Put.
type hookStore struct {
	*storage.Memory
	before func(op, name string) error
}

func (s hookStore) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	if err := s.before("Get", name); err != nil {
		return nil, "", err
	}
	return s.Memory.Get(ctx, name)
}

func (s hookStore) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if err := s.before("Put", name); err != nil {
		return "", err
	}
	return s.Memory.Put(ctx, name, value, old)
}

func TestRekeyLooksAgainAfterAConflict(t *testing.T) {
	old, primary := storage.NewKey(), storage.NewKey()
	for _, c := range []struct {
		name  string
		key   []byte // which the other writer seals with
		moved int
	}{
		{"written with the primary key", primary, 0},
		{"written with the old key", old, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			memory := new(storage.Memory)
			fill(t, memory, "account ", 1, old)
			other := storage.Encrypt(memory, newKeyset(t, c.key, old))
			interfered := false
			store := hookStore{memory, func(op, name string) error {
				if op == "Put" && !interfered {
					interfered = true
					_, v, err := other.Get(ctx, name)
					require.NoError(t, err)
					mustPut(t, other, name, "refreshed", v)
				}
				return nil
			}}
			report, err := storage.Encrypt(store, newKeyset(t, primary, old)).Rekey(ctx)
			require.NoError(t, err)
			require.True(t, interfered)
			require.Equal(t, 1, report.Examined)
			require.Equal(t, c.moved, report.Moved)
			value, _, err := storage.Encrypt(memory, newKeyset(t, primary)).Get(ctx, "account 0")
			require.NoError(t, err)
			require.Equal(t, "refreshed", string(value), "what the other writer stored was lost")
		})
	}
}

func TestRekeySkipsWhatIsDeletedMeanwhile(t *testing.T) {
	old, primary := storage.NewKey(), storage.NewKey()
	memory := new(storage.Memory)
	fill(t, memory, "account ", 3, old)
	deleted := false
	store := hookStore{memory, func(op, name string) error {
		if op == "Put" && !deleted {
			deleted = true
			_, v, err := memory.Get(ctx, name)
			require.NoError(t, err)
			require.NoError(t, memory.Delete(ctx, name, v))
		}
		return nil
	}}
	report, err := storage.Encrypt(store, newKeyset(t, primary, old)).Rekey(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, report.Examined)
	require.Equal(t, 2, report.Moved)
}

// TestRekeyIsResumed stops it after every possible number of calls to the store.
func TestRekeyIsResumed(t *testing.T) {
	old, primary := storage.NewKey(), storage.NewKey()
	const n = 4
	broken := errors.New("the store is down")
	for stop := range 2 * n {
		for _, cancel := range []bool{true, false} {
			memory := new(storage.Memory)
			fill(t, memory, "account ", n, old)
			inner, end := context.WithCancel(ctx)
			defer end()
			calls := 0
			store := hookStore{memory, func(string, string) error {
				if calls++; calls <= stop {
					return nil
				}
				if cancel {
					end()
					return nil // and Memory refuses
				}
				return broken
			}}
			e := storage.Encrypt(store, newKeyset(t, primary, old))
			first, err := e.Rekey(inner)
			if cancel {
				require.ErrorIs(t, err, context.Canceled)
			} else {
				require.ErrorIs(t, err, broken)
				require.ErrorContains(t, err, `(record "account `)
			}
			require.Equal(t, stop/2, first.Moved)
			require.Equal(t, stop/2, first.Examined)

			second, err := storage.Encrypt(memory, newKeyset(t, primary, old)).Rekey(ctx)
			require.NoError(t, err)
			require.Equal(t, n, second.Examined)
			require.Equal(t, n-stop/2, second.Moved)
			requireTokens(t, memory, "account ", n, primary)
		}
	}
}

// plainSealer hides that a Keyset can tell which key sealed a record, and fails
// when told to.
type plainSealer struct {
	storage.Sealer
	seal, open error
}

func (s *plainSealer) Seal(ctx context.Context, plaintext, ad []byte) ([]byte, error) {
	if s.seal != nil {
		return nil, s.seal
	}
	return s.Sealer.Seal(ctx, plaintext, ad)
}

func (s *plainSealer) Open(ctx context.Context, sealed, ad []byte) ([]byte, error) {
	if s.open != nil {
		return nil, s.open
	}
	return s.Sealer.Open(ctx, sealed, ad)
}

func TestRekeyWithASealerThatCannotTell(t *testing.T) {
	old, primary := storage.NewKey(), storage.NewKey()
	store := new(storage.Memory)
	fill(t, store, "account ", 3, old)
	sealer := &plainSealer{Sealer: newKeyset(t, primary, old)}
	e := storage.Encrypt(store, sealer)
	for range 2 {
		report, err := e.Rekey(ctx)
		require.NoError(t, err)
		require.Equal(t, storage.RekeyReport{Examined: 3, Moved: 3, ByKey: map[string]int{}}, report)
		requireTokens(t, store, "account ", 3, primary)
	}

	sealer.open = errors.New("kms: can't decrypt now")
	report, err := e.Rekey(ctx)
	require.ErrorIs(t, err, sealer.open)
	require.NotErrorIs(t, err, storage.ErrOpen)
	require.Zero(t, report.Examined)

	sealer.open, sealer.seal = nil, errors.New("kms: can't encrypt now")
	_, err = e.Rekey(ctx)
	require.ErrorIs(t, err, sealer.seal)
	requireTokens(t, store, "account ", 3, primary)

	mustPut(t, store, "foreign", "not sealed at all", "")
	sealer.seal = nil
	report, err = e.Rekey(ctx)
	require.ErrorIs(t, err, storage.ErrOpen)
	require.Equal(t, storage.RekeyReport{Examined: 4, Moved: 3, Unopenable: 1, FirstUnopenable: "foreign", ByKey: map[string]int{}}, report)
}

// listStore yields an error after its names.
type listStore struct {
	*storage.Memory
	err error
}

func (s listStore) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name := range s.Memory.Names(ctx) {
			if !yield(name, nil) {
				return
			}
		}
		yield("", s.err)
	}
}

func TestRekeyReportsBothKindsOfError(t *testing.T) {
	old, primary := storage.NewKey(), storage.NewKey()
	store := listStore{new(storage.Memory), errors.New("the list breaks off")}
	fill(t, store, "account ", 2, old)
	mustPut(t, store, "foreign", "not sealed at all", "")
	report, err := storage.Encrypt(store, newKeyset(t, primary, old)).Rekey(ctx)
	require.ErrorIs(t, err, store.err)
	require.ErrorIs(t, err, storage.ErrOpen)
	require.Equal(t, 2, report.Moved)
	require.Equal(t, 1, report.Unopenable)
}
