package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testdir"
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
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	require.NoError(t, err)
	if len(found) == 0 {
		const message = "install it: apt-get install -y postgresql; or set OAUTH2KEEP_POSTGRES_DSN"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	dir := testdir.InMemory(t)
	command := func(name string, args ...string) {
		args = append([]string{filepath.Join(filepath.Dir(found[len(found)-1]), name)}, args...)
		if os.Geteuid() == 0 { // as whom it refuses to run
			args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = "/"
		said, err := os.Create(filepath.Join(t.TempDir(), name)) // not a pipe, which the server would keep open
		require.NoError(t, err)
		defer said.Close()
		cmd.Stdout, cmd.Stderr = said, said
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(said.Name())
			t.Fatalf("%s: %v: %s", name, err, text)
		}
	}
	if os.Geteuid() == 0 {
		out, err := exec.Command("chown", "postgres", dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	data, address := filepath.Join(dir, "data"), freeAddress(t)
	command("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", data)
	var port string
	_, err = fmt.Sscanf(address, "127.0.0.1:%s", &port)
	require.NoError(t, err)
	command("pg_ctl", "start", "-w", "-D", data, "-l", filepath.Join(dir, "log"),
		"-o", "-p "+port+" -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off")
	t.Cleanup(func() { command("pg_ctl", "stop", "-m", "immediate", "-D", data) })
	return "postgres://postgres@" + address + "/postgres?sslmode=disable"
}
