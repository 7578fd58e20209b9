package main

import (
	"context"
	"errors"
	"fmt"
)

// accounts lists those that have logged in.
func (t *tool) accounts(ctx context.Context) error {
	for status, err := range t.manager.Connections(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%s: %s\n", status.Connection, status.State)
	}
	return nil
}

// logout ends an account's grant at the provider, and deletes its token here.
func (t *tool) logout(ctx context.Context, account string) error {
	err := t.manager.Disconnect(ctx, account)
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Fprintln(t.out, "The provider can't be told: remove the application in your settings there.")
		return t.manager.Forget(ctx, account)
	}
	return err
}
