package endpointstest

import (
	_ "embed"
	"encoding/json"
	"html"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// pageHTML isn't a template of html/template, with which the linker keeps every exported
// method: all tests that import this package would be linked more slowly.
//
//go:embed page.html
var pageHTML string

// fill returns content with a text in the place of each name, such as {provider}.
func fill(content string, namesAndTexts ...string) string {
	for i := 1; i < len(namesAndTexts); i += 2 {
		namesAndTexts[i] = html.EscapeString(namesAndTexts[i])
	}
	return strings.NewReplacer(namesAndTexts...).Replace(content)
}

// page returns an answer with a page that acts as one of p's.
func page(status int, p *endpoints.Provider, title, content string) *answer {
	head, foot, _ := strings.Cut(pageHTML, "{content}")
	return rendered(status, fill(head, "{title}", title)+content+fill(foot, "{provider}", p.Name))
}

// rendered returns an answer with a whole document, or with none.
func rendered(status int, document string) *answer {
	return &answer{status: status, body: []byte(document), header: http.Header{
		"Content-Type":    {"text/html; charset=utf-8"},
		"Cache-Control":   {"no-store"},
		"Referrer-Policy": {"no-referrer"},
	}}
}

const buttons = `<div class="buttons">
<button class="go" name="decision" value="approve">Approve</button>
<button name="decision" value="deny">Deny</button>
</div>
</form>`

// askingPage asks the user for c.
func (s *site) askingPage(c consent) *answer {
	content := fill("<h1>Connect your {provider} account?</h1>\n<p>The application <code>{client}</code> asks to use it",
		"{provider}", s.real.Name, "{client}", s.clientID)
	list := ""
	for _, known := range s.dialect.scopes() {
		if slices.Contains(c.scopes, known.name) {
			list += fill("<li>{meaning} <code>{name}</code></li>\n", "{meaning}", known.meaning, "{name}", known.name)
		}
	}
	if list == "" {
		content += ".</p>\n"
	} else {
		content += " to:</p>\n<ul>\n" + list + "</ul>\n"
	}
	content += "<form method=\"post\">\n" + buttons + "\n"
	if c.redirectURI == "" {
		content += "<p>Either way the application that opened this page is told.</p>"
	} else {
		content += fill("<p>Either way you go back to <strong>{host}</strong>.</p>", "{host}", host(c.redirectURI))
	}
	return page(http.StatusOK, &s.real, "Connect your "+s.real.Name+" account", content)
}

// embeddedPage tells the page that opened it what became of an embedded flow.
func (s *site) embeddedPage(reply url.Values) *answer {
	said := "said no"
	if reply.Has("code") {
		said = "approved"
	}
	list := ""
	for _, name := range slices.Sorted(maps.Keys(reply)) {
		list += fill("<dt>{name}</dt>\n<dd><code id=\"{name}\">{value}</code></dd>\n", "{name}", name, "{value}", reply.Get(name))
	}
	message, err := json.Marshal(s.dialect.message(reply)) // without <, > and &
	if err != nil {
		panic("endpointstest: " + err.Error())
	}
	return page(http.StatusOK, &s.real, "You can close this page", `<h1>You can close this page</h1>
<p>The application that opened it has been told that you `+said+`.</p>
<dl>
`+list+`</dl>
<script>
const application = window.opener || window.parent;
application.postMessage(`+string(message)+`, "*");
</script>`)
}

// codePage asks the user for the code of a device, and decidedPage is for one who gave it.
func codePage(p *endpoints.Provider) *answer {
	return page(http.StatusOK, p, "Connect a device to "+p.Name, fill("<h1>Connect a device to {provider}?</h1>\n", "{provider}", p.Name)+
		`<form method="post">
<p><label>The code that it shows: <input name="user_code" autocomplete="off" required></label></p>
`+buttons)
}

func decidedPage(p *endpoints.Provider) *answer {
	return page(http.StatusOK, p, "You can close this page", "<h1>You can close this page</h1>\n<p>The device is told when it asks again.</p>")
}

// errorPage tells the user, or rather the developer, what is wrong with a request.
func errorPage(p *endpoints.Provider, r *refusal) *answer {
	status, problem := http.StatusBadRequest, r.detail
	if r.problem == wrongMethod {
		status, problem = http.StatusMethodNotAllowed, problems[r.problem]
	}
	return page(status, p, "This request isn't valid", fill(`<h1>This request isn't valid</h1>
<p class="problem" role="alert" id="problem">{problem}</p>
<p>The application sent you here with a request that {provider} doesn't accept. Nothing was approved.</p>`,
		"{problem}", problem, "{provider}", p.Name))
}
