package keystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gokeyring "github.com/zalando/go-keyring"
)

// The tests in this file use a real Secret Service, gnome-keyring-daemon.

// files are those that an App has made.
func files(t testing.TB, a App) []string {
	entries, err := os.ReadDir(a.Dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func entry(t testing.TB, a App) string {
	text, err := gokeyring.Get(a.Name, "oauth2keep keys")
	require.NoError(t, err)
	return text
}

func TestKeysLiveInTheKeyring(t *testing.T) {
	newSecretService(t)
	a := newApp(t)
	keys := open(t, a)
	assert.Equal(t, []string{"lock", "where"}, files(t, a))
	text := entry(t, a)
	assert.Regexp(t, `^oauth2keep keys v1\n[A-Za-z0-9+/]{43}=\nend\n$`, text)
	marker, err := os.ReadFile(filepath.Join(a.Dir, "where"))
	require.NoError(t, err)
	assert.Equal(t, "oauth2keep keystore v1\nkeyring\n"+keys.Fingerprints()[0]+"\nend\n", string(marker))

	requireSame(t, keys, open(t, a))
	a.File = true // has no meaning any more
	requireSame(t, keys, open(t, a))
	assert.Equal(t, text, entry(t, a))
}

func TestRotationInTheKeyring(t *testing.T) {
	newSecretService(t)
	testRotation(t, newApp(t))
}

// TestKeyringThatWasThere is about everything that must not be taken for a first
// run: it would make a new key, and the records of the old one unreadable.
func TestKeyringThatWasThere(t *testing.T) {
	tests := map[string]struct {
		lose func(*bus, App)
		want string
	}{
		"no bus":            {func(b *bus, _ App) { b.killBus() }, "which can't be reached from here: there is no keyring: no session bus: "},
		"no Secret Service": {func(b *bus, _ App) { b.killKeys() }, "which can't be reached from here: The name org.freedesktop.secrets was not provided"},
		"locked":            {func(b *bus, _ App) { b.lock() }, "which can't be reached from here: failed to unlock correct collection"},
		"entry deleted": {func(_ *bus, a App) {
			if err := gokeyring.Delete(a.Name, entryUser); err != nil {
				panic(err)
			}
		}, `in the keyring of the operating system is gone: restore it, or, if the records may be lost and every user may log in again, begin anew by deleting `},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newSecretService(t)
			a := newApp(t)
			open(t, a)
			test.lose(b, a)
			before := snapshot(t, a)
			for _, file := range []bool{false, true} {
				a.File = file
				_, err := a.Open(ctx)
				require.ErrorContains(t, err, test.want)
				assert.ErrorContains(t, err, "begin anew by deleting "+filepath.Join(a.Dir, "where"))
				_, err = a.Add(ctx)
				require.ErrorContains(t, err, test.want)
			}
			assert.Equal(t, before, snapshot(t, a))
			assert.Equal(t, []string{"lock", "where"}, files(t, a))
		})
	}
}

func TestKeyringComesBack(t *testing.T) {
	b := newSecretService(t)
	a := newApp(t)
	keys := open(t, a)
	b.killKeys()
	_, err := a.Open(ctx)
	require.Error(t, err)
	b.startKeys()
	requireSame(t, keys, open(t, a))
}

func TestBeginAnewAfterTheEntryIsGone(t *testing.T) {
	newSecretService(t)
	a := newApp(t)
	keys := open(t, a)
	require.NoError(t, gokeyring.Delete(a.Name, entryUser))
	require.NoError(t, os.Remove(filepath.Join(a.Dir, "where")))
	assert.NotEqual(t, keys.Fingerprints(), open(t, a).Fingerprints())
	assert.Equal(t, []string{"lock", "where"}, files(t, a))
}

