package otelmetrics_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/oauth2keep/oauth2keep/tokensource"
	"github.com/oauth2keep/oauth2keep/tokensource/otelmetrics"
)

func Example() {
	metrics, err := otelmetrics.New(otel.GetMeterProvider(), "finch")
	if err != nil {
		log.Fatal(err)
	}
	manager := &tokensource.Manager{ // with a Config and a Store
		OnEvent: metrics.OnEvent,
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // when the program ends
	fmt.Println(metrics.Watch(ctx, manager, 5*time.Minute))
	// Output: context canceled
}
