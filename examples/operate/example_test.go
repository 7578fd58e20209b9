package operate_test

import (
	"fmt"
	"net/http/httptest"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/oauth2keep/oauth2keep/tokensource"
	"github.com/oauth2keep/oauth2keep/tokensource/otelmetrics"
)

// How the metrics come to be where Prometheus scrapes them.
func Example() {
	registry := prometheus.NewRegistry()
	exported, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo())
	if err != nil {
		fmt.Println(err)
		return
	}
	metrics, err := otelmetrics.New(metric.NewMeterProvider(metric.WithReader(exported)), "finch")
	if err != nil {
		fmt.Println(err)
		return
	}
	manager := &tokensource.Manager{OnEvent: metrics.OnEvent} // with a Config and a Store
	_ = manager                                               // go metrics.Watch(ctx, manager, 5*time.Minute)

	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	fmt.Println(regexp.MustCompile(`oauth2keep_events_total.*misconfigured.*`).FindString(answer.Body.String()))
	// Output:
	// oauth2keep_events_total{kind="failed",provider="finch",reason="misconfigured"} 0
}
