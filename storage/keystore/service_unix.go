//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keystore

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// reach looks for the session bus by itself, because go-keyring starts one if there
// is none and dbus-launch is installed. That bus would outlive the program, and the
// keyring on it isn't the user's.
func reach() error {
	conn, err := dbus.SessionBusPrivateNoAutoStartup()
	if err == nil {
		return conn.Close()
	}
	// The first error has no type. TestNoBus watches its text.
	if strings.Contains(err.Error(), "couldn't determine address") ||
		errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: no session bus: %w", errNone, err)
	}
	return err
}

// isNoService reports whether the bus knows of no Secret Service, also not of one
// that it could start.
func isNoService(err error) bool {
	e, ok := errors.AsType[dbus.Error](err)
	return ok && (e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
		e.Name == "org.freedesktop.DBus.Error.Spawn.ServiceNotFound")
}
