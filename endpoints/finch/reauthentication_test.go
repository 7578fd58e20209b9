package finch_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/finch"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

func TestReauthenticationPutsANewTokenInThePlaceOfTheOldOne(t *testing.T) {
	for name, embedded := range map[string]bool{"redirect": false, "embedded": true} {
		t.Run(name, func(t *testing.T) {
			a := newApplication(t, embedded)
			first := a.connect(finch.Session{CustomerID: "acme", CustomerName: "Acme, Inc."}.Option())
			var connection finch.Connection
			require.NoError(t, endpoints.Metadata(first, &connection))
			assert.Equal(t, "acme", connection.CustomerID)
			assert.Equal(t, "Acme, Inc.", connection.CustomerName)
			assert.Equal(t, []string{"company"}, connection.Products)
			status, err := a.company()
			require.NoError(t, err)
			assert.Equal(t, 200, status)

			require.True(t, a.sandbox.Revoke(endpoints.Finch, first))
			told, err := a.client.Introspect(t.Context(), first)
			require.NoError(t, err)
			assert.Equal(t, endpoints.KindLoginRequired, told.Kind)
			a.manager.Source("acme").Reject(first)
			_, err = a.company()
			require.ErrorIs(t, err, tokensource.ErrLoginRequired)
			assert.Equal(t, endpoints.KindLoginRequired, endpoints.KindOf(err))

			second := a.connect(finch.Reauthentication{ConnectionID: connection.ConnectionID}.Option())
			assert.NotEqual(t, first.AccessToken, second.AccessToken)
			assert.Equal(t, connection.ConnectionID, second.Extra("connection_id"))
			assert.Equal(t, "acme", second.Extra("customer_id"))
			status, err = a.company()
			require.NoError(t, err)
			assert.Equal(t, 200, status)
			// Also of an employer who didn't have to.
			third := a.connect(finch.Reauthentication{ConnectionID: connection.ConnectionID}.Option())
			assert.NotEqual(t, second.AccessToken, third.AccessToken)
			told, err = a.client.Introspect(t.Context(), second)
			require.NoError(t, err)
			assert.False(t, told.Active, "the old one is dead")
			state, err := a.manager.Status(t.Context(), "acme")
			require.NoError(t, err)
			assert.Equal(t, tokensource.StateHealthy, state.State)
		})
	}
}