// TestNoBus is where go-keyring would start a bus.
func TestNoBus(t *testing.T) {
	bus := newBus(t)
	t.Run("address of no bus", func(t *testing.T) {
		bus.killBus()
		a := newApp(t)
		open(t, a)
		assert.Equal(t, []string{"keys", "lock", "where"}, files(t, a))
	})
	t.Run("no address", func(t *testing.T) {
		for _, name := range []string{"bus", "dbus-session"} {
			if path := fmt.Sprintf("/run/user/%d/%s", os.Getuid(), name); exists(path) {
				t.Skip("this user has a session bus, which is found without an address: " + path)
			}
		}
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
		launched := filepath.Join(t.TempDir(), "dbus-launch")
		require.NoError(t, os.WriteFile(launched, []byte("#!/bin/sh\n: >$0.ran\necho DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere\n"), 0o700))
		t.Setenv("PATH", filepath.Dir(launched)+":"+os.Getenv("PATH"))
		a := newApp(t)
		open(t, a)
		assert.Equal(t, []string{"keys", "lock", "where"}, files(t, a))
		assert.NoFileExists(t, launched+".ran")
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestNoSecretService(t *testing.T) {
	b := newBus(t)
	a := newApp(t)
	keys := open(t, a)
	assert.Equal(t, []string{"keys", "lock", "where"}, files(t, a))

	// The file that exists wins over a keyring that came later.
	b.startKeys()
	requireSame(t, keys, open(t, a))
	require.NoError(t, os.Remove(filepath.Join(a.Dir, "where")))
	requireSame(t, keys, open(t, a))
	_, err := gokeyring.Get(a.Name, entryUser)
	assert.ErrorIs(t, err, gokeyring.ErrNotFound)
}

func TestFileInSpiteOfAKeyring(t *testing.T) {
	newSecretService(t)
	a := newApp(t)
	a.File = true
	open(t, a)
	assert.Equal(t, []string{"keys", "lock", "where"}, files(t, a))
	_, err := gokeyring.Get(a.Name, entryUser)
	assert.ErrorIs(t, err, gokeyring.ErrNotFound)
}

// TestLockedKeyring is not "there is none": the key may be in it.
func TestLockedKeyring(t *testing.T) {
	b := newSecretService(t)
	b.lock()
	a := newApp(t)
	_, err := a.Open(ctx)
	require.ErrorContains(t, err, "keystore: can't use the keyring of the operating system: failed to unlock correct collection")
	assert.ErrorContains(t, err, "unlock it, or let the program keep its keys in a file, with App.File")
	assert.Equal(t, []string{"lock"}, files(t, a))
}

// TestEntryWithoutMarker is what a process that was killed leaves, or a user who
// deleted the directory.
func TestEntryWithoutMarker(t *testing.T) {
	newSecretService(t)
	a := newApp(t)
	keys := open(t, a)
	require.NoError(t, os.RemoveAll(a.Dir))
	requireSame(t, keys, open(t, a))
	assert.Equal(t, []string{"lock", "where"}, files(t, a))
}

func TestEntryThatIsNotUsable(t *testing.T) {
	newSecretService(t)
	a := newApp(t)
	open(t, a)
	for text, want := range map[string]string{
		"":                                 "it is empty",
		"hunter2":                          `it doesn't begin with the line "oauth2keep keys v1"`,
		"oauth2keep keys v2\nhunter2\nend": "its format is unknown",
		"oauth2keep keys v1\nhunter2\nend": "line 2 holds no key",
		"oauth2keep keys v1\nhunter2":      `it is cut short: the line "end" is missing`,
		newKeys(t, 1).encode():             "which was there",
	} {
		require.NoError(t, gokeyring.Set(a.Name, entryUser, text))
		_, err := a.Open(ctx)
		require.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, `the entry of "`+a.Name+`" for "oauth2keep keys" in the keyring`)
		assert.NotContains(t, err.Error(), "hunter2")
		assert.Equal(t, text, entry(t, a), "it was overwritten")
	}
}

func TestFileBesideTheKeyring(t *testing.T) {
	newSecretService(t)
	a := newApp(t)
	open(t, a)
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir, "keys"), []byte(newKeys(t, 1).encode()), 0o600))
	_, err := a.Open(ctx)
	require.ErrorContains(t, err, "move one of the two files away")
}

// hooked is a real keyring with something in the way.
type hooked struct {
	osKeyring
	before, after func()
	setErr        error
	skip          bool
	changed       string
}

func (h hooked) set(service, user, text string) error {
	if h.before != nil {
		h.before()
	}
	if h.changed != "" {
		text = h.changed
	}
	if !h.skip {
		if err := h.osKeyring.set(service, user, text); err != nil {
			return err
		}
	}
	if h.after != nil {
		h.after()
	}
	return h.setErr
}

