package keystore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const markerHeader = "oauth2keep keystore v1"

// place is where keys are. Its value is the word for it in a marker.
type place string

const (
	inKeyring place = "keyring"
	inFile    place = "file"
)

// marker says where the keys are, and which keys there are at least. It is what
// tells a keyring that can't be reached from one that was never used.
type marker struct {
	place place
	names []string // fingerprints
}

func (m marker) encode() string {
	return encodeLines(markerHeader, append([]string{string(m.place)}, m.names...))
}

func decodeMarker(text string) (marker, error) {
	lines, err := decodeLines(markerHeader, text)
	if err != nil {
		return marker{}, err
	}
	if len(lines) == 0 {
		return marker{}, errors.New("it doesn't say where the keys are")
	}
	m := marker{place(lines[0]), lines[1:]}
	if m.place != inKeyring && m.place != inFile {
		return marker{}, fmt.Errorf("line 2 is neither %q nor %q", inKeyring, inFile)
	}
	for i, name := range m.names {
		if !isFingerprint(name) {
			return marker{}, fmt.Errorf("line %d isn't the fingerprint of a key", i+3)
		}
	}
	return m, nil
}

// missing returns what the marker names and isn't among the keys.
func (m marker) missing(keys keyList) []string {
	names := keys.fingerprints()
	return slices.DeleteFunc(slices.Clone(m.names), func(n string) bool { return slices.Contains(names, n) })
}

// equal doesn't look at the order, which the place of the keys has.
func (m marker) equal(o marker) bool {
	a, b := slices.Sorted(slices.Values(m.names)), slices.Sorted(slices.Values(o.names))
	return m.place == o.place && strings.Join(a, ",") == strings.Join(b, ",")
}
