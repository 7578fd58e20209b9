package pkce

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/oauth2"
)

// named is an Authorizer that says whose it is.
type named struct{ Authorizer }

func (named) Registration() (issuer, clientID string) { return "https://login.example", "app" }

// Printing what a Flow holds would read its map of used states while a callback writes it.
func TestPrintingAFlowNamesTheClientAndNothingElse(t *testing.T) {
	plain := &oauth2.Config{ClientID: "app", ClientSecret: "secret"}
	for want, f := range map[string]*Flow{
		`pkce.Flow(client "app" at https://login.example)`: {Config: named{}, Sealer: newSealer(t)},
		"pkce.Flow(*oauth2.Config)":                        {Config: plain, Sealer: newSealer(t)},
		"pkce.Flow(<nil>)":                                 {},
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", f)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", f)
		for _, text := range []string{fmt.Sprintf("%v", f), fmt.Sprintf("%+v", f), fmt.Sprintf("%#v", f)} {
			assert.Equal(t, want, text)
		}
		assert.Equal(t, 2, strings.Count(strings.ReplaceAll(log.String(), `\`, ""), want), "%s", log.String())
	}
}
