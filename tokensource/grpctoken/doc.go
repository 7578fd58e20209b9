// Package grpctoken calls gRPC services with the token of a connection.
//
//	cc, err := grpc.NewClient("ledger.example:443", grpc.WithTransportCredentials(credentials.NewTLS(nil)))
//	…
//	ledger := pb.NewLedgerClient(grpctoken.New(cc, manager, "customer-42"))
//
// It is for gRPC what [tokensource.Manager.Client] is for HTTP. What gRPC has for OAuth, the
// oauth.TokenSource of google.golang.org/grpc/credentials/oauth, waits for a token without a
// look at the call's context, can't be told that a token was refused, sends it to any server,
// and loses an error's chain.
package grpctoken
