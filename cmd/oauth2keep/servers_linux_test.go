package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testserver"
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

// installed returns the path of a program, or skips the test; where everything should be
// installed, it fails.
func installed(t *testing.T, pattern, packageName string) string {
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	if len(found) > 0 {
		return found[len(found)-1]
	}
	message := "install it: apt-get install -y " + packageName
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

const password = "hunter2"

func startRedis(t *testing.T) string {
	path := installed(t, "/usr/bin/redis-server", "redis-server")
	_, port, err := net.SplitHostPort(testserver.Addr(t))
	require.NoError(t, err)
	launch(t, port, exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--requirepass", password,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", ""))
	return fmt.Sprintf("redis://:%s@127.0.0.1:%s/0", password, port)
}

func startPostgres(t *testing.T) string {
	initdb := installed(t, "/usr/lib/postgresql/*/bin/initdb", "postgresql")
	dir, err := os.MkdirTemp("", "oauth2keep")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	owner := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 { // as whom PostgreSQL refuses to run
		u, err := user.Lookup("postgres")
		require.NoError(t, err)
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		require.NoError(t, err)
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		require.NoError(t, err)
		owner.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		require.NoError(t, os.Chown(dir, int(uid), int(gid)))
	}
	as := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(filepath.Dir(initdb), name), args...)
		cmd.Dir, cmd.SysProcAttr = "/", owner
		return cmd
	}
	data, secret := filepath.Join(dir, "data"), filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(secret, []byte(password+"\n"), 0o644))
	out, err := as("initdb", "--no-sync", "--auth=scram-sha-256", "--pwfile="+secret, "--username=app", "--encoding=UTF8", "--locale=C", data).CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, port, err := net.SplitHostPort(testserver.Addr(t))
	require.NoError(t, err)
	launch(t, port, as("postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"))
	return fmt.Sprintf("postgres://app:%s@127.0.0.1:%s/postgres?sslmode=disable", password, port)
}

// launch starts a server, which is killed when the test is over, and waits until it listens.
func launch(t *testing.T, port string, cmd *exec.Cmd) {
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for range 500 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			time.Sleep(100 * time.Millisecond) // it may still say that it is starting
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("the server doesn't start: %s", log.Bytes())
}
