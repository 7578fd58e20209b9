package main

import (
	"context"

	"github.com/oauth2keep/oauth2keep/storage"
)

// counted is a store that counts the records that are read from it.
type counted struct {
	storage.Store
	storage.Lister
	*progress
}

// counting returns the store with a count of its Gets.
func counting(s storage.Store, p *progress) storage.Store {
	list, ok := s.(storage.Lister)
	if !ok {
		return s
	}
	return counted{Store: s, Lister: list, progress: p}
}

// Get implements storage.Store.
func (c counted) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	defer c.count()
	return c.Store.Get(ctx, name)
}
