package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// TestServers runs the scripts that need a PostgreSQL and a Redis.
func TestServers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts servers: runs without -short")
	}
	params := scripts("testdata/servers")
	own := params.Setup
	urls := map[string]string{"POSTGRES": startPostgres(t), "REDIS": startRedis(t)}
	params.Setup = func(env *testscript.Env) error {
		for name, url := range urls {
			env.Setenv(name, url)
		}
		return own(env)
	}
	testscript.Run(t, params)
}

const password = "hunter2"

func startRedis(t *testing.T) string {
	path := testenv.FindProgram(t, "redis-server", "apt-get install redis-server")
	addr := testenv.Addr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	listens := func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			err = c.Close()
		}
		return err
	}
	testenv.StartServer(t, listens, path, "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--requirepass", password,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
	return fmt.Sprintf("redis://:%s@%s/0", password, addr)
}

func startPostgres(t *testing.T) string {
	testenv.FindProgram(t, testenv.InitDB, "apt-get install postgresql")
	dir := testenv.DirInMemory(t)
	secret := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(secret, []byte(password+"\n"), 0o644))
	server, port, err := testenv.NewPostgres(dir, []string{"--auth=scram-sha-256", "--pwfile=" + secret, "--username=app"}, "fsync=off")
	require.NoError(t, err)
	require.NoError(t, server.Run())
	t.Cleanup(server.Stop)
	return fmt.Sprintf("postgres://app:%s@127.0.0.1:%d/postgres?sslmode=disable", password, port)
}
