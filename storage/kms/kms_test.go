package kms

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/oauth2keep/oauth2keep/storage"
)

var ctx = context.Background()

// newAEAD returns Tink's own implementation, which is what a KMS does, without one.
func newAEAD(t testing.TB) tink.AEAD {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	a, err := aead.New(handle)
	require.NoError(t, err)
	return a
}

func newKMS(t testing.TB) tink.AEADWithContext { return WithContext(newAEAD(t)) }

// counter counts what a KMS would be paid for.
type counter struct {
	tink.AEADWithContext
	encrypted, decrypted atomic.Int64
}

func (c *counter) EncryptWithContext(ctx context.Context, p, ad []byte) ([]byte, error) {
	c.encrypted.Add(1)
	return c.AEADWithContext.EncryptWithContext(ctx, p, ad)
}

func (c *counter) DecryptWithContext(ctx context.Context, b, ad []byte) ([]byte, error) {
	c.decrypted.Add(1)
	return c.AEADWithContext.DecryptWithContext(ctx, b, ad)
}

// broken is a KMS with an error of its own, where a function isn't nil.
type broken struct {
	tink.AEADWithContext
	encrypt, decrypt func(b []byte) ([]byte, error)
}

func (k broken) EncryptWithContext(ctx context.Context, p, ad []byte) ([]byte, error) {
	if k.encrypt != nil {
		return k.encrypt(p)
	}
	return k.AEADWithContext.EncryptWithContext(ctx, p, ad)
}

func (k broken) DecryptWithContext(ctx context.Context, b, ad []byte) ([]byte, error) {
	if k.decrypt != nil {
		return k.decrypt(b)
	}
	return k.AEADWithContext.DecryptWithContext(ctx, b, ad)
}

func mustWrap(t testing.TB, k tink.AEADWithContext, key []byte) string {
	t.Helper()
	line, err := Wrap(ctx, k, key)
	require.NoError(t, err)
	return line
}

func nameOf(t testing.TB, key []byte) string {
	keys, err := storage.NewKeyset(key)
	require.NoError(t, err)
	return keys.Fingerprints()[0]
}

func TestWrapAndOpen(t *testing.T) {
	t.Parallel()
	envelope, err := aead.NewKMSEnvelopeAEADWithContext(aead.AES256GCMKeyTemplate(), newKMS(t))
	require.NoError(t, err)
	for name, k := range map[string]tink.AEADWithContext{
		"Tink's AES-GCM":                newKMS(t),
		"Tink's envelope":               WithContext(aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), newAEAD(t))),
		"Tink's envelope, with context": envelope,
	} {
		t.Run(name, func(t *testing.T) {
			one, two := storage.NewKey(), storage.NewKey()
			text, err := Wrap(ctx, k, two, one)
			require.NoError(t, err)
			assert.Regexp(t, `^oauth2keep-kms:2:`+nameOf(t, two)+`,`+nameOf(t, one)+`:[A-Za-z0-9+/]+=*:[0-9a-f]{8}$`, text)
			for _, text := range []string{text, text + "\n", " \r\n" + text + "\r\n\r\n"} {
				keys, err := Open(ctx, k, text)
				require.NoError(t, err)
				assert.Equal(t, []string{nameOf(t, two), nameOf(t, one)}, keys.Fingerprints())
			}
			keys, err := Open(ctx, k, mustWrap(t, k, one))
			require.NoError(t, err)
			plain, err := storage.NewKeyset(one)
			require.NoError(t, err)
			sealed, err := plain.Seal(ctx, []byte("secret"), nil)
			require.NoError(t, err)
			opened, err := keys.Open(ctx, sealed, nil)
			require.NoError(t, err)
			assert.Equal(t, "secret", string(opened))
		})
	}
}

// TestOneDecrypt is what a KMS costs: nothing per key, or record.
func TestOneDecrypt(t *testing.T) {
	t.Parallel()
	k := &counter{AEADWithContext: newKMS(t)}
	text, err := Wrap(ctx, k, storage.NewKey(), storage.NewKey())
	require.NoError(t, err)
	require.EqualValues(t, 1, k.encrypted.Load())
	require.EqualValues(t, 1, k.decrypted.Load(), "Wrap looks whether the key comes back")
	k.encrypted.Store(0)
	k.decrypted.Store(0)

	keys, err := Open(ctx, k, text)
	require.NoError(t, err)
	store := storage.Encrypt(new(storage.Memory), keys)
	for i := range 100 {
		record := fmt.Sprint("record ", i)
		_, err := store.Put(ctx, record, []byte(record), "")
		require.NoError(t, err)
		value, _, err := store.Get(ctx, record)
		require.NoError(t, err)
		require.Equal(t, record, string(value))
	}
	report, err := store.Rekey(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]int{keys.Fingerprints()[0]: 100, keys.Fingerprints()[1]: 0}, report.ByKey)
	assert.EqualValues(t, 1, k.decrypted.Load())
	assert.Zero(t, k.encrypted.Load())
}

