package grpctoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"

	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// Conn is a gRPC client connection that authenticates its calls as a connection of a
// Manager. It is safe for concurrent use.
type Conn struct {
	cc      grpc.ClientConnInterface
	manager *tokensource.Manager
	source  *tokensource.Source
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// New returns cc with the token of a connection on its calls, as a bearer token (RFC 6750)
// in the metadata "authorization". It may be made as often as one likes, and one cc
// serves any number of connections. A call that has a grpc.PerRPCCredentials of its own
// keeps that.
//
// The token is sent to the origins that [tokensource.Manager.Client] sends it to, and no
// other: those of Manager.APIURLs, such as "https://ledger.example", or else Config's. What is
// compared is the authority of the call, which TLS has verified. It is sent over TLS
// only, unless Manager.InsecureHTTP is set. Otherwise the call fails, and nothing is sent.
//
// When the service answers a unary call with the code Unauthenticated, the token is
// refreshed and the call repeated, once. A stream isn't repeated: the next one has a new
// token. If there is no token, the error wraps that of [tokensource.Source.TokenContext],
// and its code is Unauthenticated if that is [tokensource.ErrLoginRequired], that of the
// context if the context is done, and Unavailable otherwise.
func New(cc grpc.ClientConnInterface, m *tokensource.Manager, connection string) *Conn {
	return &Conn{cc: cc, manager: m, source: m.Source(connection)}
}

// Invoke implements [grpc.ClientConnInterface].
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	refused, err := c.invoke(ctx, method, args, reply, opts)
	if refused == nil {
		return err
	}
	c.source.Reject(refused)
	fresh, noToken := c.source.TokenContext(ctx)
	if noToken != nil || fresh.AccessToken == refused.AccessToken {
		return err // the next call gets the other error
	}
	refused, err = c.invoke(ctx, method, args, reply, opts)
	if refused != nil {
		c.source.Reject(refused)
	}
	return err
}

// invoke makes a call once. It returns the token if that is what was refused.
func (c *Conn) invoke(ctx context.Context, method string, args, reply any, opts []grpc.CallOption) (refused *oauth2.Token, err error) {
	call, err := c.authorize(ctx)
	if err != nil {
		return nil, err
	}
	err = c.cc.Invoke(ctx, method, args, reply, call.with(opts)...)
	return call.refusedBy(err), err
}

// NewStream implements [grpc.ClientConnInterface].
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	call, err := c.authorize(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := c.cc.NewStream(ctx, desc, method, call.with(opts)...)
	if err != nil {
		c.source.Reject(call.refusedBy(err))
		return nil, err
	}
	return &clientStream{stream, c.source, call}, nil
}

// clientStream tells of a refusal, which comes with the end of a stream.
type clientStream struct {
	grpc.ClientStream
	source *tokensource.Source
	call   *callCredentials
}

func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	s.source.Reject(s.call.refusedBy(err))
	return err
}

// callCredentials are the credentials of one call.
type callCredentials struct {
	token   *oauth2.Token
	origins httpclient.Origins
	plain   bool // the token may go over a connection without TLS
	sent    atomic.Bool
}

// authorize gets the token for a call.
func (c *Conn) authorize(ctx context.Context) (*callCredentials, error) {
	t, err := c.source.TokenContext(ctx)
	if err != nil {
		return nil, withCode(err)
	}
	urls := c.manager.APIURLs
	if api, ok := c.manager.Config.(tokensource.API); ok && len(urls) == 0 {
		if urls, err = api.APIURLs(t); err != nil {
			return nil, fmt.Errorf("grpctoken: the token can't be sent: %w", redact.Error(err, []string{t.AccessToken, t.RefreshToken}))
		}
	}
	origins, err := httpclient.ParseOrigins(urls)
	if err != nil || len(origins) == 0 {
		return nil, errors.New("grpctoken: Manager.APIURLs has to say which services the tokens are for, such as https://ledger.example")
	}
	return &callCredentials{token: t, origins: origins, plain: c.manager.InsecureHTTP}, nil
}

// with returns the options of a call. One of the call's own comes later, and so wins.
func (c *callCredentials) with(opts []grpc.CallOption) []grpc.CallOption {
	return append([]grpc.CallOption{grpc.PerRPCCredentials(c)}, opts...)
}

// refusedBy returns the token if err, of a call, says that the service doesn't take it.
func (c *callCredentials) refusedBy(err error) *oauth2.Token {
	if status.Code(err) == codes.Unauthenticated && c.sent.Load() {
		return c.token
	}
	return nil
}

// GetRequestMetadata implements credentials.PerRPCCredentials. The URI is
// "https://" with the authority and the name of the service, also without TLS.
func (c *callCredentials) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	if len(uri) != 1 {
		return nil, status.Error(codes.Internal, "grpctoken: this version of gRPC doesn't say where a call goes")
	}
	u, err := url.Parse(uri[0])
	if err != nil {
		return nil, status.Error(codes.Internal, "grpctoken: the call's authority is no host")
	}
	if info, ok := credentials.RequestInfoFromContext(ctx); !ok || credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity) != nil {
		u.Scheme = "http"
	}
	if !c.origins.Takes(&http.Request{URL: u}) {
		return nil, status.Error(codes.PermissionDenied, fmt.Sprintf("grpctoken: the token is for %v and is not sent to %s://%s", c.origins, u.Scheme, u.Host))
	}
	c.sent.Store(true)
	return map[string]string{"authorization": "Bearer " + c.token.AccessToken}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (c *callCredentials) RequireTransportSecurity() bool { return !c.plain }
