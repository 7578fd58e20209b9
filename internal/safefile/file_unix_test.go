//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package safefile

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOpenTakesNothingButFiles would hang on the pipe.
func TestOpenTakesNothingButFiles(t *testing.T) {
	root, path := openRoot(t)
	at := func(name string) string { return filepath.Join(path, name) }
	require.NoError(t, os.WriteFile(at("file"), nil, 0o600))
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o600))
	require.NoError(t, os.Mkdir(at("directory"), 0o700))
	require.NoError(t, os.Symlink("file", at("link")))
	require.NoError(t, os.Symlink("nothing", at("dangling")))
	require.NoError(t, os.Symlink("pipe", at("link to a pipe")))
	for name, want := range map[string]string{
		"pipe": "it is a named pipe and not a file", "directory": "it is a directory and not a file",
		"link": "it is a symbolic link and not a file", "dangling": "it is a symbolic link and not a file",
		"link to a pipe": "it is a symbolic link and not a file",
	} {
		for _, flag := range []int{os.O_RDONLY, os.O_RDWR} {
			_, _, err := Open(root, name, flag)
			require.EqualError(t, err, want)
			require.ErrorIs(t, err, ErrNotFile)
		}
		_, err := OpenLock(root, name)
		require.ErrorIs(t, err, ErrNotFile, name)
		_, err = Create(root, name)
		require.ErrorIs(t, err, os.ErrExist, name)
		require.ErrorIs(t, Replace(root, name, nil, 0), ErrNotFile)
		require.ErrorIs(t, WriteNew(at(name), nil), os.ErrExist)
	}
	for _, name := range []string{"pipe", "directory", "link to a pipe", "/dev/zero"} {
		if name[0] != '/' {
			name = at(name)
		}
		_, err := Read(Paths, name, name, 100, Secret)
		require.ErrorIs(t, err, ErrNotFile)
		require.ErrorContains(t, err, name+" can't be read: it is ")
	}
	f, _, err := Open(Paths, at("link"), os.O_RDONLY)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// late is an Opener in whose directory a file is replaced by a pipe between a look at it
// and its opening.
type late struct{ *os.Root }

func (l late) Lstat(string) (os.FileInfo, error) { return l.Root.Lstat("file") }

func TestOpenOfWhatBecomesAPipe(t *testing.T) {
	root, path := openRoot(t)
	require.NoError(t, os.WriteFile(filepath.Join(path, "file"), nil, 0o600))
	require.NoError(t, syscall.Mkfifo(filepath.Join(path, "pipe"), 0o600))
	_, _, err := Open(late{root}, "pipe", os.O_RDONLY)
	require.ErrorIs(t, err, ErrNotFile)
}

// TestNewFilesHaveTheirMode whatever the umask. It must not run in parallel to others.
func TestNewFilesHaveTheirMode(t *testing.T) {
	root, path := openRoot(t)
	for _, umask := range []int{0, 0o077, 0o777} {
		before := syscall.Umask(umask)
		err := WriteNew(filepath.Join(path, "new"), nil)
		err2 := Replace(root, "replaced", nil, 0)
		syscall.Umask(before)
		require.NoError(t, err)
		require.NoError(t, err2)
		for _, name := range []string{"new", "replaced"} {
			info, err := root.Stat(name)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode(), "umask %o", umask)
			require.NoError(t, root.Remove(name))
		}
	}
}

func TestMakeFile(t *testing.T) {
	path := t.TempDir()
	file := filepath.Join(path, "file")
	require.NoError(t, MakeFile(file))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, os.WriteFile(file, []byte("content"), 0))
	require.NoError(t, os.Chmod(file, 0o640))
	require.NoError(t, MakeFile(file))
	info, err = os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())
	require.EqualValues(t, len("content"), info.Size())
	require.ErrorIs(t, MakeFile(filepath.Join(path, "missing", "file")), os.ErrNotExist)
}

func TestNothingIsMadeThroughALinkToNothing(t *testing.T) {
	path := t.TempDir()
	link := filepath.Join(path, "link")
	require.NoError(t, os.Symlink("nothing", link))
	require.EqualError(t, MakeFile(link), link+" is a symbolic link to what doesn't exist")
	for _, name := range []string{link, filepath.Join(link, "below")} {
		require.EqualError(t, MakeDir(name), link+" is a symbolic link to what doesn't exist")
	}
	require.NoError(t, os.Mkdir(filepath.Join(path, "nothing"), 0o700))
	require.NoError(t, MakeDir(filepath.Join(link, "below")))
}

func TestLock(t *testing.T) {
	root, _ := openRoot(t)
	unlock, err := Lock(t.Context(), root, "lock")
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = Lock(short, root, "lock")
	require.Equal(t, context.DeadlineExceeded, err)
	unlock()
	unlock, err = Lock(t.Context(), root, "lock")
	require.NoError(t, err)
	unlock()
}

func TestSyncDir(t *testing.T) {
	r, w, err := os.Pipe() // which can't be flushed, like directories in some file systems
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, SyncDir(r))
	require.NoError(t, r.Close())
	require.ErrorIs(t, SyncDir(r), os.ErrClosed)
}

// TestRootKeepsOwners: what root makes in a user's directory is the user's.
func TestRootKeepsOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	root, path := openRoot(t)
	owner := func(name string) [2]uint32 {
		info, err := root.Lstat(name)
		require.NoError(t, err)
		s := info.Sys().(*syscall.Stat_t)
		return [2]uint32{s.Uid, s.Gid}
	}
	require.NoError(t, Replace(root, "kept", nil, 0))
	require.Equal(t, [2]uint32{0, 0}, owner("kept"))
	require.NoError(t, root.Chown("kept", 2345, 6789))
	require.NoError(t, os.Chown(path, 1234, 5678))

	require.NoError(t, MakeDir(filepath.Join(path, "above", "below")))
	require.NoError(t, Mkdir(root, "directory"))
	f, err := Create(root, "directory/file")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	f, err = OpenLock(root, "lock")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, Replace(root, "replaced", nil, 0))
	require.NoError(t, WriteNew(filepath.Join(path, "new"), nil))
	require.NoError(t, MakeFile(filepath.Join(path, "made")))
	for _, name := range []string{"above", "above/below", "directory", "directory/file", "lock", "replaced", "new", "made"} {
		require.Equal(t, [2]uint32{1234, 5678}, owner(name), name)
	}
	require.NoError(t, Replace(root, "kept", []byte("new"), 0))
	require.Equal(t, [2]uint32{2345, 6789}, owner("kept"))

	// What somebody put in the place of a directory that root makes isn't given away.
	require.NoError(t, os.WriteFile(filepath.Join(path, "roots"), nil, 0o600))
	require.NoError(t, root.Symlink("roots", "trap"))
	require.NoError(t, Mkdir(root, "trap"))
	require.Equal(t, [2]uint32{0, 0}, owner("roots"))
}
