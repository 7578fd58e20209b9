package storage_test

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
)

var ctx = context.Background()

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// countingKey is 00 01 02 … 1f.
func countingKey() []byte {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	return key
}

// sealedToken is "token" as the record "account 1", sealed with countingKey. It was
// written by the first version of this package, and opened by an implementation of
// doc.go's description in Python. It must open for ever.
const sealedToken = "6f326b73" + "01" + "01" + // magic, format, suite
	"c23e1ba17c3144237c5f467411a6b94c" + // fingerprint
	"06bbcfd092e8617a3804385984d75fb11b029ffd2abee462" + // nonce
	"95e9c04eb6" + "05250e7e2fdc1657d3716a793ffea29b" // ciphertext, tag

// sealedTokenAD is the associated data that Encrypted gives for "account 1".
const sealedTokenAD = "\x00\x00\x00\x00\x00\x00\x00\x14oauth2keep record v1" + "\x00\x00\x00\x00\x00\x00\x00\x09account 1"

func TestKeysetOpensWhatTheFirstVersionSealed(t *testing.T) {
	k := newKeyset(t, storage.NewKey(), countingKey())
	plaintext, err := k.Open(ctx, unhex(t, sealedToken), []byte(sealedTokenAD))
	require.NoError(t, err)
	require.Equal(t, "token", string(plaintext))
}

func TestKeysetRoundTrip(t *testing.T) {
	if fips140.Enabled() {
		t.Log("FIPS 140 mode is on") // read by TestInFIPSMode
	}
	k := newKeyset(t, storage.NewKey())
	for _, plaintext := range [][]byte{nil, {}, {0}, []byte("token"), bytes.Repeat([]byte("x"), 1<<20)} {
		for _, ad := range [][]byte{nil, []byte("ad"), bytes.Repeat([]byte("y"), 5000)} {
			sealed, err := k.Seal(ctx, plaintext, ad)
			require.NoError(t, err)
			require.Len(t, sealed, len(plaintext)+62)
			opened, err := k.Open(ctx, sealed, ad)
			require.NoError(t, err)
			require.True(t, bytes.Equal(plaintext, opened))

			clear(opened)
			opened, err = k.Open(ctx, sealed, ad)
			require.NoError(t, err)
			require.True(t, bytes.Equal(plaintext, opened), "the result of Open is a part of its argument")
		}
	}
}

func TestKeysetSealsAnewEachTime(t *testing.T) {
	k := newKeyset(t, storage.NewKey())
	seen := make(map[string]bool)
	for range 100 {
		sealed, err := k.Seal(ctx, []byte("token"), nil)
		require.NoError(t, err)
		seen[string(sealed)] = true
	}
	require.Len(t, seen, 100)
}

// TestKeysetRefusesAlteredRecords alters a record in every way that takes one step.
func TestKeysetRefusesAlteredRecords(t *testing.T) {
	k := newKeyset(t, countingKey(), storage.NewKey())
	sealed, ad := unhex(t, sealedToken), []byte(sealedTokenAD)
	refused := func(sealed, ad []byte, how string, args ...any) {
		t.Helper()
		plaintext, err := k.Open(ctx, sealed, ad)
		require.ErrorIs(t, err, storage.ErrOpen, how, args)
		require.Nil(t, plaintext, how, args)
	}
	for n := range sealed {
		refused(sealed[:n], ad, "cut to %d bytes", n)
		refused(sealed[n+1:], ad, "without the first %d bytes", n+1)
		for bit := range 8 {
			b := bytes.Clone(sealed)
			b[n] ^= 1 << bit
			refused(b, ad, "bit %d of byte %d", bit, n)
		}
	}
	for n := range ad {
		refused(sealed, ad[:n], "associated data cut to %d bytes", n)
		b := bytes.Clone(ad)
		b[n] ^= 1
		refused(sealed, b, "byte %d of the associated data", n)
	}
	refused(append(bytes.Clone(sealed), 0), ad, "longer by a byte")
	refused(sealed, append(bytes.Clone(ad), 0), "associated data longer by a byte")
	refused(nil, ad, "nil")
	refused([]byte(`{"access_token":"plain"}`), ad, "never sealed")
}

