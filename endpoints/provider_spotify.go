package endpoints

import (
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/endpoints"
)

// Spotify is the Web API of https://www.spotify.com. Access tokens last an hour; if a
// refresh answers with a refresh token, it replaces the old one.
//
// https://developer.spotify.com/documentation/web-api/tutorials/code-flow
var Spotify = Provider{
	Name: "Spotify",
	Endpoint: oauth2.Endpoint{
		AuthURL:   endpoints.Spotify.AuthURL,
		TokenURL:  endpoints.Spotify.TokenURL,
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	APIURLs: []string{"https://api.spotify.com/v1"},
}
