package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

var errNotInstalled = errors.New("PostgreSQL isn't installed: apt-get install -y postgresql; or give -dsn")

// server is a PostgreSQL of this program's own, with the settings of a new installation.
type server struct{ initdb, data, dsn string }

// startServer starts one whose data is in dir.
func startServer(ctx context.Context, dir string) (*server, error) {
	initdb, err := exec.LookPath("initdb")
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 {
		initdb, err = found[len(found)-1], nil
	}
	if err != nil {
		return nil, errNotInstalled
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().(*net.TCPAddr)
	l.Close()
	s := &server{initdb, filepath.Join(dir, "data"), fmt.Sprintf("postgres://postgres@%v/postgres?sslmode=disable", address)}
	if os.Geteuid() == 0 { // as whom it refuses to run
		if out, err := exec.CommandContext(ctx, "chown", "postgres", dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %w: %s", errNotInstalled, err, out)
		}
	}
	if err := s.command(ctx, "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", s.data); err != nil {
		return nil, err
	}
	return s, s.command(ctx, "pg_ctl", "start", "-w", "-D", s.data, "-l", filepath.Join(dir, "log"),
		"-o", fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", address.Port))
}

// command runs one of PostgreSQL's programs.
func (s *server) command(ctx context.Context, name string, args ...string) error {
	args = append([]string{filepath.Join(filepath.Dir(s.initdb), name)}, args...)
	if os.Geteuid() == 0 {
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = "/"
	out, err := os.CreateTemp("", name) // not a pipe, which the server would keep open
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", name, err, said)
	}
	return nil
}

// stop ends it at once: nobody needs the data.
func (s *server) stop() {
	_ = s.command(context.Background(), "pg_ctl", "stop", "-m", "immediate", "-D", s.data)
}
