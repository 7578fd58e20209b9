package storage

import (
	"fmt"
	"unicode/utf8"
)

// The sizes that the contract of Store promises, in bytes.
const (
	maxName   = 4 << 10
	maxValue  = 1 << 20
	maxSealed = maxValue + 1<<10 // what Encrypted hands on
)

// checkSize returns an error for what can't be stored everywhere: it is better to
// hear so from the first store of a program than from the next.
func checkSize(name string, size, most int) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("storage: the name of a record can have %d bytes, and this one has %d", maxName, len(name))
	case !utf8.ValidString(name):
		return fmt.Errorf("storage: the name of a record has to be UTF-8, and %q isn't", name)
	case size > most:
		return fmt.Errorf("storage: a record can have %d bytes, and this one has %d (record %q)", most, size, name)
	}
	return nil
}