// TestKMSThatFails has a KMS do all that one shouldn't, at wrapping and at opening.
func TestKMSThatFails(t *testing.T) {
	t.Parallel()
	good := newKMS(t)
	key := storage.NewKey()
	name := nameOf(t, key)
	other := storage.NewKey()
	wrapped := mustWrap(t, good, key)
	returns := func(b []byte, err error) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return b, err }
	}
	denied := errors.New("AccessDenied")
	tests := map[string]struct {
		k    tink.AEADWithContext
		wrap string // the error of Wrap
		open string // the error of Open
	}{
		"none":                  {nil, "there is no KMS", "there is no KMS"},
		"nil pointer":           {(*counter)(nil), "there is no KMS", "there is no KMS"},
		"nil AEAD":              {WithContext(nil), "there is no KMS", "there is no KMS"},
		"encrypt fails":         {broken{good, returns(nil, denied), nil}, "can't wrap key " + name + ": the KMS says: AccessDenied", ""},
		"encrypts to nothing":   {broken{good, returns(nil, nil), nil}, "the KMS returned 0 bytes", ""},
		"encrypts to too much":  {broken{good, returns(make([]byte, 1<<17), nil), nil}, "the KMS returned 131072 bytes", ""},
		"encrypts anything":     {broken{good, returns([]byte("anything"), nil), nil}, "can't wrap key " + name + ": the KMS encrypted it and doesn't decrypt it again", ""},
		"encrypts and forgets":  {broken{good, nil, returns(nil, denied)}, "doesn't decrypt it again: can't unwrap key " + name, "can't unwrap key " + name + ", which another key of the KMS may have wrapped, or somebody else has changed: the KMS says: AccessDenied"},
		"another KMS key":       {newKMS(t), "", "can't unwrap key " + name + ", which another key of the KMS may have wrapped"},
		"returns nothing":       {broken{good, nil, returns(nil, nil)}, "the KMS returned 0 bytes", "can't unwrap key " + name + ": the KMS returned 0 bytes"},
		"returns a long key":    {broken{good, nil, returns(make([]byte, 33), nil)}, "the KMS returned 33 bytes", "can't unwrap key " + name + ": the KMS returned 33 bytes"},
		"returns zeros":         {broken{good, nil, returns(make([]byte, 32), nil)}, "is all zeros", "can't unwrap key " + name + ": what the KMS returned isn't that: storage: the primary key is all zeros"},
		"returns another key":   {broken{good, nil, returns(other, nil)}, "the KMS returned other keys, " + nameOf(t, other), "can't unwrap key " + name + ": the KMS returned other keys"},
		"shows the key":         {broken{good, func(p []byte) ([]byte, error) { return nil, fmt.Errorf("can't encrypt %x", p) }, nil}, "the KMS says: (its message has a key in it, and isn't shown)", ""},
		"shows the key's bytes": {broken{good, func(p []byte) ([]byte, error) { return nil, fmt.Errorf("can't encrypt %v", p) }, nil}, "isn't shown", ""},
		"shows what it returns": {broken{good, nil, func([]byte) ([]byte, error) { return key, fmt.Errorf("late: %s", key) }}, "isn't shown", "isn't shown"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			line, err := Wrap(ctx, test.k, key)
			if test.wrap == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "kms: ")
				require.ErrorContains(t, err, test.wrap)
				require.Empty(t, line)
			}
			keys, err2 := Open(ctx, test.k, wrapped)
			if test.open == "" {
				require.NoError(t, err2)
			} else {
				require.ErrorContains(t, err2, "kms: ")
				require.ErrorContains(t, err2, test.open)
				require.Nil(t, keys)
			}
			for _, err := range []error{err, err2} {
				if err != nil {
					requireNoKey(t, err.Error(), key)
				}
			}
			if test.wrap != "" && strings.Contains(test.wrap, "AccessDenied") {
				assert.ErrorIs(t, err, denied)
			}
		})
	}
}

