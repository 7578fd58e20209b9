package clients

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-github/v82/github"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/clienttest"
)

func githubAt(t *testing.T, client *http.Client, url, uploads string) *github.Client {
	c, err := github.NewClient(client).WithEnterpriseURLs(url, uploads)
	require.NoError(t, err)
	return c
}

// githubAPI knows the user, and takes an upload if it is whole.
func githubAPI(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != asset {
			http.Error(w, "the asset isn't whole", http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = io.WriteString(w, `{"login":"user","id":1}`)
}

var asset = strings.Repeat("a release ", 10_000)

func TestGitHub(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		Answer: githubAPI,
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			c := githubAt(t, p.Manager.Client(connection), url, url)
			return func(ctx context.Context) error {
				_, _, err := c.Users.Get(ctx, "")
				return err
			}
		},
	})
}

// TestGitHubUploadInMemory: net/http knows how to read such a body again, and so the upload
// is repeated with a new token.
func TestGitHubUploadInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("has the same client as another test; run without -short")
	}
	clienttest.Test(t, clienttest.Client{
		Answer: githubAPI,
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			c := githubAt(t, p.Manager.Client(connection), url, url)
			return func(ctx context.Context) error {
				r, err := c.NewUploadRequest("repos/o/r/releases/1/assets?name=a", bytes.NewReader([]byte(asset)), int64(len(asset)), "text/plain")
				if err != nil {
					return err
				}
				_, err = c.Do(ctx, r, new(github.ReleaseAsset))
				return err
			}
		},
	})
}

// TestGitHubUploadOfAFile: a file is read once. The upload fails, and the next one has a new
// token.
func TestGitHubUploadOfAFile(t *testing.T) {
	if testing.Short() {
		t.Skip("has the same client as another test; run without -short")
	}
	path := filepath.Join(t.TempDir(), "asset")
	require.NoError(t, os.WriteFile(path, []byte(asset), 0o600))
	clienttest.Test(t, clienttest.Client{
		Answer: githubAPI,
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			c := githubAt(t, p.Manager.Client(connection), url, url)
			return func(ctx context.Context) error {
				file, err := os.Open(path)
				if err != nil {
					return err
				}
				defer file.Close()
				_, _, err = c.Repositories.UploadReleaseAsset(ctx, "o", "r", 1, &github.UploadOptions{Name: "a"}, file)
				return err
			}
		},
		Once: true,
	})
}

// TestGitHubUploadsToAnotherHost: it has to be among those that tokens are for.
func TestGitHubUploadsToAnotherHost(t *testing.T) {
	clienttest.Run(t, githubAPI, func(t *testing.T, w *clienttest.World) {
		w.Here.Connect(t, "github/42")
		upload := func(client *http.Client) error {
			c := githubAt(t, client, w.Here.API.URL, w.Elsewhere.URL)
			r, err := c.NewUploadRequest("repos/o/r/releases/1/assets?name=a", strings.NewReader(asset), int64(len(asset)), "text/plain")
			require.NoError(t, err)
			_, err = c.Do(t.Context(), r, new(github.ReleaseAsset))
			return err
		}
		require.ErrorContains(t, upload(w.Here.Manager.Client("github/42")), "is not sent to "+w.Elsewhere.URL)
		assert.Empty(t, w.Elsewhere.Sent())

		m := w.Here.Restart()
		m.APIURLs = []string{w.Here.API.URL, w.Elsewhere.URL}
		require.NoError(t, upload(m.Client("github/42")))
		require.Len(t, w.Elsewhere.Sent(), 1)
		assert.Contains(t, w.Elsewhere.Sent()[0], "Bearer ")
	})
}

// TestGitHubFirstCallAfterARevocation gets GitHub's own words; the next one says that the
// user has to connect again.
func TestGitHubFirstCallAfterARevocation(t *testing.T) {
	clienttest.Run(t, githubAPI, func(t *testing.T, w *clienttest.World) {
		token := w.Here.Connect(t, "github/42")
		c := githubAt(t, w.Here.Manager.Client("github/42"), w.Here.API.URL, w.Here.API.URL)
		w.Here.End(t, token)
		_, _, err := c.Users.Get(t.Context(), "")
		var answer *github.ErrorResponse
		require.True(t, errors.As(err, &answer))
		assert.Equal(t, http.StatusUnauthorized, answer.Response.StatusCode)
		_, _, err = c.Users.Get(t.Context(), "")
		requireLogin(t, err)
	})
}
