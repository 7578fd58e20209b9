package endpoints_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// BenchmarkExchange exchanges codes over loopback, in turns by x/oauth2 alone, which
// sends its own form, and by each of our two ways. It reports the median of each,
// and ours as a multiple of x/oauth2's.
//
//	go test -run '^$' -bench Exchange -benchtime 5s ./endpoints
func BenchmarkExchange(b *testing.B) {
	const answer = `{"access_token":"5f2c0a1b-7d35-4c4e-9d0a-6a1f0c9f1d9e","token_type":"bearer","connection_id":"2b7f1a52-0c0e",` +
		`"connection_type":"finch","client_type":"sandbox","provider_id":"gusto","products":["company","directory","individual"],` +
		`"entity_ids":["a","b"],"customer_id":"c","company_id":"d","account_id":"e","expires_in":3600,"refresh_token":"v1.MR-refresh"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
	}))
	defer server.Close()
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, server.Client())
	client := oauth2.Config{ClientID: "client-id", ClientSecret: "client-secret", RedirectURL: "https://app.example/callback"}

	for name, p := range map[string]endpoints.Provider{"form": {Name: "RFC"}, "Finch": endpoints.Finch, "TaxRock": endpoints.TaxRock} {
		p.Endpoint = oauth2.Endpoint{AuthURL: server.URL, TokenURL: server.URL, AuthStyle: oauth2.AuthStyleInParams}
		p.RevokeURL = server.URL + "/revoke"
		plain := client
		plain.Endpoint = p.Endpoint
		conf := p.Config(client)
		ways := []struct {
			name     string
			exchange func() (*oauth2.Token, error)
			took     []time.Duration
		}{
			{name: "x/oauth2", exchange: func() (*oauth2.Token, error) { return plain.Exchange(ctx, "c0de") }},
			{name: "Config", exchange: func() (*oauth2.Token, error) { return conf.Exchange(ctx, "c0de") }},
			{name: "Context", exchange: func() (*oauth2.Token, error) { return plain.Exchange(p.Context(ctx), "c0de") }},
		}
		b.Run(name, func(b *testing.B) {
			for i := range ways {
				ways[i].took = nil
			}
			for b.Loop() {
				for i := range ways {
					start := time.Now()
					t, err := ways[i].exchange()
					ways[i].took = append(ways[i].took, time.Since(start))
					if err != nil || t.RefreshToken == "" || t.Extra("connection_id") == nil {
						b.Fatalf("%s: %v", ways[i].name, err)
					}
				}
			}
			var base float64
			for i, way := range ways {
				slices.Sort(way.took)
				median := float64(way.took[len(way.took)/2])
				b.ReportMetric(median/1000, way.name+"-µs")
				if i == 0 {
					base = median
				} else {
					b.ReportMetric(median/base, way.name+"/x-oauth2")
				}
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
