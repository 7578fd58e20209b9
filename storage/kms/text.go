package kms

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/storage"
)

// The text is described in doc.go.
const (
	magic         = "oauth2keep-kms"
	format        = "2"
	maxCiphertext = 1 << 16 // Tink's envelope of maxKeys keys is far less
	checksumSize  = 8
)

// wrapped is what a text says.
type wrapped struct {
	fingerprints []string // the primary key's first
	ciphertext   []byte
}

// String returns the text, in which nothing is secret.
func (w wrapped) String() string {
	s := strings.Join([]string{magic, format, strings.Join(w.fingerprints, ","), base64.StdEncoding.EncodeToString(w.ciphertext)}, ":")
	return s + ":" + checksum(s)
}

// checksum finds out that a text was cut short or mistyped, before the KMS is asked.
func checksum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:checksumSize]
}

// parse is the inverse of String. No error contains any of the text.
func parse(text string) (wrapped, error) {
	text = strings.TrimSpace(text)
	parts := strings.Split(text, ":")
	switch {
	case text == "":
		return wrapped{}, errors.New("there is no key: the text is empty, perhaps because its file or variable wasn't written yet; make one with Wrap or File.Create")
	case parts[0] != magic:
		return wrapped{}, fmt.Errorf("this isn't a text of wrapped keys but %s: make one with Wrap or File.Create", recognize(text))
	case len(parts) > 1 && parts[1] != format:
		return wrapped{}, errors.New("the format is unknown: the text was changed, or comes from another version of this package")
	case len(parts) != 5, len(parts[4]) != checksumSize:
		return wrapped{}, errors.New("the text is cut short or has something behind it: restore it from a copy")
	case checksum(text[:len(text)-checksumSize-1]) != parts[4]:
		return wrapped{}, errors.New("the text was changed: its checksum is another one; restore it from a copy")
	}
	w := wrapped{fingerprints: strings.Split(parts[2], ",")}
	var err error
	w.ciphertext, err = base64.StdEncoding.Strict().DecodeString(parts[3])
	if err != nil || len(w.ciphertext) == 0 || len(w.ciphertext) > maxCiphertext || !areFingerprints(w.fingerprints) {
		return wrapped{}, errors.New("these aren't wrapped keys, though the checksum is right: another program made the text")
	}
	return w, nil
}

// areFingerprints reports whether all are such, and none is there twice.
func areFingerprints(names []string) bool {
	for i, s := range names {
		if len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" || slices.Contains(names[:i], s) {
			return false
		}
	}
	return len(names) <= maxKeys
}

// recognize names what is given by mistake.
func recognize(text string) string {
	_, err := storage.ParseKey(text)
	switch {
	case err == nil:
		return "a key in the clear: assume that everybody who could read it has it"
	case strings.HasPrefix(text, "oauth2keep keys "):
		return "a file of package keystore, with keys in the clear"
	case strings.HasPrefix(text, "oauth2keep keystore "):
		return "a file of package keystore, without any key"
	case strings.HasPrefix(text, "-----BEGIN "):
		return "a PEM file"
	case strings.HasPrefix(text, "{"):
		return "JSON, perhaps a keyset of Tink"
	case len(text) <= 32 && strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
		return "binary, perhaps a key in the clear"
	}
	return fmt.Sprintf("something that doesn't begin with %q", magic+":")
}
