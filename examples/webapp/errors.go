package main

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// problem is a kind of failure, as a user sees it.
type problem struct {
	ID     string
	Status int
	Title  string
	Text   string // "": the library's hint for the kind of error that ID is
	Again  bool   // whether to offer to connect again
}

// problems are all kinds. Those whose ID is an endpoints.ErrorKind have the library's words.
var problems = []problem{
	{ID: string(endpoints.KindDenied), Status: http.StatusForbidden, Title: "Nothing was connected", Again: true},
	{ID: string(endpoints.KindCodeRejected), Status: http.StatusGone, Title: "That took too long", Again: true},
	{ID: string(endpoints.KindRedirectMismatch), Status: http.StatusBadGateway, Title: "This application isn't ready for that provider"},
	{ID: string(endpoints.KindClientRejected), Status: http.StatusBadGateway, Title: "This application isn't ready for that provider"},
	{ID: string(endpoints.KindNotAdapted), Status: http.StatusBadGateway, Title: "This application isn't ready for that provider"},
	{ID: string(endpoints.KindInsufficientScope), Status: http.StatusForbidden, Title: "A permission is missing", Again: true},
	{ID: string(endpoints.KindLoginRequired), Status: http.StatusConflict, Title: "Connect this account again", Again: true},
	{ID: string(endpoints.KindRateLimited), Status: http.StatusServiceUnavailable, Title: "The provider is busy", Again: true},
	{ID: string(endpoints.KindProviderTrouble), Status: http.StatusServiceUnavailable, Title: "The provider doesn't answer", Again: true},
	{ID: string(endpoints.KindUnreadable), Status: http.StatusBadGateway, Title: "The provider's answer makes no sense", Again: true},
	{
		ID: "state", Status: http.StatusBadRequest, Title: "This isn't where you left off", Again: true,
		Text: "Nothing was connected. The page that you came from was opened in another browser, is too old, or your browser doesn't keep cookies. Please connect the account again.",
	},
	{
		ID: "other_user", Status: http.StatusForbidden, Title: "Someone else began this",
		Text: "Nothing was connected. You are not logged in as the user who began to connect this account. Please log in as that user and connect it again.",
	},
	{
		ID: "account", Status: http.StatusBadRequest, Title: "There is no such account",
		Text: "The name of an account has letters, digits and hyphens only. Please look at its address: of tea-house.zendesk.com it is tea-house.",
	},
	{
		ID: "store", Status: http.StatusServiceUnavailable, Title: "We can't read or save anything at the moment",
		Text: "This is our fault, and nothing that you did. If you were connecting an account, it isn't connected: please try again in a few minutes.",
	},
	{
		ID: "failed", Status: http.StatusBadGateway, Title: "That didn't work", Again: true,
		Text: "We don't know why. Please try again, or contact our support if it happens again.",
	},
	{
		ID: "other_site", Status: http.StatusForbidden, Title: "That came from another site",
		Text: "Nothing was changed, because your browser says that another site's page asked for it. If it was you, please use the buttons here.",
	},
	{
		ID: "not_found", Status: http.StatusNotFound, Title: "There is nothing here",
		Text: "The address is wrong, or what was there is gone, or belongs to another user.",
	},
}

func findProblem(id string) *problem {
	for i := range problems {
		if p := problems[i]; p.ID == id {
			if p.Text == "" {
				p.Text = endpoints.ErrorKind(id).Hint()
			}
			return &p
		}
	}
	return nil
}

// problemOf tells which kind of failure an error is.
func problemOf(err error) string {
	var token *tokensource.Error
	kind := endpoints.KindOf(err)
	switch {
	case errors.Is(err, errOtherUser):
		return "other_user"
	case errors.Is(err, errAccount):
		return "account"
	case errors.Is(err, pkce.ErrState):
		return "state"
	case errors.As(err, &token) && token.Reason == tokensource.ReasonStore:
		return "store"
	case findProblem(string(kind)) != nil:
		return string(kind)
	case errors.Is(err, pkce.ErrMisconfigured): // of this application, before anyone was asked
		return string(endpoints.KindClientRejected)
	}
	return "failed"
}

// refuse ends an attempt to connect an account that failed: the operator gets the error, and
// the user a page of its own, whose URL says no more than what kind of failure it is.
func (a *application) refuse(w http.ResponseWriter, r *http.Request, p *provider, account string, err error) {
	reference, id := rand.Text()[:8], problemOf(err)
	a.log.Warn("not connected", "provider", p.id, "problem", id, "reference", reference, "error", err)
	q := url.Values{"provider": {p.id}, "reference": {reference}}
	if account != "" {
		q.Set("account", account)
	}
	http.Redirect(w, r, "/problem/"+id+"?"+q.Encode(), http.StatusSeeOther)
}

var referencePattern = regexp.MustCompile(`^[A-Z2-7]{8}$`) // of rand.Text

// problemPage is where refuse leads.
func (a *application) problemPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	problem, provider := findProblem(r.PathValue("problem")), a.provider(q.Get("provider"))
	if problem == nil || provider == nil {
		a.fail(w, r, "not_found", nil)
		return
	}
	offer := provider.view()
	shown := failure{Problem: problem, Provider: &offer}
	if reference := q.Get("reference"); referencePattern.MatchString(reference) {
		shown.Reference = reference
	}
	if account := q.Get("account"); accountPattern.MatchString(account) {
		shown.Account = account
	}
	a.renderFailure(w, r, shown)
}

// fail answers a request that failed otherwise. What is wrong stands in the log.
func (a *application) fail(w http.ResponseWriter, r *http.Request, id string, err error) {
	shown := failure{Problem: findProblem(id)}
	if err != nil {
		shown.Reference = rand.Text()[:8]
		a.log.Error("failed", "problem", id, "reference", shown.Reference, "error", err)
	}
	a.renderFailure(w, r, shown)
}

// failure is what the page of a problem shows.
type failure struct {
	Problem   *problem
	Provider  *offerView // that the user wanted to connect, or nil
	Account   string
	Reference string // by which the operator finds the error in the log
}

// Again says whether there is a button to connect the account again.
func (f failure) Again() bool { return f.Problem.Again && f.Provider != nil }

func (a *application) renderFailure(w http.ResponseWriter, r *http.Request, f failure) {
	a.renderStatus(w, r, f.Problem.Status, "problem", page{Title: f.Problem.Title, Data: f})
}
