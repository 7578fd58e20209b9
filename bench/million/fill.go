package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// keyOf returns the key of a connection, as an application might choose it.
func keyOf(i int) string { return fmt.Sprintf("customer-%08d/taxrock", i) }

// collector is a Store that holds the record which was put last.
type collector struct {
	key    string
	sealed []byte
}

func (c *collector) Get(context.Context, string) ([]byte, storage.Version, error) {
	if c.sealed == nil {
		return nil, "", storage.ErrNotFound
	}
	return c.sealed, "1", nil
}

func (c *collector) Put(_ context.Context, key string, sealed []byte, _ storage.Version) (storage.Version, error) {
	c.key, c.sealed = key, sealed
	return "1", nil
}

func (c *collector) Delete(context.Context, string, storage.Version) error {
	return errors.ErrUnsupported
}

// records yields the rows of n connections that were saved just now by a Manager, so
// that Run finds none that is idle and nobody finds one that is due. The length of what
// is sealed is added to bytes.
func records(ctx context.Context, n int, keys storage.Sealer, bytes *int) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		last := new(collector)
		m := &tokensource.Manager{Config: new(nobody), Store: storage.Encrypt(last, keys)}
		for i := range n {
			last.sealed = nil
			if err := m.Save(ctx, keyOf(i), login()); err != nil {
				yield(row{}, err)
				return
			}
			*bytes += len(last.sealed)
			hash := sha256.Sum256([]byte(last.key))
			version := make([]byte, 16)
			rand.Read(version)
			if !yield(row{hash[:], version, []byte(last.key), last.sealed}, nil) {
				return
			}
		}
	}
}

// login returns a token of the size that is usual where tokens are opaque.
func login() *oauth2.Token {
	t := &oauth2.Token{
		AccessToken:  rand.Text() + rand.Text() + rand.Text() + rand.Text(),
		RefreshToken: rand.Text() + rand.Text(),
		TokenType:    "Bearer",
		Expiry:       time.Now().Add(48 * time.Hour),
	}
	return t.WithExtra(map[string]any{"scope": "accounts transactions offline_access", "tenant": rand.Text()})
}

// nobody is the Config of a Manager that has nothing to refresh.
type nobody struct{}

func (*nobody) TokenSource(context.Context, *oauth2.Token) oauth2.TokenSource {
	panic("a token was refreshed, though all of them are new")
}

// Registration says whose the records are.
func (*nobody) Registration() (issuer, clientID string) { return "https://provider.example", "bench" }
