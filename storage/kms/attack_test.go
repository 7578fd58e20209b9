package kms

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/oauth2keep/oauth2keep/storage"
)

// noAD is a KMS that doesn't mind the associated data, as Vault's is with some types of
// keys.
type noAD struct{ tink.AEADWithContext }

func (k noAD) EncryptWithContext(ctx context.Context, p, _ []byte) ([]byte, error) {
	return k.AEADWithContext.EncryptWithContext(ctx, p, nil)
}

func (k noAD) DecryptWithContext(ctx context.Context, b, _ []byte) ([]byte, error) {
	return k.AEADWithContext.DecryptWithContext(ctx, b, nil)
}

// history is the life of a file in which a stolen key was replaced.
type history struct {
	file          File
	stolen, fresh string   // fingerprints
	texts         []string // what the file was, in the order of its changes
}

func replaceStolen(t *testing.T, k tink.AEADWithContext) history {
	h := history{file: newFile(t)}
	keep := func() { h.texts = append(h.texts, strings.TrimSpace(contents(t, h.file))) }
	var err error
	h.stolen, err = h.file.Create(ctx, k, storage.NewKey())
	require.NoError(t, err)
	keep()
	h.fresh, err = h.file.Add(ctx, k, storage.NewKey())
	require.NoError(t, err)
	keep()
	_, err = h.file.MakePrimary(ctx, k, h.fresh)
	require.NoError(t, err)
	keep()
	require.NoError(t, h.file.Remove(ctx, k, h.stolen))
	keep()
	return h
}

// TestWhoWritesTheFileDoesNotChooseTheKeys has somebody who kept every state of the
// file, and can write it but not ask the KMS, try to bring the stolen key back by any
// combination of names and ciphertexts that never was.
func TestWhoWritesTheFileDoesNotChooseTheKeys(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]tink.AEADWithContext{"with associated data": newKMS(t), "without": noAD{newKMS(t)}} {
		t.Run(name, func(t *testing.T) {
			h := replaceStolen(t, k)
			was := make(map[string]bool)
			var ciphertexts []string
			for _, text := range h.texts {
				was[text] = true
				ciphertexts = append(ciphertexts, strings.Split(text, ":")[3])
			}
			tried := 0
			for _, names := range []string{h.stolen, h.fresh, h.stolen + "," + h.fresh, h.fresh + "," + h.stolen} {
				for _, ciphertext := range ciphertexts {
					text := strings.Join([]string{magic, format, names, ciphertext}, ":")
					text += ":" + checksum(text)
					if was[text] {
						continue
					}
					require.NoError(t, os.WriteFile(string(h.file), []byte(text), 0o600))
					_, err := h.file.Open(ctx, k)
					require.ErrorContains(t, err, "can't unwrap ")
					_, err = h.file.Add(ctx, k, storage.NewKey())
					require.ErrorContains(t, err, "can't unwrap ")
					tried++
				}
			}
			require.Equal(t, 12, tried)
			// Lines of several states, in any order.
			for i, a := range h.texts {
				for j, b := range h.texts {
					_, err := Open(ctx, k, a+"\n"+b)
					require.ErrorContains(t, err, "has something behind it", "%d and %d", i, j)
				}
			}
		})
	}
}

// TestTheWholeFileCanBeRolledBack is what the documentation warns of, and what it
// says against it.
func TestTheWholeFileCanBeRolledBack(t *testing.T) {
	t.Parallel()
	k, next := newKMS(t), newKMS(t)
	h := replaceStolen(t, k)
	for i, want := range [][]string{{h.stolen}, {h.stolen, h.fresh}, {h.fresh, h.stolen}, {h.fresh}} {
		require.NoError(t, os.WriteFile(string(h.file), []byte(h.texts[i]), 0o600))
		keys, err := h.file.Open(ctx, k)
		require.NoError(t, err)
		require.Equal(t, want, keys.Fingerprints())
	}
	require.NoError(t, h.file.Rewrap(ctx, k, next))
	_, err := h.file.Open(ctx, next)
	require.NoError(t, err)
	for _, text := range h.texts {
		require.NoError(t, os.WriteFile(string(h.file), []byte(text), 0o600))
		_, err := h.file.Open(ctx, next) // the program has the permission for no other key
		require.ErrorContains(t, err, "can't unwrap ")
	}
}

// TestFileThatOthersWrite is refused before the KMS is asked; one that they read isn't.
func TestFileThatOthersWrite(t *testing.T) {
	t.Parallel()
	if os.PathSeparator != '/' {
		t.Skip("for Unix")
	}
	f, k := newFile(t), &counter{AEADWithContext: newKMS(t)}
	_, err := f.Create(ctx, k, storage.NewKey())
	require.NoError(t, err)
	k.decrypted.Store(0)
	for _, mode := range []os.FileMode{0o620, 0o660, 0o602, 0o666} {
		require.NoError(t, os.Chmod(string(f), mode))
		_, err = f.Open(ctx, k)
		require.ErrorContains(t, err, "is open to others (mode 0")
		require.ErrorContains(t, err, "chmod go-w "+string(f))
	}
	require.Zero(t, k.decrypted.Load())
	for _, mode := range []os.FileMode{0o400, 0o440, 0o444, 0o644} {
		require.NoError(t, os.Chmod(string(f), mode))
		_, err = f.Open(ctx, k)
		require.NoError(t, err)
	}
}
