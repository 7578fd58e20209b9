package clients

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/oauth2keep/oauth2keep/internal/clienttest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

var _ transport.ResettableTokenSource = (*tokensource.Source)(nil)

func clusterAt(url string) *rest.Config {
	return &rest.Config{Host: url, QPS: -1, ContentConfig: rest.ContentConfig{
		GroupVersion:         &schema.GroupVersion{Version: "v1"},
		NegotiatedSerializer: serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion(),
	}}
}

func getVersion(t *testing.T, config *rest.Config, client *http.Client) func(context.Context) error {
	c, err := rest.RESTClientForConfigAndClient(config, client)
	require.NoError(t, err)
	return func(ctx context.Context) error {
		_, err := c.Get().AbsPath("/version").DoRaw(ctx)
		return err
	}
}

// TestKubernetesWithClient: every client of client-go has a constructor with "AndClient" at
// its end, such as kubernetes.NewForConfigAndClient. Manager.Base knows the cluster's CA.
func TestKubernetesWithClient(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			return getVersion(t, clusterAt(url), p.Manager.Client(connection))
		},
	})
}

// TestKubernetesWithTokenSource: where nothing but a *rest.Config can be given, a Source is
// client-go's ResettableTokenSource.
func TestKubernetesWithTokenSource(t *testing.T) {
	if testing.Short() {
		t.Skip("has the same client as another test; run without -short")
	}
	clienttest.Test(t, clienttest.Client{
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			config := clusterAt(url)
			config.Transport = p.Manager.Base
			config.WrapTransport = transport.ResettableTokenSourceWrapTransport(p.Manager.Source(connection))
			client, err := rest.HTTPClientFor(config)
			require.NoError(t, err)
			return getVersion(t, config, client)
		},
		Once: true, Deaf: true, Careless: true,
	})
}

// TestKubernetesCacheIsOneTooMany: NewCachedTokenSource, on top of a Source, keeps a token that
// the provider has ended, and hides why there is no other.
func TestKubernetesCacheIsOneTooMany(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		token := w.Here.Connect(t, "cluster")
		cached := transport.NewCachedTokenSource(w.Here.Manager.Source("cluster"))
		_, err := cached.Token()
		require.NoError(t, err)
		w.Here.End(t, token)
		w.Expire()
		_, err = w.Here.Manager.Source("cluster").Token()
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
		stale, err := cached.Token()
		require.NoError(t, err)
		require.False(t, stale.Valid())
	})
}
