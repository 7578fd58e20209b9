// Package chart has what Chart, the tax document API of https://www.trychart.com, needs beside
// endpoints.Chart: what it sends beside a token, an exchange that is answered sooner, and a way
// to get a token again that the program has lost, or never had.
package chart

import (
	"context"
	"errors"
	"regexp"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Async is an option of Exchange that makes Chart answer as soon as it has
// pulled the documents, before it has parsed them. Without it an exchange can take
// minutes. The parsed data may be read only once a webhook has said that the
// taxpayer's status is COMPLETED.
var Async oauth2.AuthCodeOption = oauth2.SetAuthURLParam("x-chart-async", "true")

// ids are those of taxpayers: UUIDs, and in examples of Chart's such as
// clt0szoxp0001p82z45ufj6t4.
var ids = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// RecoverToken returns the token of the taxpayer who has that id, with what came beside
// it: see [endpoints.Metadata] and [Connection]. C is a client of
// endpoints.Chart. The token is the one that is in use, no new one: if the connection is
// kept under a name, save it there.
//
// It is for a token whose saving failed, and for taxpayers who have connected by a client
// link, where there is no callback. Chart asks that it be called sparingly. An id that
// isn't of letters, digits, "-" and "_" is an error before anything is sent; other errors
// are those of [endpoints.Config.SendAsClient].
//
// https://developer.trychart.com/api-reference/management/access_token
func RecoverToken(ctx context.Context, c *endpoints.Config, taxpayerID string) (*oauth2.Token, error) {
	if !ids.MatchString(taxpayerID) {
		return nil, tokenerror.Input(errors.New("chart: the taxpayer's id isn't one")) // it may be hostile: not quoted
	}
	t := new(oauth2.Token)
	if err := c.SendAsClient(ctx, "/auth/tax-payer/"+taxpayerID+"/token", nil, t); err != nil {
		return nil, err
	}
	var told Connection
	if err := endpoints.Metadata(t, &told); err != nil || told.AccountID != "" && told.AccountID != taxpayerID {
		return nil, tokenerror.UnusableAnswer("it is about another taxpayer")
	}
	return t, nil
}
