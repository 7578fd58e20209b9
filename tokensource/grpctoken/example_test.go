package grpctoken_test

import (
	"context"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/oauth2keep/oauth2keep/tokensource"
	"github.com/oauth2keep/oauth2keep/tokensource/grpctoken"
)

var manager *tokensource.Manager // with APIURLs: []string{"https://ledger.example"}

// One gRPC connection to the service serves all accounts.
func Example() {
	cc, err := grpc.NewClient("ledger.example:443", grpc.WithTransportCredentials(credentials.NewTLS(nil)))
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()

	client := grpc_health_v1.NewHealthClient(grpctoken.New(cc, manager, "customer-42"))
	answer, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		log.Fatal(err) // errors.Is(err, tokensource.ErrLoginRequired): the user has to connect again
	}
	log.Print(answer.GetStatus())
}