func requireNoKey(t testing.TB, text string, key []byte) {
	t.Helper()
	if discreet(errors.New(text), key).Error() != text {
		t.Fatal("the key is shown")
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	for want, key := range map[string][]byte{
		"kms: storage: the primary key has 0 bytes, and must have 32 random ones: make it with NewKey": nil,
		"kms: storage: the primary key has 5 bytes":                                                    []byte("short"),
		"kms: storage: the primary key is all zeros":                                                   make([]byte, 32),
	} {
		_, err := Wrap(ctx, newKMS(t), key)
		assert.ErrorContains(t, err, want)
	}
	key := storage.NewKey()
	_, err := Wrap(ctx, newKMS(t), key, []byte("short"))
	assert.ErrorContains(t, err, "kms: storage: old key number 1 has 5 bytes")
	_, err = Wrap(ctx, newKMS(t), key, storage.NewKey(), key)
	assert.EqualError(t, err, "kms: key "+nameOf(t, key)+" is there already")
	var many [][]byte
	for range maxKeys {
		many = append(many, storage.NewKey())
	}
	text, err := Wrap(ctx, newKMS(t), many[0], many[1:]...)
	require.NoError(t, err)
	_, err = parse(text)
	require.NoError(t, err)
	_, err = Wrap(ctx, newKMS(t), key, many...)
	assert.ErrorContains(t, err, "kms: there would be 51 keys, and a text has room for 50")
}

// hangs is a KMS that doesn't answer, and doesn't mind any context.
type hangs struct{ until chan struct{} }

func (h hangs) Encrypt(_, _ []byte) ([]byte, error) { <-h.until; return nil, errors.New("late") }
func (h hangs) Decrypt(_, _ []byte) ([]byte, error) { <-h.until; return nil, errors.New("late") }

func TestKMSThatHangs(t *testing.T) {
	line := mustWrap(t, newKMS(t), storage.NewKey())
	synctest.Test(t, func(t *testing.T) {
		h := hangs{make(chan struct{})}
		defer close(h.until)
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err := Wrap(short, WithContext(h), storage.NewKey())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = Open(short, WithContext(h), line)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "can't unwrap key ")
		assert.ErrorContains(t, err, "the KMS doesn't answer")
	})
}

func TestKMSThatPanicsEndsNoProcess(t *testing.T) {
	t.Parallel()
	line := mustWrap(t, newKMS(t), storage.NewKey())
	panics := func([]byte) ([]byte, error) { panic("the client's") }
	k := broken{newKMS(t), panics, panics}
	assert.PanicsWithValue(t, "the client's", func() { _, _ = Wrap(ctx, k, storage.NewKey()) })
	assert.PanicsWithValue(t, "the client's", func() { _, _ = Open(ctx, k, line) })

	goexit := func([]byte) ([]byte, error) { runtime.Goexit(); return nil, nil }
	_, err := Open(ctx, broken{newKMS(t), goexit, goexit}, line)
	assert.ErrorContains(t, err, "runtime.Goexit")
}

// both is an AEAD with and without context, as that of AWS is.
type both struct {
	tink.AEAD
	tink.AEADWithContext
}

func TestWithContextPrefersTheContext(t *testing.T) {
	t.Parallel()
	k := both{hangs{}, newKMS(t)}
	assert.IsType(t, k, WithContext(k))
	_, err := Open(ctx, WithContext(k), mustWrap(t, WithContext(k), storage.NewKey()))
	assert.NoError(t, err)
}

// secretive is an AEAD that holds a password, as a client of a KMS may.
type secretive struct {
	tink.AEAD
	Password string
}

func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	k := WithContext(secretive{newAEAD(t), "hunter2"})
	key := storage.NewKey()
	line := mustWrap(t, k, key)
	lines, err := parse(line)
	require.NoError(t, err)
	keys, err := Open(ctx, k, line)
	require.NoError(t, err)
	type holder struct{ v any }
	var out strings.Builder
	for _, v := range []any{k, line, lines, keys, File("path")} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			fmt.Fprintf(&out, format, v)
			fmt.Fprintf(&out, format, holder{v})
		}
	}
	assert.NotContains(t, out.String(), "hunter2")
	requireNoKey(t, out.String(), key)
}

// TestAssociatedData has what a KMS is given, which can never change: a text would
// not open any more.
func TestAssociatedData(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "\x00\x00\x00\x00\x00\x00\x00\x1aoauth2keep wrapped keys v2"+
		"\x00\x00\x00\x00\x00\x00\x00\x05first\x00\x00\x00\x00\x00\x00\x00\x04next", string(associatedData([]string{"first", "next"})))
}
