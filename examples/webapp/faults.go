package main

import (
	"net/http"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// fault is something that can go wrong, and that a button makes go wrong.
type fault struct {
	ID, Title, Text string
	follows         follows
	try             func(*visit) error
}

// follows is what comes of a fault: one of these.
type follows struct {
	problem string             // the page of a failure
	reason  tokensource.Reason // that of the connection's status
	notice  string
}

type faultGroup struct {
	Title, Text string
	Faults      []fault
}

// faultGroups are all faults. The first group goes through the application's own handlers:
// the sandbox plays the user at the consent page, and the browser is sent to the callback.
func faultGroups() []faultGroup {
	return []faultGroup{
		{"While an account is connected", "Each button begins to connect TaxRock, and presses Approve at the provider for you.", connectFaults},
		{"While a connection is used", "Each button connects an account for you, makes trouble, and calls the provider's API. You see what becomes of the connection.", useFaults},
		{"In the application", "The store of tokens, and what users type.", ownFaults},
	}
}

var connectFaults = []fault{
	{"denied", "The user says no", "Deny is pressed instead.", follows{problem: "denied"}, (*visit).deny},
	{"late", "The code has expired", "The user comes back after half an hour.", follows{problem: "code_rejected"}, connecting((*visit).late)},
	{"secret", "The client secret is wrong", "The exchange is sent with another secret.", follows{problem: "client_rejected"}, connecting((*visit).wrongSecret)},
	{"redirect", "The redirect URL is wrong", "The exchange names another redirect URL.", follows{problem: "redirect_mismatch"}, connecting((*visit).wrongRedirect)},
	{"state", "The state is lost", "The browser comes back without the attempt's cookie.", follows{problem: "state"}, connecting((*visit).loseCookie)},
	{"twice", "The callback is opened twice", "As by a double click. It works the first time.", follows{notice: "opened_twice"}, connecting((*visit).openCallback)},
	{"other-user", "Someone else comes back", "Another user logs in to this browser meanwhile. You are that user then.", follows{problem: "other_user"}, connecting((*visit).becomeAnother)},
	{"down", "The provider is down", "It answers the exchange with 503.", follows{problem: "provider_trouble"}, connecting(once(endpointstest.Unavailable))},
	{"lost", "The answer is lost", "The connection is cut when the code has been taken.", follows{problem: "provider_trouble"}, connecting(once(endpointstest.LostAnswer))},
	{"busy", "The provider is busy", "It answers the exchange with 429.", follows{problem: "rate_limited"}, connecting(once(endpointstest.RateLimited))},
	{"firewall", "A firewall answers", "A page comes instead of a token.", follows{problem: "unreadable"}, connecting(once(endpointstest.Firewall))},
	{"scope", "A permission is missing", "The provider doesn't grant what is asked for.", follows{problem: "insufficient_scope"}, connecting(once(endpointstest.InsufficientScope))},
}

var useFaults = []fault{
	{"revoked", "The user revokes at TaxRock", "The renewal is refused: invalid_grant.", follows{reason: tokensource.ReasonRevoked}, using("taxrock", (*visit).revoke)},
	{"rejected", "The user revokes at Finch", "Its tokens can't be renewed: the API itself says so.", follows{reason: tokensource.ReasonRejected}, using("finch", (*visit).revoke)},
	{"renewal-lost", "The answer to a renewal is lost", "Zendesk takes a refresh token once, and its answer never arrives.", follows{reason: tokensource.ReasonResponseLost}, using("zendesk", (*visit).expire, once(endpointstest.LostAnswer))},
	{"renewal-down", "The provider is down for a while", "A renewal is answered with 503, until you end it.", follows{reason: tokensource.ReasonUnavailable}, using("taxrock", (*visit).expire, untilEnd(endpointstest.Unavailable, "is down"))},
	{"renewal-busy", "The provider asks to slow down", "A renewal is answered with 429, until you end it.", follows{reason: tokensource.ReasonRateLimited}, using("taxrock", (*visit).expire, untilEnd(endpointstest.RateLimited, "has too many requests"))},
	{"renewal-secret", "The secret has changed", "A renewal is sent with the old one.", follows{reason: tokensource.ReasonMisconfigured}, using("taxrock", (*visit).expire, (*visit).wrongSecret)},
}

var ownFaults = []fault{
	{"store", "The store is down", "Until you end it. The account is connected at the provider, and can't be saved.", follows{problem: "store"}, connecting((*visit).storeDown)},
	{"damaged", "A record can't be opened", "Chart's is overwritten with what no key opens, as if its key were lost.", follows{reason: tokensource.ReasonStore}, using("chart", (*visit).damage)},
	{"account", "There can't be such an account", "The user types “tea house/” for the subdomain of Zendesk.", follows{problem: "account"}, (*visit).typeNonsense},
}

// try makes something go wrong, and nothing else.
func (s *sandbox) try(w http.ResponseWriter, r *http.Request) {
	s.endTrouble()
	for _, g := range faultGroups() {
		for _, f := range g.Faults {
			if f.ID == r.PathValue("fault") {
				if err := f.try(&visit{sandbox: s, w: w, r: r}); err != nil {
					s.app.fail(w, r, "failed", err)
				}
				return
			}
		}
	}
	s.app.fail(w, r, "not_found", nil)
}
