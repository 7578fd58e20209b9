package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
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

// contents stands for all keys and decrypted values of a table, in no order.
type contents struct {
	Records int
	Bytes   int // of sealed values
	Digest  [sha256.Size]byte
}

func (c *contents) add(key string, value, sealed []byte) {
	c.Records++
	c.Bytes += len(sealed)
	h := sha256.New()
	fmt.Fprintf(h, "%d %s ", len(key), key)
	h.Write(value)
	subtle.XORBytes(c.Digest[:], c.Digest[:], h.Sum(nil))
}

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
// that Run finds none that is idle and nobody finds one that is due. What is in them is
// added to c.
func records(ctx context.Context, n int, keys storage.Sealer, c *contents) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		last := new(collector)
		store := storage.Encrypt(last, keys)
		m := &tokensource.Manager{Config: new(nobody), Store: store}
		for i := range n {
			last.sealed = nil
			if err := m.Save(ctx, keyOf(i), login()); err != nil {
				yield(row{}, err)
				return
			}
			value, _, err := store.Get(ctx, last.key)
			if err != nil {
				yield(row{}, err)
				return
			}
			c.add(last.key, value, last.sealed)
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

// inspect reads a table's contents, of which every record must be sealed with a key
// that keys holds.
func inspect(ctx context.Context, rows iter.Seq2[row, error], keys storage.Sealer) (contents, error) {
	var c contents
	one := new(collector)
	store := storage.Encrypt(one, keys)
	for r, err := range rows {
		if err != nil {
			return c, err
		}
		if hash := sha256.Sum256(r.key); string(hash[:]) != string(r.hash) {
			return c, fmt.Errorf("the row of %q has another key's hash", r.key)
		}
		one.sealed = r.value
		value, _, err := store.Get(ctx, string(r.key))
		if err != nil {
			return c, err
		}
		c.add(string(r.key), value, r.value)
	}
	return c, nil
}

// nobody is the Config of a Manager that has nothing to refresh.
type nobody struct{}

func (*nobody) TokenSource(context.Context, *oauth2.Token) oauth2.TokenSource {
	panic("a token was refreshed, though all of them are new")
}
