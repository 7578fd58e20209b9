package grpctoken_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/oauth"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/oauth2keep/oauth2keep/internal/clienttest"
	"github.com/oauth2keep/oauth2keep/tokensource"
	"github.com/oauth2keep/oauth2keep/tokensource/grpctoken"
)

// service is a gRPC service that wants a token: the health service, which every gRPC has.
type service struct {
	grpc_health_v1.UnimplementedHealthServer
	site  *clienttest.Site
	check func(ctx context.Context, authorization string) error
}

func (s *service) authorize(ctx context.Context) error {
	in, _ := metadata.FromIncomingContext(ctx)
	authorization := ""
	if sent := in.Get("authorization"); len(sent) > 0 {
		authorization = sent[0]
	}
	s.site.Saw(authorization)
	return s.check(ctx, authorization)
}

func (s *service) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if err := s.authorize(ctx); err != nil {
		return nil, err
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func (s *service) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	if err := s.authorize(stream.Context()); err != nil {
		return err
	}
	return stream.Send(&grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING})
}

// serve starts the service of p at target, which is what gRPC calls it, and returns a client
// connection to it. Without transport it speaks TLS.
func serve(t *testing.T, p *clienttest.Provider, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	s := &service{site: p.World.Elsewhere, check: func(context.Context, string) error { return nil }}
	if target == p.API.URL {
		s.site, s.check = p.API, func(ctx context.Context, authorization string) error {
			resp, err := p.Check(ctx, authorization)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != 200 {
				p.API.Refused.Add(1)
				return status.Error(codes.Unauthenticated, "the token isn't good")
			}
			return nil
		}
	}
	var serving []grpc.ServerOption
	if len(opts) == 0 {
		serving = append(serving, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: s.site.TLS.Certificates})))
		opts = append(opts, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: p.World.Roots, CurvePreferences: []tls.CurveID{tls.X25519}})))
	}
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(serving...)
	grpc_health_v1.RegisterHealthServer(server, s)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	at, err := url.Parse(target)
	require.NoError(t, err)
	cc, err := grpc.NewClient("passthrough:///"+at.Host, append(opts,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	require.NoError(t, err)
	t.Cleanup(func() { cc.Close() })
	return cc
}

func check(ctx context.Context, cc grpc.ClientConnInterface, opts ...grpc.CallOption) error {
	_, err := grpc_health_v1.NewHealthClient(cc).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, opts...)
	return err
}

func watch(ctx context.Context, cc grpc.ClientConnInterface) error {
	stream, err := grpc_health_v1.NewHealthClient(cc).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	return err
}

func TestUnaryCalls(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			cc := grpctoken.New(serve(t, p, url), p.Manager, connection)
			return func(ctx context.Context) error { return check(ctx, cc) }
		},
	})
}

func TestStreams(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			cc := grpctoken.New(serve(t, p, url), p.Manager, connection)
			return func(ctx context.Context) error { return watch(ctx, cc) }
		},
		Once: true,
	})
}

// TestOfGRPC is why this package is there: gRPC's own adapter.
func TestOfGRPC(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		token := w.Here.Connect(t, "customer-42")
		own := oauth.TokenSource{TokenSource: w.Here.Manager.Source("customer-42")}
		cc := serve(t, w.Here, w.Here.API.URL)
		call := func() error { return check(t.Context(), cc, grpc.PerRPCCredentials(own)) }
		require.NoError(t, call())
		w.Here.RefuseTokens()
		for range 2 {
			assert.Equal(t, codes.Unauthenticated, status.Code(call()), "it isn't told")
		}
		w.Here.End(t, token)
		w.Expire()
		err := call()
		require.Error(t, err)
		assert.NotErrorIs(t, err, tokensource.ErrLoginRequired, "the chain is kept")
	})
}

func TestErrorsHaveACode(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		cc := grpctoken.New(serve(t, w.Here, w.Here.API.URL), w.Here.Manager, "nobody")
		for _, call := range []func(context.Context, grpc.ClientConnInterface) error{
			func(ctx context.Context, cc grpc.ClientConnInterface) error { return check(ctx, cc) }, watch,
		} {
			err := call(t.Context(), cc)
			assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
			assert.Equal(t, codes.Unauthenticated, status.Code(err))
		}

		w.Here.Connect(t, "customer-42")
		cc = grpctoken.New(serve(t, w.Here, w.Here.API.URL), w.Here.Manager, "customer-42")
		w.Expire()
		release := w.Hang()
		ctx, cancel := context.WithTimeout(t.Context(), 1)
		defer cancel()
		err := check(ctx, cc)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, codes.DeadlineExceeded, status.Code(err))
		err = check(t.Context(), cc) // until RefreshTimeout
		var trouble *tokensource.Error
		require.ErrorAs(t, err, &trouble)
		assert.Equal(t, tokensource.ReasonUnavailable, trouble.Reason)
		assert.Equal(t, codes.Unavailable, status.Code(err))
		release()
	})
}

