package natsstore

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	// longest is the length from which a key is a hash: a server takes lines of up to
	// 4,096 bytes, in which a subject is one of several words.
	longest = 1024

	// nameHeader is the header in which the message of such a key has its name.
	nameHeader = "Oauth2keep-Name"
)

// keyOf returns the key of a record in the bucket. It is the name, escaped; or, and then
// long is true, two equals signs and the SHA-256 of the name in hexadecimal.
func keyOf(name string) (key string, long bool) {
	if key = escape(name); len(key) <= longest {
		return key, false
	}
	sum := sha256.Sum256([]byte(name))
	return "==" + hex.EncodeToString(sum[:]), true
}

// escape writes what a key, or a header, can't hold as an equals sign and two hexadecimal
// digits, and the empty name as an equals sign. A dot would be between words.
func escape(name string) string {
	if name == "" {
		return "="
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '/':
			b.WriteByte(c)
		default:
			b.Write([]byte{'=', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// unescape returns the name of which text is the escaped form, and false if it is of none.
func unescape(text string) (name string, ok bool) {
	parts := strings.Split(text, "=")
	var b strings.Builder
	b.WriteString(parts[0])
	for _, p := range parts[1:] {
		if c, err := hex.DecodeString(p[:min(2, len(p))]); err == nil && len(c) == 1 {
			b.Write(c)
			b.WriteString(p[2:])
		}
	}
	name = b.String()
	return name, escape(name) == text
}

// nameOf returns the name of the record that has a key and, in a header, a long name. It
// returns false if no record has: somebody else wrote it.
func nameOf(key, header string) (name string, ok bool) {
	text := key
	if header != "" {
		text = header
	}
	if name, ok = unescape(text); !ok {
		return "", false
	}
	its, long := keyOf(name)
	return name, its == key && long == (header != "")
}
