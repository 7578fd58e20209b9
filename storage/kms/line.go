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
	format        = "1"
	maxCiphertext = 1 << 14 // Tink's envelope of a large key is less than a third of it
	checksumSize  = 8
)

// wrapped is a line of a key file.
type wrapped struct {
	fingerprint string
	ciphertext  []byte
}

// String returns the line, in which nothing is secret.
func (w wrapped) String() string {
	s := strings.Join([]string{magic, format, w.fingerprint, base64.StdEncoding.EncodeToString(w.ciphertext)}, ":")
	return s + ":" + checksum(s)
}

// checksum finds out that a line was cut short or mistyped, before the KMS is asked.
func checksum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:checksumSize]
}

func encode(lines []wrapped) string {
	var b strings.Builder
	for _, w := range lines {
		b.WriteString(w.String() + "\n")
	}
	return b.String()
}

// parse returns the wrapped keys of a text. There is at least one, and none twice.
// No error contains any of the text, but a fingerprint.
func parse(text string) ([]wrapped, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return nil, errors.New("there is no key: the text is empty, perhaps because its file or variable wasn't written yet; make one with Wrap or File.Create")
	}
	if other := recognize(text); other != "" {
		return nil, fmt.Errorf("this isn't a wrapped key but %s: make a wrapped one with Wrap or File.Create", other)
	}
	var lines []wrapped
	for i, field := range fields {
		w, err := parseLine(field)
		if err != nil {
			return nil, fmt.Errorf("line %d %w", i+1, err)
		}
		if at := slices.IndexFunc(lines, func(l wrapped) bool { return l.fingerprint == w.fingerprint }); at >= 0 {
			return nil, fmt.Errorf("line %d has key %s, as line %d does", i+1, w.fingerprint, at+1)
		}
		lines = append(lines, w)
	}
	return lines, nil
}

func parseLine(line string) (wrapped, error) {
	parts := strings.Split(line, ":")
	switch {
	case parts[0] != magic:
		if _, err := storage.ParseKey(line); err == nil {
			return wrapped{}, errors.New("isn't a wrapped key but one in the clear, and whoever could read it should be thought to have it")
		}
		return wrapped{}, fmt.Errorf("isn't a wrapped key: it doesn't begin with %q", magic+":")
	case len(parts) > 1 && parts[1] != format:
		return wrapped{}, errors.New("has an unknown format: it was changed, or comes from a newer version of this package")
	case len(parts) != 5, len(parts[4]) != checksumSize:
		return wrapped{}, fmt.Errorf("is cut short or has something behind it: restore it from a copy")
	case checksum(line[:len(line)-checksumSize-1]) != parts[4]:
		return wrapped{}, errors.New("was changed: its checksum is another one; restore it from a copy")
	}
	ciphertext, err := base64.StdEncoding.Strict().DecodeString(parts[3])
	if err != nil || len(ciphertext) == 0 || len(ciphertext) > maxCiphertext || !isFingerprint(parts[2]) {
		return wrapped{}, errors.New("isn't a wrapped key, though its checksum is right: another program made it")
	}
	return wrapped{parts[2], ciphertext}, nil
}

func isFingerprint(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// recognize names what is given by mistake.
func recognize(text string) string {
	text = strings.TrimSpace(text)
	switch {
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
	return ""
}