// TestNothingIsSentWithoutTLS, and the token isn't taken for refused because gRPC says
// Unauthenticated.
func TestNothingIsSentWithoutTLS(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		w.Here.Connect(t, "customer-42")
		plain := serve(t, w.Here, w.Here.API.URL, grpc.WithTransportCredentials(insecure.NewCredentials()))
		for range 2 {
			assert.Error(t, check(t.Context(), grpctoken.New(plain, w.Here.Manager, "customer-42")))
			assert.Error(t, watch(t.Context(), grpctoken.New(plain, w.Here.Manager, "customer-42")))
		}
		assert.Empty(t, w.Here.API.Sent())
		assert.Zero(t, w.Here.Stats().RefreshRequests)

		insecurely := w.Here.Restart()
		insecurely.InsecureHTTP = true
		assert.Equal(t, codes.PermissionDenied, status.Code(check(t.Context(), grpctoken.New(plain, insecurely, "customer-42"))), "an https API")
		assert.Empty(t, w.Here.API.Sent())
		for _, allowed := range []bool{false, true} {
			insecurely = w.Here.Restart()
			insecurely.InsecureHTTP = allowed
			insecurely.APIURLs = []string{"http" + w.Here.API.URL[len("https"):]}
			err := check(t.Context(), grpctoken.New(plain, insecurely, "customer-42"))
			assert.Equal(t, allowed, err == nil, "%v", err)
			assert.Equal(t, allowed, len(w.Here.API.Sent()) == 1)
		}
	})
}

// TestOriginsOfConfig are those that a Manager without APIURLs has.
func TestOriginsOfConfig(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		w.Here.Connect(t, "customer-42")
		m := w.Here.Restart()
		m.APIURLs = nil
		cc := serve(t, w.Here, w.Here.API.URL)
		assert.Equal(t, codes.PermissionDenied, status.Code(check(t.Context(), grpctoken.New(cc, m, "customer-42"))))
		m = w.Here.Restart()
		m.APIURLs = nil
		m.Config = struct{ tokensource.Refresher }{m.Config}
		m.Registration = w.Here.Registration()
		assert.ErrorContains(t, check(t.Context(), grpctoken.New(cc, m, "customer-42")), "Manager.APIURLs")
		assert.Empty(t, w.Here.API.Sent())
	})
}

// talkative is a Config whose API can't be named, and that quotes the token to say so.
type talkative struct{ tokensource.Refresher }

func (talkative) APIURLs(t *oauth2.Token) ([]string, error) {
	return nil, fmt.Errorf("no tenant in %q", t.AccessToken)
}
func (talkative) APIHeader(*oauth2.Token) http.Header         { return nil }
func (talkative) TokenRejected(*http.Response) (string, bool) { return "", false }

func TestNoSecretInTheErrorOfConfig(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		w.Here.Connect(t, "customer-42")
		m := w.Here.Restart()
		m.Registration, m.APIURLs, m.Config = w.Here.Registration(), nil, talkative{m.Config}
		token, err := m.Source("customer-42").Token()
		require.NoError(t, err)
		for _, call := range []func(context.Context, grpc.ClientConnInterface) error{
			func(ctx context.Context, cc grpc.ClientConnInterface) error { return check(ctx, cc) }, watch,
		} {
			err := call(t.Context(), grpctoken.New(serve(t, w.Here, w.Here.API.URL), m, "customer-42"))
			assert.ErrorContains(t, err, "no tenant")
			assert.NotContains(t, err.Error(), token.AccessToken)
		}
	})
}

// ownCredentials are a call's own.
type ownCredentials struct{ used atomic.Bool }

func (c *ownCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	c.used.Store(true)
	return map[string]string{"authorization": "Bearer of the call's own"}, nil
}

func (*ownCredentials) RequireTransportSecurity() bool { return true }

func TestCredentialsOfTheCallStay(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		w.Here.Connect(t, "customer-42")
		cc := grpctoken.New(serve(t, w.Here, w.Here.API.URL), w.Here.Manager, "customer-42")
		own := new(ownCredentials)
		assert.Equal(t, codes.Unauthenticated, status.Code(check(t.Context(), cc, grpc.PerRPCCredentials(own))))
		assert.True(t, own.used.Load())
		assert.Equal(t, []string{"Bearer of the call's own"}, w.Here.API.Sent())
		assert.NoError(t, check(t.Context(), cc))
		assert.Zero(t, w.Here.Stats().RefreshRequests, "another's refusal is taken for the token's")
	})
}
