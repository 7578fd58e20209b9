package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// TestPostgreSQL goes through the application with -postgres.
func TestPostgreSQL(t *testing.T) {
	source := postgres(t)
	for range 2 { // the second start meets the tables of the first
		app := start(t, func(s *settings) { s.postgres = source })
		b := app.user(t, "alice")
		require.True(t, b.get("/connections").has("no-connections"), "a sandbox knows nothing of an earlier one")
		for _, provider := range []string{"finch", "zendesk"} {
			b.connect(provider, "account", "tea-house")
		}
		p := b.get("/connections")
		assert.Contains(t, p.body, `data-name="finch/alice" data-state="healthy"`)
		assert.Contains(t, p.body, `data-name="zendesk/alice/tea-house" data-state="healthy"`)
		p = b.post("/sandbox/try/revoked")
		assert.Equal(t, "login_required", p.attribute("status", "data-state"))
		carol := app.user(t, "carol")
		assert.Contains(t, carol.get("/admin").body, `data-name="taxrock/alice"`)
		assert.Contains(t, carol.get("/admin?group=working").body, `data-name="finch/alice"`)
		b.post("/disconnect/finch/alice")
		assert.NotContains(t, b.get("/connections").body, `data-name="finch/alice"`)
		assert.NoFileExists(t, filepath.Join(app.dataDir, "webapp.db"))
	}

	// Processes that start at once don't wait for each other's locks.
	var starts sync.WaitGroup
	for range 4 {
		starts.Go(func() {
			for range 25 {
				d, err := openDatabase(t.Context(), settings{postgres: source})
				if assert.NoError(t, err) {
					d.Close()
				}
			}
		})
	}
	starts.Wait()
}

// postgres returns the URL of a PostgreSQL server: that of OAUTH2KEEP_POSTGRES_DSN, or one
// that is started from what is installed.
func postgres(t *testing.T) string {
	if source := os.Getenv("OAUTH2KEEP_POSTGRES_DSN"); source != "" {
		return source
	}
	if testing.Short() {
		t.Skip("starts a server: runs without -short")
	}
	testenv.FindProgram(t, testenv.InitDB, "apt-get install postgresql; or set OAUTH2KEEP_POSTGRES_DSN")
	server, port, err := testenv.NewPostgres(testenv.DirInMemory(t), []string{"--auth=trust", "--username=postgres"}, "fsync=off")
	require.NoError(t, err)
	require.NoError(t, server.Run())
	t.Cleanup(server.Stop)
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
}
