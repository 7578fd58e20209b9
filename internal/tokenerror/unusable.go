package tokenerror

import (
	"net/http"

	"golang.org/x/oauth2"
)

// Unusable begins the description of an answer that makes no sense. The cause completes
// the sentence.
const Unusable = "the answer can't be used: "

// UnusableAnswer returns the error for a success whose content isn't as the provider
// documents it, for what has had package endpoints read it: an *oauth2.RetrieveError of the
// kind Unreadable, with the status 502 in place of the success, as that package makes one.
// There is nothing in it but the cause.
func UnusableAnswer(cause string) error {
	return &oauth2.RetrieveError{
		Response: &http.Response{
			Status: "502 Bad Gateway", StatusCode: http.StatusBadGateway, Header: make(http.Header), Body: http.NoBody,
		},
		ErrorCode:        CodeUnreadable,
		ErrorDescription: Unusable + cause,
	}
}
