package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// definition is one of package endpoints' definitions.
type definition struct {
	settings []string // the names of its arguments
	make     func(settings []string) endpoints.Provider
}

func fixed(p endpoints.Provider) definition {
	return definition{make: func([]string) endpoints.Provider { return p }}
}

// definitions are those that are built in, under their names in package endpoints, which a
// test compares them with. The command takes the names in any letter case, and with hyphens.
var definitions = map[string]definition{
	"Airtable":             fixed(endpoints.Airtable),
	"AmazonSellingPartner": {[]string{"application_id"}, func(s []string) endpoints.Provider { return endpoints.AmazonSellingPartner(s[0]) }},
	"Asana":                fixed(endpoints.Asana),
	"Atlassian":            fixed(endpoints.Atlassian),
	"Auth0":                {[]string{"domain", "audience", "api_url"}, func(s []string) endpoints.Provider { return endpoints.Auth0(s[0], s[1], s[2]) }},
	"AzureDevOps":          fixed(endpoints.AzureDevOps),
	"Bitbucket":            fixed(endpoints.Bitbucket),
	"Box":                  fixed(endpoints.Box),
	"Chart":                fixed(endpoints.Chart),
	"Clover":               fixed(endpoints.Clover),
	"COROS":                fixed(endpoints.COROS),
	"DingTalk":             fixed(endpoints.DingTalk),
	"Discord":              fixed(endpoints.Discord),
	"Dropbox":              fixed(endpoints.Dropbox),
	"Facebook":             fixed(endpoints.Facebook),
	"Figma":                fixed(endpoints.Figma),
	"Finch":                fixed(endpoints.Finch),
	"Fitbit":               fixed(endpoints.Fitbit),
	"GitHub":               fixed(endpoints.GitHub),
	"GitLab":               fixed(endpoints.GitLab),
	"Google":               fixed(endpoints.Google),
	"HubSpot":              fixed(endpoints.HubSpot),
	"Instagram":            fixed(endpoints.Instagram),
	"Jobber":               fixed(endpoints.Jobber),
	"LINE":                 fixed(endpoints.LINE),
	"Linear":               fixed(endpoints.Linear),
	"LinkedIn":             fixed(endpoints.LinkedIn),
	"Mailchimp":            fixed(endpoints.Mailchimp),
	"Microsoft":            fixed(endpoints.Microsoft),
	"MyAnimeList":          fixed(endpoints.MyAnimeList),
	"Notion":               fixed(endpoints.Notion),
	"Okta":                 {[]string{"domain"}, func(s []string) endpoints.Provider { return endpoints.Okta(s[0]) }},
	"OktaWithKey":          {[]string{"domain"}, func(s []string) endpoints.Provider { return endpoints.OktaWithKey(s[0]) }},
	"Pinterest":            fixed(endpoints.Pinterest),
	"PostHog":              fixed(endpoints.PostHog),
	"QuickBooks":           fixed(endpoints.QuickBooks),
	"Reddit":               fixed(endpoints.Reddit),
	"Salesforce":           fixed(endpoints.Salesforce),
	"Sentry":               {[]string{"slug"}, func(s []string) endpoints.Provider { return endpoints.Sentry(s[0]) }},
	"Shopify":              fixed(endpoints.Shopify),
	"Shopline":             fixed(endpoints.Shopline),
	"Slack":                fixed(endpoints.Slack),
	"SlackUser":            fixed(endpoints.SlackUser),
	"Spotify":              fixed(endpoints.Spotify),
	"Square":               fixed(endpoints.Square),
	"SquareSandbox":        fixed(endpoints.SquareSandbox),
	"Strava":               fixed(endpoints.Strava),
	"StripeConnect":        fixed(endpoints.StripeConnect),
	"TaxRock":              fixed(endpoints.TaxRock),
	"TaxRockSandbox":       fixed(endpoints.TaxRockSandbox),
	"Threads":              fixed(endpoints.Threads),
	"TikTok":               fixed(endpoints.TikTok),
	"Trustpilot":           fixed(endpoints.Trustpilot),
	"Twitch":               fixed(endpoints.Twitch),
	"WeChat":               fixed(endpoints.WeChat),
	"Xero":                 fixed(endpoints.Xero),
	"Zendesk":              fixed(endpoints.Zendesk),
	"Zoho":                 fixed(endpoints.Zoho),
	"Zoom":                 fixed(endpoints.Zoom),
}

// builtIn finds a definition by its name.
func builtIn(name string) (key string, d definition, ok bool) {
	plain := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
	}
	for key, d := range definitions {
		if plain(key) == plain(name) {
			return key, d, true
		}
	}
	return "", definition{}, false
}

// provider returns the definition with its settings.
func (d definition) provider(name string, settings map[string]string) (endpoints.Provider, error) {
	var values []string
	for _, setting := range d.settings {
		value := settings[setting]
		if value == "" {
			return endpoints.Provider{}, setup("the provider %s needs --set %s=…", strings.ToLower(name), setting)
		}
		values = append(values, value)
	}
	for _, setting := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(d.settings, setting) {
			return endpoints.Provider{}, setup("the provider %s has no setting %s", strings.ToLower(name), printable(setting))
		}
	}
	p := d.make(values)
	return p, p.Validate()
}

func sortedDefinitions() []string {
	return slices.SortedFunc(maps.Keys(definitions), func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
}
