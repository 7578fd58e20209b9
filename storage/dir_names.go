package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
)

// Names implements [Lister]. It opens each record file, and holds 32 bytes of memory
// per record. Writers wait while it reads the directory, but not during the walk.
//
// A file that isn't usable doesn't hide the others: the error comes last, names
// the first such file and says how many there are.
func (d *Dir) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		files, err := d.files(ctx)
		if err != nil {
			yield("", err)
			return
		}
		var bad int
		var first error
		for _, sum := range files {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			file := hex.EncodeToString(sum[:])
			name, err := d.readName(file)
			switch {
			case errors.Is(err, fs.ErrNotExist): // deleted since
			case err != nil:
				if bad++; first == nil {
					first = err
				}
			case !yield(name, nil):
				return
			}
		}
		if bad > 0 {
			yield("", fmt.Errorf("%w (%d of %d files aren't usable)", first, bad, len(files)))
		}
	}
}

// files returns the names of all record files, decoded. It holds every writer's lock:
// what a file system lists of a name that is renamed over meanwhile is nowhere
// defined, and some leave it out.
func (d *Dir) files(ctx context.Context) (files [][sha256.Size]byte, err error) {
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	for i := range shards {
		unlock, err := d.acquire(ctx, shardLock(shards[i:]), shardPoll)
		if safefile.IsReadOnly(err) {
			continue // nobody ever wrote in this shard, and nobody can
		}
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	dir, err := d.root.Open(".") // of its own: two walks must not share a position
	if err != nil {
		return nil, dirError("list", d.path, err)
	}
	defer dir.Close()
	for {
		batch, err := dir.Readdirnames(1024)
		for _, file := range batch {
			if !isFileName(file) {
				continue
			}
			var sum [sha256.Size]byte
			hex.Decode(sum[:], []byte(file)) // can't fail: isFileName
			files = append(files, sum)
		}
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, dirError("list", d.path, err)
		}
	}
}

// readName returns the name in a record file. That of the file proves it, even
// though the checksum wasn't looked at.
func (d *Dir) readName(file string) (string, error) {
	f, size, err := d.open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	name, err := decodeName(f, size)
	if err == nil && fileName(name) != file {
		err = errFileMoved
	}
	if err != nil {
		return "", d.damaged(file, err)
	}
	return name, nil
}
