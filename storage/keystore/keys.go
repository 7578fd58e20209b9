package keystore

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/storage"
)

// MaxKeys is the largest number of keys of an App. With a few bytes to spare, more
// don't fit into the 2,560 bytes that an entry of the keyring of Windows has.
const MaxKeys = 50

// The texts that are stored are described in doc.go.
const (
	keysHeader = "oauth2keep keys v1"
	lastLine   = "end"
)

// key is a key and its name.
type key struct {
	// A function, so that fmt, which reads unexported fields, doesn't find the bytes.
	bytes       func() []byte
	fingerprint string
}

// keyList is the keys of an App, the primary one first, without duplicates.
type keyList []key

func newKey() (key, error) { return asKey(storage.NewKey()) }

// asKey finds out the fingerprint.
func asKey(b []byte) (key, error) {
	keyset, err := storage.NewKeyset(b)
	if err != nil {
		return key{}, err
	}
	return key{func() []byte { return b }, keyset.Fingerprints()[0]}, nil
}

const fingerprintSize = 32

func isFingerprint(s string) bool {
	return len(s) == fingerprintSize && strings.Trim(s, "0123456789abcdef") == ""
}

func (k key) String() string       { return k.fingerprint }
func (k key) GoString() string     { return k.fingerprint }
func (k key) LogValue() slog.Value { return slog.StringValue(k.fingerprint) }

func (l keyList) keyset() (*storage.Keyset, error) {
	var old [][]byte
	for _, k := range l[1:] {
		old = append(old, k.bytes())
	}
	return storage.NewKeyset(l[0].bytes(), old...)
}

func (l keyList) fingerprints() []string {
	var names []string
	for _, k := range l {
		names = append(names, k.fingerprint)
	}
	return names
}

func (l keyList) find(app, fingerprint string) (int, error) {
	names := l.fingerprints()
	i := slices.Index(names, fingerprint)
	if i < 0 { // it may be a key by mistake, and isn't repeated
		return 0, fmt.Errorf("keystore: what was given isn't the fingerprint of a key of %s, which has %s", app, strings.Join(names, ", "))
	}
	return i, nil
}

// encode returns the text that the keyring or the file keeps.
func (l keyList) encode() string {
	var lines []string
	for _, k := range l {
		lines = append(lines, base64.StdEncoding.EncodeToString(k.bytes()))
	}
	return encodeLines(keysHeader, lines)
}

// decodeKeys is the inverse of encode. No error contains any of the text.
func decodeKeys(text string) (keyList, error) {
	lines, err := decodeLines(keysHeader, text)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, errors.New("there is no key in it")
	}
	var l keyList
	for i, line := range lines {
		b, err := storage.ParseKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d holds no key", i+2)
		}
		k, err := asKey(b)
		if err != nil {
			return nil, fmt.Errorf("line %d holds no key that could be used", i+2)
		}
		if slices.Contains(l.fingerprints(), k.fingerprint) {
			return nil, fmt.Errorf("line %d repeats the key %s", i+2, k)
		}
		l = append(l, k)
	}
	return l, nil
}

// encodeLines marks the end, as a text that was cut short between two lines would
// else be a shorter one.
func encodeLines(header string, lines []string) string {
	return strings.Join(append(append([]string{header}, lines...), lastLine, ""), "\n")
}

func decodeLines(header, text string) ([]string, error) {
	// A keyring's editor and an editor on Windows leave such marks.
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")), "\n")
	family := header[:strings.LastIndex(header, " ")+1]
	switch {
	case strings.TrimSpace(text) == "":
		return nil, errors.New("it is empty")
	case lines[0] == header:
	case strings.HasPrefix(lines[0], family+"v"):
		return nil, errors.New("its format is unknown: it was changed, or comes from a newer version of this package")
	default:
		return nil, fmt.Errorf("it doesn't begin with the line %q", header)
	}
	if lines[len(lines)-1] != lastLine {
		return nil, fmt.Errorf("it is cut short: the line %q is missing", lastLine)
	}
	return lines[1 : len(lines)-1], nil
}
