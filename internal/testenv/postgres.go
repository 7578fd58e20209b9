package testenv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// InitDB is where [LookProgram] finds PostgreSQL.
const InitDB = "/usr/lib/postgresql/*/bin/initdb"

// ErrNotInstalled is the error of servers that aren't installed.
var ErrNotInstalled = errors.New("not installed")

// OwnDir gives a directory to the user as whom a server runs that refuses to run as root. It
// returns the name for AsUser: "" unless this process is root's.
func OwnDir(dir, name string) (string, error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return "", errors.Join(ErrNotInstalled, err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return name, os.Chown(dir, uid, gid)
}

// NewPostgres returns a PostgreSQL server that isn't started yet, and its port on loopback.
// Its data are below dir, to which others need access if this process is root's. initdb are
// arguments of that program, and settings those of the server.
func NewPostgres(dir string, initdb []string, settings ...string) (*Server, int, error) {
	bin, err := LookProgram(InitDB)
	if err != nil {
		return nil, 0, err
	}
	name, err := OwnDir(dir, "postgres")
	if err != nil {
		return nil, 0, err
	}
	data := filepath.Join(dir, "data")
	if err := Output(AsUser(name, bin, append([]string{"--no-sync", "--encoding=UTF8", "--locale=C", data}, initdb...)...)); err != nil {
		return nil, 0, err
	}
	port, err := Port()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	args := []string{"-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "dynamic_shared_memory_type=mmap", // in its directory, which goes also after a kill
	}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return NewServer(func() error { return postgresIsReady(addr) }, func() *exec.Cmd {
		return AsUser(name, filepath.Join(filepath.Dir(bin), "postgres"), args...)
	}), port, err
}

// postgresIsReady connects. A server that is starting answers with an error before it asks
// who that is.
func postgresIsReady(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	const version, parameters = 3 << 16, "user\x00postgres\x00\x00"
	startup := binary.BigEndian.AppendUint32(nil, uint32(8+len(parameters)))
	startup = append(binary.BigEndian.AppendUint32(startup, version), parameters...)
	if _, err := c.Write(startup); err != nil {
		return err
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if answer[0] != 'R' { // Authentication…
		return fmt.Errorf("PostgreSQL answers with a message %q", answer)
	}
	return nil
}

// Output runs a command to its end. The error has what it wrote.
func Output(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
