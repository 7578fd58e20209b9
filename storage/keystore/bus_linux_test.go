package keystore

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"
)

// bus is a session bus of its own, on which a Secret Service can run, with a home
// directory of their own. It is the one of this process until the test is over, so
// that tests with one don't run in parallel.
type bus struct {
	t    testing.TB
	home string
	addr string
	bus  *exec.Cmd
	keys *exec.Cmd
}

// There is no service directory, so that the bus starts nothing by itself.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s/bus</listen>
  <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
`

func program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing := fmt.Sprintf("%s isn't installed: apt-get install %s", name, debian)
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	return path
}

// newBus starts a bus without a Secret Service. With -short it skips the test.
func newBus(t testing.TB) *bus {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a bus, and mostly a keyring: runs without -short")
	}
	path := program(t, "dbus-daemon", "dbus-daemon")
	// Not TempDir: the path of a socket has no more than 108 bytes.
	home, err := os.MkdirTemp("", "keystore")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(home) })
	b := &bus{t: t, home: home, addr: "unix:path=" + home + "/bus"}
	config := filepath.Join(home, "bus.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, busConfig, home), 0o600))
	b.bus = b.command(path, "--config-file="+config, "--nofork", "--print-address")
	out, err := b.bus.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, b.bus.Start())
	t.Cleanup(b.killBus)
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	disconnect()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", b.addr)
	return b
}

// newSecretService starts a bus with an unlocked keyring.
func newSecretService(t testing.TB) *bus {
	t.Helper()
	b := newBus(t)
	b.startKeys()
	return b
}

// startKeys starts the Secret Service, or starts it again.
func (b *bus) startKeys() {
	b.t.Helper()
	path := program(b.t, "gnome-keyring-daemon", "gnome-keyring")
	b.keys = b.command(path, "--foreground", "--unlock", "--components=secrets")
	b.keys.Stdin = strings.NewReader("password")
	require.NoError(b.t, b.keys.Start())
	b.t.Cleanup(b.killKeys)
	require.Eventually(b.t, func() bool {
		locked, err := b.object(login).GetProperty("org.freedesktop.Secret.Collection.Locked")
		return err == nil && locked.Value() == false
	}, 20*time.Second, 5*time.Millisecond)
}

func (b *bus) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "HOME="+b.home, "XDG_DATA_HOME="+b.home, "XDG_CONFIG_HOME="+b.home,
		"XDG_CACHE_HOME="+b.home, "XDG_RUNTIME_DIR="+b.home, "DBUS_SESSION_BUS_ADDRESS="+b.addr, "DISPLAY=", "WAYLAND_DISPLAY=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

const login dbus.ObjectPath = "/org/freedesktop/secrets/collection/login"

// object returns an object of the Secret Service.
func (b *bus) object(path dbus.ObjectPath) dbus.BusObject {
	conn, err := dbus.SessionBus()
	require.NoError(b.t, err)
	return conn.Object("org.freedesktop.secrets", path)
}

// lock locks the keyring. Nobody is there to answer its question for the password.
func (b *bus) lock() {
	call := b.object("/org/freedesktop/secrets").Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{login})
	require.NoError(b.t, call.Err)
}

func (b *bus) killKeys() { kill(b.keys) }

func (b *bus) killBus() {
	disconnect()
	kill(b.bus)
}

// disconnect makes go-keyring connect again.
func disconnect() {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); strings.HasPrefix(address, "unix:path="+os.TempDir()) {
		if conn, err := dbus.SessionBus(); err == nil {
			conn.Close()
		}
	}
}

func kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		cmd.Process.Kill()
		cmd.Wait()
	}
}