// TestKeyringThatOnlySaysYes: go-keyring returns no error when the user refuses.
func TestKeyringThatOnlySaysYes(t *testing.T) {
	newSecretService(t)
	for name, h := range map[string]hooked{
		"did nothing":     {skip: true},
		"kept a part":     {changed: "oauth2keep keys v1\n"},
		"kept other keys": {changed: newKeys(t, 1).encode()},
		"failed":          {skip: true, setErr: errors.New("refused")},
		"too big":         {skip: true, setErr: gokeyring.ErrSetDataTooBig},
		"panicked":        {before: func() { panic("nil signal") }},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			_, err := a.update(ctx, h, nil)
			require.Error(t, err)
			assert.Contains(t, err.Error(), "keystore: ")
			assert.Equal(t, []string{"lock"}, files(t, a))
		})
	}
}

func TestKeyringThatDoesNotAnswer(t *testing.T) {
	b := newSecretService(t)
	a := newApp(t)
	keys := open(t, a)
	require.NoError(t, b.keys.Process.Signal(syscall.SIGSTOP))
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err := a.Open(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "can't be reached from here: it doesn't answer")
	first := newApp(t)
	_, err = first.Open(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, b.keys.Process.Signal(syscall.SIGCONT))
	requireSame(t, keys, open(t, a))
}

// TestLateWrite has a write that was given up happen later. Nobody may make a key
// meanwhile, which it would overwrite.
func TestLateWrite(t *testing.T) {
	b := newSecretService(t)
	a := newApp(t)
	stopped := make(chan struct{})
	slow := hooked{before: func() {
		b.keys.Process.Signal(syscall.SIGSTOP)
		close(stopped)
	}}
	short, cancel := context.WithCancel(ctx)
	go func() {
		<-stopped
		time.Sleep(20 * time.Millisecond)
		cancel()
	}()
	_, err := a.update(short, slow, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.NotContains(t, files(t, a), "where")

	second, cancel2 := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel2()
	_, err = a.Open(second)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "can't lock the directory")

	require.NoError(t, b.keys.Process.Signal(syscall.SIGCONT))
	keys := open(t, a)
	l, err := decodeKeys(entry(t, a))
	require.NoError(t, err)
	assert.Equal(t, keys.Fingerprints(), l.fingerprints())
}

// prompter takes the place of the window that asks the user, and never answers.
type prompter struct{ asked chan struct{} }

func (p prompter) BeginPrompting(dbus.ObjectPath) *dbus.Error {
	close(p.asked)
	return nil
}
func (prompter) StopPrompting(dbus.ObjectPath) *dbus.Error { return nil }

// TestBusEndsWhileTheUserIsAsked is where go-keyring panics.
func TestBusEndsWhileTheUserIsAsked(t *testing.T) {
	b := newSecretService(t)
	a := newApp(t)
	open(t, a)
	b.lock()
	conn, err := dbus.SessionBusPrivateNoAutoStartup()
	require.NoError(t, err)
	require.NoError(t, conn.Auth(nil))
	require.NoError(t, conn.Hello())
	defer conn.Close()
	p := prompter{make(chan struct{})}
	require.NoError(t, conn.Export(p, "/org/gnome/keyring/Prompter", "org.gnome.keyring.internal.Prompter"))
	_, err = conn.RequestName("org.gnome.keyring.SystemPrompter", 0)
	require.NoError(t, err)

	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := a.Open(ctx)
		result <- err
	}()
	select {
	case <-p.asked:
	case err := <-result:
		t.Fatal("the user wasn't asked: ", err)
	}
	_, err = a.Open(short)
	require.ErrorIs(t, err, context.DeadlineExceeded, "the question wasn't pending")
	kill(b.bus)
	err = <-result
	require.Error(t, err)
	assert.True(t, strings.Contains(err.Error(), "the connection to the keyring ended"), err)
}

func TestProcessesMakeOneKeyInTheKeyring(t *testing.T) {
	newSecretService(t)
	for range 3 {
		testFirstKey(t, newApp(t))
	}
}

func TestKilledProcessesLoseNoKeyInTheKeyring(t *testing.T) {
	newSecretService(t)
	testKill(t, newApp(t))
}
