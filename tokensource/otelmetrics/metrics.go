package otelmetrics

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// Metrics are those of one Manager. They are made by [New].
type Metrics struct {
	provider attribute.KeyValue
	events   metric.Int64Counter
	last     atomic.Pointer[counted] // nil: never counted
}

// New makes the metrics of a Manager, which differ from another's by the attribute
// "provider". It is to be called once for each provider.
func New(p metric.MeterProvider, provider string) (*Metrics, error) {
	meter := p.Meter("github.com/oauth2keep/oauth2keep/tokensource/otelmetrics")
	m := &Metrics{provider: attribute.String("provider", provider)}
	var err error
	m.events, err = meter.Int64Counter("oauth2keep.events",
		metric.WithUnit("{event}"), metric.WithDescription("What has happened to connections."))
	if err != nil {
		return nil, err
	}
	for _, e := range expected {
		m.events.Add(context.Background(), 0, m.attributes("kind", string(e.Kind), e.Reason))
	}
	connections, err := meter.Int64ObservableGauge("oauth2keep.connections",
		metric.WithUnit("{connection}"), metric.WithDescription("How many connections there are."))
	if err != nil {
		return nil, err
	}
	at, err := meter.Float64ObservableGauge("oauth2keep.count.time",
		metric.WithUnit("s"), metric.WithDescription("When the connections were last counted, in seconds since 1970."))
	if err != nil {
		return nil, err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		last := m.last.Load()
		if last == nil {
			return nil
		}
		for kind, n := range last.connections {
			o.ObserveInt64(connections, n, m.attributes("state", string(kind.state), kind.reason))
		}
		o.ObserveFloat64(at, float64(last.at.UnixMilli())/1000, metric.WithAttributes(m.provider))
		return nil
	}, connections, at)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// expected are events that are counted from zero on: of a series that begins with its first
// event, a rate misses that.
var expected = []tokensource.Event{
	{Kind: tokensource.EventSaved},
	{Kind: tokensource.EventNoRefreshToken},
	{Kind: tokensource.EventRefreshed},
	{Kind: tokensource.EventAdopted},
	{Kind: tokensource.EventTakenOver},
	{Kind: tokensource.EventDisconnected},
	{Kind: tokensource.EventUnsaved, Reason: tokensource.ReasonStore},
	{Kind: tokensource.EventFailed, Reason: tokensource.ReasonStore},
	{Kind: tokensource.EventFailed, Reason: tokensource.ReasonUnavailable},
	{Kind: tokensource.EventFailed, Reason: tokensource.ReasonRateLimited},
	{Kind: tokensource.EventFailed, Reason: tokensource.ReasonMisconfigured},
	{Kind: tokensource.EventLoginRequired, Reason: tokensource.ReasonRevoked},
	{Kind: tokensource.EventLoginRequired, Reason: tokensource.ReasonResponseLost},
	{Kind: tokensource.EventLoginRequired, Reason: tokensource.ReasonRejected},
	{Kind: tokensource.EventLoginRequired, Reason: tokensource.ReasonExpired},
}

// OnEvent counts an event. It is for [tokensource.Manager.OnEvent], alone or called by it.
func (m *Metrics) OnEvent(ctx context.Context, e tokensource.Event) {
	m.events.Add(ctx, 1, m.attributes("kind", string(e.Kind), e.Reason))
}

func (m *Metrics) attributes(key, value string, reason tokensource.Reason) metric.MeasurementOption {
	attributes := []attribute.KeyValue{m.provider, attribute.String(key, value)}
	if reason != "" {
		attributes = append(attributes, attribute.String("reason", string(reason)))
	}
	return metric.WithAttributes(attributes...)
}
