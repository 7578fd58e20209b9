package safefile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Create makes a file of mode 0600 that doesn't exist yet. What root makes belongs to
// the owner of the directory that it is in, as far as the file system knows owners.
func Create(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil && os.Geteuid() == 0 {
		inherit(root, name, f)
	}
	return f, err
}

// MakeFile makes an empty file, as Create does, if there is none. One that exists isn't
// opened.
func MakeFile(name string) error {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := checkLink(name); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := Create(root, filepath.Base(name))
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was first
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// inherit gives f, which has the name, to the owner of the directory that it is in.
func inherit(root *os.Root, name string, f *os.File) {
	if above, err := root.Stat(path.Dir(filepath.ToSlash(name))); err == nil {
		KeepOwner(f, above) // it is as good as root's own if this can't be
	}
}

// Fill writes the content of a new file, flushes and closes it.
func Fill(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Replace puts a file of mode perm, or of the mode that it had if perm is 0, in the
// place of another one, or of none. A file keeps its owner, and it is an error if
// this process can't see to that. When Replace returns nil, the file outlasts a power
// cut. The caller has to hold a lock that excludes others.
func Replace(root *os.Root, name string, content []byte, perm fs.FileMode) error {
	before, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		before = nil
	case err != nil:
		return err
	case !before.Mode().IsRegular():
		return notFile(before.Mode())
	}
	if perm == 0 {
		if perm = 0o600; before != nil {
			perm = before.Mode().Perm()
		}
	}
	temp := name + Temporary
	root.Remove(temp) // of a process that was killed
	err = func() error {
		f, err := Create(root, temp)
		if err != nil {
			return err
		}
		if before != nil {
			err = KeepOwner(f, before)
		}
		// After the owner was changed, as that may take bits of the mode away.
		if err := errors.Join(err, f.Chmod(perm)); err != nil {
			return errors.Join(err, f.Close())
		}
		// Before the rename: the name must never lead to half a file.
		if err := Fill(f, content); err != nil {
			return err
		}
		return root.Rename(temp, name)
	}()
	if err != nil {
		root.Remove(temp)
		return err
	}
	return syncRoot(root)
}

// WriteNew writes a file of mode 0600 that must not exist yet. It has its name when it
// is whole, or not at all. When WriteNew returns nil, the file outlasts a power cut.
func WriteNew(name string, content []byte) error {
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer root.Close()
	base := filepath.Base(name)
	temp := base + "-" + rand.Text() + Temporary
	defer root.Remove(temp)
	if err := writeNew(root, temp, content); err != nil {
		return err
	}
	// A link replaces nothing.
	if err := root.Link(temp, base); errors.Is(err, fs.ErrExist) {
		return err
	} else if err != nil { // as on FAT, which knows no links
		if err := writeNew(root, base, content); err != nil {
			return err
		}
	}
	return syncRoot(root)
}

func writeNew(root *os.Root, name string, content []byte) error {
	f, err := Create(root, name)
	if err != nil {
		return err
	}
	if err := f.Chmod(0o600); err != nil { // whatever the umask took away
		return errors.Join(err, f.Close(), root.Remove(name))
	}
	if err := Fill(f, content); err != nil {
		return errors.Join(err, root.Remove(name))
	}
	return nil
}

// syncRoot makes the renames in a directory last.
func syncRoot(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return SyncDir(dir)
}

// Temporary ends the name of what [Replace] writes, and renames when it is whole.
const Temporary = ".tmp"
