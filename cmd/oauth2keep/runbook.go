package main

import (
	"cmp"
	"strings"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// advice is what a connection's trouble means to whoever reads the status.
type advice struct {
	exit    int
	meaning string
	act     string // NAME stands for the connection
}

// runbook says what to do for each reason. It is the only place that does.
var runbook = map[tokensource.Reason]advice{
	tokensource.ReasonNotConnected: {exitLogin, "it was never connected, or was disconnected",
		"oauth2keep login NAME"},
	tokensource.ReasonRevoked: {exitLogin, "the provider has ended the grant: the user took it back, or it expired",
		"have the user connect again: oauth2keep login NAME, or the application's own page"},
	tokensource.ReasonResponseLost: {exitLogin, "the provider's answer to a refresh was lost, and it doesn't take the old refresh token",
		"have the user connect again; if it happens often, look for processes that are killed, or for a store that hangs"},
	tokensource.ReasonRejected: {exitLogin, "the API refused the token, and there is no refresh token",
		"have the user connect again: oauth2keep login NAME, or the application's own page"},
	tokensource.ReasonExpired: {exitLogin, "the token has expired, and there is no refresh token",
		"have the user connect again; find out which scope or setting of the provider brings a refresh token"},
	tokensource.ReasonOtherClient: {exitSetup, "the record belongs to another client",
		"choose another name, or the client that it belongs to, by --client"},
	tokensource.ReasonMisconfigured: {exitSetup, "the provider refuses the client, or its configuration has a mistake; the grant is fine",
		"compare client id, secret and provider with the provider's console; oauth2keep client show tells what is configured"},
	tokensource.ReasonRateLimited: {exitLater, "the provider asked to slow down",
		"nothing: it is tried again; if it lasts, make fewer requests"},
	tokensource.ReasonUnavailable: {exitLater, "the provider, or the network on the way to it, has trouble",
		"nothing: it is tried again; if it lasts, look at the provider's status page and at the network"},
	tokensource.ReasonStore: {exitStore, "the record can't be read or written",
		"oauth2keep doctor tells why"},
}

func adviceFor(r tokensource.Reason) advice {
	if a, ok := runbook[r]; ok {
		return a
	}
	return advice{exitFailure, string(r), "update oauth2keep: a newer version may know this reason"}
}

// actFor names the connection in what to do.
func (a advice) actFor(name string) string {
	return strings.ReplaceAll(a.act, "NAME", cmp.Or(quoted(name), "NAME"))
}

// exitFor returns the exit code that a connection's status stands for.
func exitFor(s tokensource.Status) int {
	switch s.State {
	case tokensource.StateLoginRequired, tokensource.StateFailing, tokensource.StateUnreadable, tokensource.StateUnsaved:
		return adviceFor(s.Reason).exit
	}
	return exitOK
}

func isSick(s tokensource.Status) bool { return exitFor(s) != exitOK }
