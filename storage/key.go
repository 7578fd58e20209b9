package storage

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
)

// NewKey returns a key for [NewKeyset]: 32 random bytes. Keep it before sealing
// anything with it; encoding/base64 gives the text that [ParseKey] reads.
func NewKey() []byte {
	key := make([]byte, keySize)
	rand.Read(key) // never fails
	return key
}

var errKeyText = fmt.Errorf("a key is %d random bytes written as base64 (%d characters) or hexadecimal (%d); make one with: openssl rand -base64 %[1]d",
	keySize, base64.StdEncoding.EncodedLen(keySize), hex.EncodedLen(keySize))

// ParseKey returns the 32 bytes that text stands for, in base64 of either alphabet,
// with or without padding, or in hexadecimal. White space around it is ignored. It
// is for the value of an environment variable:
//
//	key, err := storage.ParseKey(os.Getenv("MYAPP_TOKEN_KEY"))
//
// No error contains any of the text.
func ParseKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, fmt.Errorf("storage: the key is empty, perhaps because its variable isn't set: %w", errKeyText)
	}
	key, ok := decodeKeyText(text)
	if !ok {
		return nil, fmt.Errorf("storage: these %d characters aren't a key: %w", len(text), errKeyText)
	}
	return key, nil
}

func decodeKeyText(text string) ([]byte, bool) {
	// The three lengths differ, so that no text can be read in two ways.
	var key []byte
	var err error
	switch len(text) {
	case hex.EncodedLen(keySize):
		key, err = hex.DecodeString(text)
	case base64.RawStdEncoding.EncodedLen(keySize), base64.StdEncoding.EncodedLen(keySize):
		if strings.ContainsAny(text, "\r\n") {
			return nil, false // base64 would skip them
		}
		encoding := base64.RawStdEncoding
		if strings.ContainsAny(text, "-_") {
			encoding = base64.RawURLEncoding
		}
		// Strict: else the last character could be mistyped without notice.
		key, err = encoding.Strict().DecodeString(strings.TrimSuffix(text, "="))
	}
	// The decoder's error isn't passed on: it quotes the text.
	return key, err == nil && len(key) == keySize
}

// ReadKeyFile returns the key in a file, which holds a text as for [ParseKey] or 32
// random bytes as they are. On Unix it refuses a file that anyone but its owner may
// write, and one that anyone but its owner and its group may read: modes 0400, 0440,
// 0600 and 0640 are accepted. A secret that Kubernetes mounts needs defaultMode 0400
// for that; it is 0440 with an fsGroup. A symbolic link is followed. What isn't a file,
// such as a pipe, is an error.
func ReadKeyFile(path string) ([]byte, error) {
	// Longer than any key with the white space that a person might leave around it.
	b, err := safefile.Read(safefile.Paths, path, path, 1024, safefile.Secret)
	if err != nil {
		return nil, fmt.Errorf("storage: can't read the key file: %w", err)
	}
	if len(b) == keySize {
		if isText(b) {
			return nil, fmt.Errorf("storage: the key file %s holds %d characters of text, which are no random bytes: %w", path, len(b), errKeyText)
		}
		return b, nil
	}
	key, ok := decodeKeyText(strings.TrimSpace(string(b)))
	if !ok {
		return nil, fmt.Errorf("storage: the key file %s holds no key: %w", path, errKeyText)
	}
	return key, nil
}

// WriteKeyFile writes a new key file, which ReadKeyFile can read: the key in base64,
// with mode 0600 whatever the umask. It never replaces a file; the error wraps
// [io/fs.ErrExist] if there is one. What root writes belongs to the owner of the
// directory. Nobody sees half a file, so that of several processes
// that call it at the same time one succeeds and all can read the key then:
//
//	err := storage.WriteKeyFile(path, storage.NewKey())
//	if err == nil || errors.Is(err, fs.ErrExist) {
//		key, err = storage.ReadKeyFile(path)
//	}
//
// When it returns nil, the file outlasts a power cut.
func WriteKeyFile(path string, key []byte) error {
	if _, err := fingerprintOf(key); err != nil {
		return fmt.Errorf("storage: the key %w", err)
	}
	text := base64.StdEncoding.EncodeToString(key) + "\n"
	if err := safefile.WriteNew(path, []byte(text)); err != nil {
		return fmt.Errorf("storage: can't write the key file: %w", err)
	}
	return nil
}

// isText tells a password, or a key of half the length in hexadecimal, from random
// bytes, of which one in 10¹³ looks like that.
func isText(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}
