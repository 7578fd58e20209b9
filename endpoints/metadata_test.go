package endpoints_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/chart"
	"github.com/oauth2keep/oauth2keep/endpoints/finch"
)

func TestFinchConnectionHoldsWhatFinchSends(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       finch.Connection
	}{
		{
			"today", `{
				"access_token": "issued-token", "token_type": "bearer", "connection_id": "c1", "client_type": "sandbox",
				"connection_type": "finch", "entity_ids": ["e1", "e2"], "products": ["company", "directory"],
				"provider_id": "gusto", "customer_id": "cu1", "customer_name": "Acme", "account_id": "a1", "company_id": "co1"}`,
			finch.Connection{
				ConnectionID: "c1", ClientType: "sandbox", ConnectionType: "finch", EntityIDs: []string{"e1", "e2"},
				Products: []string{"company", "directory"}, ProviderID: "gusto", CustomerID: "cu1", CustomerName: "Acme",
				AccountID: "a1", CompanyID: "co1",
			},
		},
		{
			"with nulls", `{"access_token": "issued-token", "connection_id": "c1", "customer_id": null, "customer_name": null, "entity_ids": null}`,
			finch.Connection{ConnectionID: "c1"},
		},
		{
			"formerly", `{
				"company_id": "4ab15e51-11ad-49f4-acae-f343b7794375", "account_id": "ac3a2af9-ce03-46c4-9142-81abe789c64d",
				"provider_id": "gusto", "products": ["directory", "employment", "individual"], "client_type": "production",
				"connection_type": "provider", "access_token": "7e965183-9332-423c-9259-3edafb332ad2"}`,
			finch.Connection{
				CompanyID: "4ab15e51-11ad-49f4-acae-f343b7794375", AccountID: "ac3a2af9-ce03-46c4-9142-81abe789c64d",
				ProviderID: "gusto", Products: []string{"directory", "employment", "individual"},
				ClientType: "production", ConnectionType: "provider",
			},
		},
	} {
		for _, way := range ways {
			t.Run(test.name+"/"+way.name, func(t *testing.T) {
				net := newInternet(t, answerJSON(200, test.body))
				ctx, conf := way.use(net.context(), endpoints.Finch, oauth2.Config{ClientID: "id"})
				token, err := conf.Exchange(ctx, "c0de")
				require.NoError(t, err)
				var got finch.Connection
				require.NoError(t, endpoints.Metadata(token, &got))
				assert.Equal(t, test.want, got)
				assert.Equal(t, "Bearer", token.Type())
			})
		}
	}
}

func TestChartConnectionTakesTheAccountUnderEitherName(t *testing.T) {
	for body, want := range map[string]chart.Connection{
		`{"account_id":"ac1","provider_id":"turbotax","access_token":"issued-token"}`:                   {AccountID: "ac1", ProviderID: "turbotax"},
		`{"taxpayer_id":"tp1","provider_id":"irs","access_token":"issued-token"}`:                       {AccountID: "tp1", ProviderID: "irs"},
		`{"account_id":"ac1","taxpayer_id":"tp1","provider_id":"irs","access_token":"issued-token"}`:    {AccountID: "ac1", ProviderID: "irs"},
		`{"account_id":null,"taxpayer_id":"tp1","provider_id":"made-up","access_token":"issued-token"}`: {AccountID: "tp1", ProviderID: "made-up"},
		`{"access_token":"issued-token"}`: {},
	} {
		for _, way := range ways {
			net := newInternet(t, answerJSON(200, body))
			ctx, conf := way.use(net.context(), endpoints.Chart, oauth2.Config{ClientID: "id"})
			token, err := conf.Exchange(ctx, "c0de")
			require.NoError(t, err)
			got := chart.Connection{AccountID: "of another connection"}
			require.NoError(t, endpoints.Metadata(token, &got))
			assert.Equal(t, want, got)
		}
	}
	assert.Error(t, json.Unmarshal([]byte(`{"account_id":7}`), new(chart.Connection)))
}

func TestMetadataOfATokenThatWasMadeOtherwise(t *testing.T) {
	token := &oauth2.Token{AccessToken: "a1", RefreshToken: "r1"}
	for _, test := range []struct {
		name  string
		extra any
		want  map[string]any
	}{
		{"nothing", nil, map[string]any{}},
		{"not a map", 7, map[string]any{}},
		{"a map, without the tokens", map[string]any{"access_token": "a1", "refresh_token": "r1", "id": "7"}, map[string]any{"id": "7"}},
		{"a form, as x/oauth2 reads it", url.Values{"access_token": {"a1"}, "id": {"7"}, "name": {"x"}}, map[string]any{"id": 7.0, "name": "x"}},
	} {
		var got map[string]any
		require.NoError(t, endpoints.Metadata(token.WithExtra(test.extra), &got), test.name)
		assert.Equal(t, test.want, got, test.name)
	}
}

func TestMetadataReportsWhatItCantDecode(t *testing.T) {
	token := (&oauth2.Token{}).WithExtra(map[string]any{"products": "not a list"})
	assert.EqualError(t, endpoints.Metadata(nil, &map[string]any{}), "endpoints: no token to take metadata from")
	err := endpoints.Metadata(token, new(finch.Connection))
	assert.EqualError(t, err, "endpoints: can't decode what came beside the token: json: cannot unmarshal string into Go struct field Connection.products of type []string")
	var wrongType *json.UnmarshalTypeError
	assert.ErrorAs(t, err, &wrongType)
	assert.ErrorContains(t, endpoints.Metadata(token, nil), "endpoints: can't decode")
	assert.ErrorContains(t, endpoints.Metadata(token.WithExtra(map[string]any{"f": func() {}}), &map[string]any{}), "endpoints: can't decode")
}
