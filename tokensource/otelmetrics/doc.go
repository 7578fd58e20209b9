// Package otelmetrics makes OpenTelemetry metrics of connections.
//
//	metrics, err := otelmetrics.New(otel.GetMeterProvider(), "finch")
//	manager := &tokensource.Manager{…, OnEvent: metrics.OnEvent}
//	go metrics.Watch(ctx, manager, 5*time.Minute)
//
// # Metrics
//
//	oauth2keep.events       counter, {event}      what has happened, by provider, kind and reason
//	oauth2keep.connections  gauge, {connection}   how many there are, by provider, state and reason
//	oauth2keep.count.time   gauge, s              when they were last counted, since 1970, by provider
//
// Kind, reason and state are those of package tokensource. An attribute that would be empty is
// left out, and what can happen is counted from zero on. No attribute has the name of a connection, of which there can be millions, or
// anything that a provider sent. The events are those of this process; the connections
// are those of the store, so that one process that watches them is enough.
//
// docs/operate.md of the repository says what to do about each reason, and examples/operate has alerts
// and a dashboard.
package otelmetrics
