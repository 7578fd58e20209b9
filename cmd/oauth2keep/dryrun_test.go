package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryDefinitionCanBeShownAndRehearsed(t *testing.T) {
	for _, key := range sortedDefinitions() {
		t.Run(key, func(t *testing.T) {
			p, _ := sample(key)
			require.NoError(t, p.Validate())
			requests, err := rehearse(p, nil, nil).requests(t.Context())
			require.NoError(t, err)
			for _, r := range requests[:3] { // consent, exchange and refresh
				assert.NotEmpty(t, r.URL, "%s: %s", r.Step, r.Note)
				assert.NotContains(t, r.URL, "{")
			}
			assert.Subset(t, allNames, []string{strings.ToLower(key)})
		})
	}
}

var allNames, _ = completeProviders(nil, nil, "")