// TestKeysetBindsTheHeader moves the other key's ciphertext under this key's name.
func TestKeysetBindsTheHeader(t *testing.T) {
	a, b := storage.NewKey(), storage.NewKey()
	k := newKeyset(t, a, b)
	fromA, err := newKeyset(t, a).Seal(ctx, []byte("a"), nil)
	require.NoError(t, err)
	fromB, err := newKeyset(t, b).Seal(ctx, []byte("b"), nil)
	require.NoError(t, err)
	_, err = k.Open(ctx, append(bytes.Clone(fromA[:22]), fromB[22:]...), nil)
	require.ErrorIs(t, err, storage.ErrOpen)
}

func TestKeysetErrorsSayWhatToDo(t *testing.T) {
	k := newKeyset(t, bytes.Repeat([]byte{7}, 32))
	sealed := unhex(t, sealedToken)
	with := func(i int, b byte) []byte {
		s := bytes.Clone(sealed)
		s[i] = b
		return s
	}
	for _, c := range []struct {
		name   string
		sealed []byte
		want   string
	}{
		{"missing key", sealed, "storage: can't open the sealed record: it was sealed with key c23e1ba17c3144237c5f467411a6b94c, " +
			"which isn't in this keyset (it has 74e05bafd157beb25a5507660cb47429): give that key to NewKeyset as an old one"},
		{"foreign", []byte("something else"), "storage: can't open the sealed record: it doesn't begin like a sealed record"},
		{"newer format", with(4, 2), "storage: can't open the sealed record: its format, 2.1, is unknown: it was changed, or comes from a newer version of oauth2keep"},
		{"newer suite", with(5, 9), "storage: can't open the sealed record: its format, 1.9, is unknown: it was changed, or comes from a newer version of oauth2keep"},
		{"short", sealed[:61], "storage: can't open the sealed record: it is cut short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := k.Open(ctx, c.sealed, nil)
			require.EqualError(t, err, c.want)
			require.ErrorIs(t, err, storage.ErrOpen)
		})
	}
	_, err := newKeyset(t, countingKey()).Open(ctx, sealed, []byte("another record"))
	require.EqualError(t, err, "storage: can't open the sealed record: it was changed or cut short, or it was moved here from another record")
}

func TestKeysetReplacesKeys(t *testing.T) {
	first, second, third := storage.NewKey(), storage.NewKey(), storage.NewKey()
	sealed, err := newKeyset(t, first).Seal(ctx, []byte("token"), nil)
	require.NoError(t, err)

	for _, keys := range [][][]byte{
		{first},
		{first, first, first},
		{second, first},
		{second, first, second, first},
		{third, second, first},
	} {
		k := newKeyset(t, keys[0], keys[1:]...)
		plaintext, err := k.Open(ctx, sealed, nil)
		require.NoError(t, err)
		require.Equal(t, "token", string(plaintext))

		again, err := k.Seal(ctx, plaintext, nil)
		require.NoError(t, err)
		_, err = newKeyset(t, keys[0]).Open(ctx, again, nil)
		require.NoError(t, err, "what is sealed anew must need nothing but the primary key")
	}
	_, err = newKeyset(t, second, third).Open(ctx, sealed, nil)
	require.ErrorIs(t, err, storage.ErrOpen)
}

func TestKeysetCopiesItsKeys(t *testing.T) {
	primary, old := countingKey(), bytes.Repeat([]byte{9}, 32)
	k := newKeyset(t, primary, old)
	want := newKeyset(t, countingKey(), bytes.Repeat([]byte{9}, 32)).String()
	clear(primary)
	clear(old)
	require.Equal(t, want, k.String())
	_, err := k.Open(ctx, unhex(t, sealedToken), []byte(sealedTokenAD))
	require.NoError(t, err)
}

