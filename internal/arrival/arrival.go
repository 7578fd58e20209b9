// Package arrival tells package loopback that its user has come back, when package pkce
// begins to exchange the code.
package arrival

import "context"

// key is the key of the function in a context.
type key struct{}

// WithFunc returns ctx with f, which Tell calls.
func WithFunc(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, key{}, f)
}

// Tell calls the function in ctx, if there is one: the state of a callback has verified.
func Tell(ctx context.Context) {
	if f, ok := ctx.Value(key{}).(func()); ok {
		f()
	}
}
