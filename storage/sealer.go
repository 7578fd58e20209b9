package storage

import (
	"context"
	"errors"
)

// ErrOpen is returned when sealed bytes can't be opened: they were changed, cut
// short or moved to another name, or were sealed with a key that isn't in the
// keyset. Such a record is never taken for a missing one and never overwritten.
var ErrOpen = errors.New("storage: can't open the sealed record")

// Sealer encrypts and authenticates. [Keyset] is the one to use unless keys may not
// be in the memory of this process, not even those that a key management service
// unwrapped (see module storage/kms).
//
// Implementations must be safe for concurrent use.
type Sealer interface {
	// Seal returns plaintext encrypted and bound to ad, the associated data,
	// which is needed again to open it and isn't contained in the result.
	Seal(ctx context.Context, plaintext, ad []byte) ([]byte, error)

	// Open returns what was sealed, or an error that wraps [ErrOpen] if it was
	// altered, or sealed with other associated data or an unknown key.
	Open(ctx context.Context, sealed, ad []byte) ([]byte, error)
}