func TestNewKeysetRefusesBadKeys(t *testing.T) {
	good := storage.NewKey()
	const remedy = ", and must have 32 random ones: make it with NewKey, read it with ReadKeyFile or ParseKey"
	for _, c := range []struct {
		name    string
		primary []byte
		old     [][]byte
		want    string
	}{
		{"nil", nil, nil, "storage: the primary key has 0 bytes" + remedy},
		{"short", []byte("secret secret secret secret sec"), nil, "storage: the primary key has 31 bytes" + remedy},
		{"long", append([]byte("x"), good...), nil, "storage: the primary key has 33 bytes" + remedy},
		{"old", good, [][]byte{good, good[:16]}, "storage: old key number 2 has 16 bytes" + remedy},
		{"zeros", make([]byte, 32), nil, "storage: the primary key is all zeros: it was never filled, or its file was lost in a crash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := storage.NewKeyset(c.primary, c.old...)
			require.EqualError(t, err, c.want)
			require.Nil(t, k)
		})
	}
}

func TestKeysetWithoutKeysSaysSo(t *testing.T) {
	const want = "storage: this Keyset has no keys: make it with NewKeyset, and look at its error"
	for _, k := range []*storage.Keyset{nil, {}} {
		_, err := k.Seal(ctx, nil, nil)
		require.EqualError(t, err, want)
		_, err = k.Open(ctx, unhex(t, sealedToken), nil)
		require.EqualError(t, err, want)
		require.NotErrorIs(t, err, storage.ErrOpen, "the record may be all right")
	}
	require.Equal(t, "storage.Keyset()", storage.Keyset{}.String())
}

// Types that a program might have around a Keyset.
type (
	hiddenPointer struct{ k *storage.Keyset }
	hiddenValue   struct{ k storage.Keyset }
	hiddenStore   struct{ s *storage.Encrypted }
	exported      struct {
		K  *storage.Keyset
		E  *storage.Encrypted
		hv hiddenValue
	}
	// leakySealer is a Sealer of someone who took no care.
	leakySealer struct{ key [32]byte }
)

func (leakySealer) Seal(context.Context, []byte, []byte) ([]byte, error) { return nil, nil }
func (leakySealer) Open(context.Context, []byte, []byte) ([]byte, error) { return nil, nil }

func TestKeysAreNeverPrinted(t *testing.T) {
	key, old := printableKey("primary"), printableKey("old")
	k := newKeyset(t, key, old)
	store := new(storage.Memory)
	e := storage.Encrypt(store, k)
	mustPut(t, e, "record", "the token", "")
	leaky := storage.Encrypt(store, leakySealer{[32]byte(key)})

	var printed strings.Builder
	logs := []*slog.Logger{slog.New(slog.NewTextHandler(&printed, nil)), slog.New(slog.NewJSONHandler(&printed, nil))}
	for _, v := range []any{
		k, *k, e, leaky, *k, &k, hiddenPointer{k}, &hiddenPointer{k}, hiddenValue{*k}, &hiddenValue{*k}, hiddenStore{e}, &hiddenStore{e},
		exported{k, e, hiddenValue{*k}}, &exported{k, e, hiddenValue{*k}},
		[]*storage.Keyset{k}, []storage.Keyset{*k}, map[string]any{"k": k, "v": *k, "h": hiddenValue{*k}}, store,
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d", "%o", "%c", "%t", "% x"} {
			fmt.Fprintf(&printed, verb+"\n", v)
		}
		// testify follows pointers and reads unexported fields.
		assert.Equal(recorder{&printed}, reflect.Zero(reflect.TypeOf(v)).Interface(), v)
		for _, l := range logs {
			l.Info("value", "v", v)
		}
		if b, err := json.Marshal(v); err == nil {
			printed.Write(b)
		}
		fmt.Fprintln(&printed, fmt.Errorf("with %v: %w", v, errors.New("error")))
	}
	for _, key := range [][]byte{key, old} {
		requireNoKey(t, printed.String(), key)
	}
	require.Contains(t, printed.String(), k.String())
	require.NotContains(t, printed.String(), "the token")
}

// recorder is a test that writes down how it fails.
type recorder struct{ *strings.Builder }

