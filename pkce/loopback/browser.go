package loopback

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// OpenBrowser opens a page in the user's browser: with xdg-open, or with open on macOS and
// rundll32 on Windows, and without a shell. The URL must be http or https.
//
// It returns when the program that it calls has ended, or ctx is done, which that program
// survives. It is an error if the environment says that the user is elsewhere: on macOS, a
// connection by ssh; on systems with xdg-open, no graphical display (DISPLAY and
// WAYLAND_DISPLAY), unless it names a program to open pages with in BROWSER, as editors
// do that are connected to another machine.
func OpenBrowser(ctx context.Context, pageURL string) error {
	if !isPage(pageURL) {
		return errors.New("loopback: a browser opens http and https URLs only")
	}
	name, args, err := opener(runtime.GOOS, os.Getenv, exec.LookPath)
	if err != nil {
		return err
	}
	cmd := exec.Command(name, append(args, escaped(pageURL))...)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("loopback: can't open a browser: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // which may be when the browser is closed
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("loopback: can't open a browser: %s: %w", name, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// NoBrowser is an OpenBrowser for a user who wants none: the URL is shown, or the device
// grant used if the method is [Auto] and the provider knows it.
func NoBrowser(context.Context, string) error {
	return errors.New("loopback: no browser is wanted")
}

// opener returns the program of a system, of which the URL is the last argument.
func opener(system string, getenv func(string) string, look func(string) (string, error)) (name string, args []string, err error) {
	switch system {
	case "windows":
		return "rundll32", []string{"url.dll,FileProtocolHandler"}, nil
	case "darwin", "ios":
		if getenv("SSH_CONNECTION") != "" {
			return "", nil, errors.New("loopback: a browser would open at the other end of ssh")
		}
		return "open", nil, nil
	}
	// What isn't the name of one program is for xdg-open to read.
	if browser := getenv("BROWSER"); browser != "" {
		if name, err := look(browser); err == nil {
			return name, nil, nil
		}
	} else if getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "" {
		return "", nil, errors.New("loopback: there is no display for a browser")
	}
	if name, err = look("xdg-open"); err != nil {
		return "", nil, fmt.Errorf("loopback: can't open a browser, install xdg-utils: %w", err)
	}
	return name, nil, nil
}

// foreign are the ASCII characters that RFC 3986 doesn't have.
const foreign = "\"<>\\^`{|}"

// escaped returns a URL without the characters that RFC 3986 doesn't have, which the
// programs that get it might take for something else.
func escaped(pageURL string) string {
	var b strings.Builder
	for i := range len(pageURL) {
		if c := pageURL[i]; c >= utf8.RuneSelf || strings.IndexByte(foreign, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// isPage reports whether a URL is one that a user can be shown and a browser told to open:
// http or https, and without a character that isn't visible.
func isPage(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && !strings.ContainsAny(u.Host, foreign) &&
		!strings.ContainsFunc(rawURL, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}
