package keystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
)

// dir is a directory that this process has locked against the others.
type dir struct {
	path   string
	root   *os.Root
	unlock func()
}

const maxFile = 1 << 16 // far more than MaxKeys keys

// openDir opens and locks the directory at path, and creates it, and those above it,
// if it doesn't exist.
func openDir(ctx context.Context, path string) (*dir, error) {
	if err := safefile.MakeDir(path); err != nil {
		return nil, fmt.Errorf("keystore: can't make the directory %s: %w", path, err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("keystore: can't open the directory of the keys: %w", err)
	}
	d := &dir{path: path, root: root}
	if err := d.lock(ctx); err != nil {
		root.Close()
		return nil, err
	}
	// A process that was killed may have left a copy of the keys.
	for _, name := range []string{keysFile, markerFile} {
		root.Remove(name + safefile.Temporary)
	}
	return d, nil
}

func (d *dir) lock(ctx context.Context) error {
	info, err := d.root.Stat(".")
	if err != nil {
		return fmt.Errorf("keystore: can't open the directory of the keys: %w", err)
	}
	if err := safefile.Check(d.path, info, safefile.Secret); err != nil {
		return fmt.Errorf("keystore: the directory %w", err)
	}
	d.unlock, err = safefile.Lock(ctx, d.root, lockFile)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("keystore: can't lock the directory %s, as another process does, or a keyring hasn't answered this one yet: %w", d.path, err)
	}
	return fmt.Errorf("keystore: can't lock the directory %s: %w", d.path, err)
}

// close gives the lock up.
func (d *dir) close() {
	d.unlock()
	d.root.Close()
}

// read returns the text of a file, and false if there is none.
func (d *dir) read(name string) (text string, ok bool, err error) {
	b, err := safefile.Read(d.root, name, filepath.Join(d.path, name), maxFile, safefile.Secret)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("keystore: can't read a file of the keys: %w", err)
	}
	return string(b), true, nil
}

// write replaces a file. When it returns nil, the file outlasts a power cut.
func (d *dir) write(name, text string) error {
	if err := safefile.Replace(d.root, name, []byte(text), 0o600); err != nil {
		return fmt.Errorf("keystore: can't write %s: %w", filepath.Join(d.path, name), err)
	}
	return nil
}
