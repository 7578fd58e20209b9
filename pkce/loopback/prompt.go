package loopback

import (
	"fmt"
	"strings"
	"time"
)

// Prompt is what the user has to do. Its texts come from Config and the provider, but
// have no control characters, and its URLs are http or https.
type Prompt struct {
	// Program is Login.Program.
	Program string

	// URL is the page to open: the consent page, on this machine, or where the user
	// enters UserCode, anywhere. It is a secret of the user's until the attempt is over.
	URL string

	// UserCode is what the user enters there, or "" if the browser comes back by itself.
	UserCode string

	// CompleteURL is a page that has UserCode in it already, fit for a QR code, or "".
	// The user should compare the code that it shows.
	CompleteURL string

	// Opened tells that a browser was asked to open URL.
	Opened bool

	// Expiry is the time at which the attempt ends.
	Expiry time.Time
}

// String returns the Prompt as text of several lines, for a terminal.
func (p Prompt) String() string {
	var b strings.Builder
	who := ""
	if p.Program != "" {
		who = " to " + p.Program
	}
	switch {
	case p.UserCode != "":
		fmt.Fprintf(&b, "To log in%s, open this page in any browser:\n\n    %s\n\nand enter the code %s\n", who, p.URL, p.UserCode)
		if p.CompleteURL != "" {
			fmt.Fprintf(&b, "\nOr open this one, and check that it shows that code:\n\n    %s\n", p.CompleteURL)
		}
	case p.Opened:
		fmt.Fprintf(&b, "Log in%s in your browser. If it shows no page, open this one on this machine:\n\n    %s\n", who, p.URL)
	default:
		fmt.Fprintf(&b, "To log in%s, open this page in a browser on this machine:\n\n    %s\n", who, p.URL)
	}
	return b.String() + "\n"
}
