package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotDir is returned by [MakeDir] for a path of something else.
var ErrNotDir = errors.New("there is a file of that name, not a directory")

// MakeDir is os.MkdirAll for mode 0700, with each new directory flushed into the one
// above it: a durable file in a directory that a power cut removes would be no use.
// What root makes belongs to the owner of the directory above it.
func MakeDir(name string) error {
	if info, err := os.Stat(name); err == nil {
		if !info.IsDir() {
			return ErrNotDir
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := checkLink(name); err != nil {
		return err
	}
	parent := filepath.Dir(name)
	if parent != name {
		if err := MakeDir(parent); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 {
		if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	} else {
		root, err := os.OpenRoot(parent)
		if err != nil {
			return err
		}
		defer root.Close()
		if err := Mkdir(root, filepath.Base(name)); err != nil {
			return err
		}
	}
	f, err := os.Open(parent)
	if err != nil {
		return nil // one may pass through directories that one may not read, and then not flush
	}
	defer f.Close()
	return SyncDir(f)
}

// checkLink returns an error if there is a link of that name, which leads nowhere, as
// the caller found.
func checkLink(name string) error {
	if link, err := os.Lstat(name); err == nil && link.Mode().Type() == fs.ModeSymlink {
		return fmt.Errorf("%s is a symbolic link to what doesn't exist", name)
	}
	return nil
}

// Mkdir makes a directory of mode 0700 if it isn't there. What root makes belongs to
// the owner of the directory above it.
func Mkdir(root *os.Root, name string) error {
	err := root.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	// By name, what somebody else has put in its place would be given away.
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return err
	}
	if info, err := root.Lstat(name); err == nil && info.IsDir() && os.SameFile(info, opened) {
		inherit(root, name, f)
	}
	return nil
}
