// Package clients shows how connections are joined with the clients of other libraries, by
// tests that take each through a call, an expiry that 16 calls meet at a time, a token that
// the API refuses, a grant that has ended, a context that is done while the token endpoint
// hangs, a second provider on the same store, and a stranger's server.
//
// A client that takes an *http.Client is given one of Manager.Client. Then a call that the
// API refuses is repeated with a new token, a call's context counts, and the token goes to
// the API alone, wherever it is redirected to:
//
//	Google                  option.WithHTTPClient(manager.Client(name))
//	GitHub                  github.NewClient(manager.Client(name)), with the upload host in Manager.APIURLs
//	client-go               kubernetes.NewForConfigAndClient(config, manager.Client(name)), with the cluster's CA in Manager.Base
//	Azure                   azcore.ClientOptions{Transport: manager.Client(name)}, and a credential
//	AWS, Smithy             config.HTTPClient = manager.Client(name), and a bearer.TokenProvider
//	go-oidc                 provider.UserInfo(oidc.ClientContext(ctx, manager.Client(name)), oauth2.StaticTokenSource(token))
//	go-retryablehttp        client.HTTPClient = manager.Client(name), and a CheckRetry that knows ErrLoginRequired
//	Finch                   option.WithHTTPClient(manager.Client(name)), and no access token
//	gRPC                    package tokensource/grpctoken
//	metrics, OpenTelemetry  package tokensource/otelmetrics
//
// A body that can't be read twice, such as an *os.File, isn't repeated: the call fails with
// the API's 401, and the next one has a new token.
//
// A client that takes an oauth2.TokenSource can do less. It waits for a token without a look
// at the call's context, sends the token to wherever it is redirected, and repeats nothing:
// the program has to give a token that was refused to Source.Reject. client-go does so by
// itself, since a Source is its ResettableTokenSource.
//
// A cache on top of a Source, such as oauth2.ReuseTokenSource or client-go's
// NewCachedTokenSource, keeps a token that Reject has ended, and isn't needed. A client that
// retries, below a Manager as its Base, sends refresh tokens again and again: give it to the
// API's requests only, by Manager.RequestContext. What traces requests, as Manager.Base, writes
// their URLs down: leave those of a provider out that wants tokens in them.
package clients