func (r recorder) Errorf(format string, args ...any) { fmt.Fprintf(r, format, args...) }

// printableKey returns a key that is the same each time, so that what it looks like
// when printed is too.
func printableKey(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// requireNoKey looks for the beginning of a key in every form in which it could be
// printed, and for its middle.
func requireNoKey(t *testing.T, printed string, key []byte) {
	t.Helper()
	for _, part := range [][]byte{key[:6], key[13:19]} {
		for _, form := range []string{
			string(part), fmt.Sprintf("%x", part), fmt.Sprintf("%X", part), fmt.Sprintf("% x", part),
			strings.Trim(fmt.Sprint(part), "[]"), strings.Trim(fmt.Sprintf("%o", part), "[]"),
			strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte{"), "}"), strings.Trim(fmt.Sprintf("%q", part), `"`),
			base64.RawStdEncoding.EncodeToString(part[:3]) + base64.RawStdEncoding.EncodeToString(part[3:]),
		} {
			if strings.Contains(printed, form) {
				t.Fatal("a key was printed")
			}
		}
	}
}

// TestRequireNoKeyFinds makes sure that the test above can fail.
func TestRequireNoKeyFinds(t *testing.T) {
	key := printableKey("primary")
	for _, printed := range []string{
		fmt.Sprintf("%v", leakySealer{[32]byte(key)}), fmt.Sprintf("%x", key), fmt.Sprintf("%X", key), fmt.Sprintf("%#v", key),
		base64.StdEncoding.EncodeToString(key), string(key), fmt.Sprintf("%q", key),
	} {
		found := make(chan bool)
		go func() {
			probe := new(testing.T)
			defer func() { found <- probe.Failed() }()
			requireNoKey(probe, printed, key)
		}()
		require.True(t, <-found, "a printed key wasn't found")
	}
}

func TestKeysetPrintsFingerprints(t *testing.T) {
	k := newKeyset(t, countingKey(), bytes.Repeat([]byte{7}, 32), countingKey())
	const want = "storage.Keyset(c23e1ba17c3144237c5f467411a6b94c, 74e05bafd157beb25a5507660cb47429)"
	require.Equal(t, want, fmt.Sprintf("%v", k))
	require.Equal(t, want, fmt.Sprintf("%#v", *k))
	b, err := json.Marshal(k)
	require.NoError(t, err)
	require.Equal(t, `"`+want+`"`, string(b))
}

func TestKeysetFingerprints(t *testing.T) {
	sevens := bytes.Repeat([]byte{7}, 32)
	k := newKeyset(t, countingKey(), sevens, countingKey())
	want := []string{"c23e1ba17c3144237c5f467411a6b94c", "74e05bafd157beb25a5507660cb47429"}
	require.Equal(t, want, k.Fingerprints())
	k.Fingerprints()[0] = "changed by the caller"
	require.Equal(t, want, k.Fingerprints())
	require.Empty(t, (*storage.Keyset)(nil).Fingerprints())
	require.Empty(t, new(storage.Keyset).Fingerprints())
}

// TestInFIPSMode runs the tests of everything cryptographic once more in a process
// in which Go refuses what FIPS 140-3 doesn't approve.
func TestInFIPSMode(t *testing.T) {
	if fips140.Enabled() {
		t.Skip("it is on already")
	}
	if testing.Short() {
		t.Skip("takes long")
	}
	t.Parallel()
	out := testenv.InFIPSMode(t, []string{"-test.v", "-test.short", "-test.run=^(TestXAES|TestKeyset|TestNewKey|TestParseKey|TestRekey|TestEncryptedOf|TestEncrypted(Stores|Reads|Never|Names|Tells))"})
	require.Contains(t, out, "FIPS 140 mode is on")
	require.Contains(t, out, "--- PASS: TestXAESVectors")
	require.Contains(t, out, "--- PASS: TestRekeyMovesEveryRecord")
	require.Contains(t, out, "--- PASS: TestEncryptedOfABareStoreKeepsTheContract")
}
