package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
)

// The layout of a record file is described in doc.go.
const (
	fileMagic   = "o2kf"
	fileFormat  = 1
	versionSize = 16
	// fileHeader is magic, format, version and length of the name.
	fileHeader = len(fileMagic) + 1 + versionSize + 4
	maxFile    = int64(fileHeader + maxName + maxSealed + sha256.Size)
)

// fileRecord is what a record file holds.
type fileRecord struct {
	name    string
	version [versionSize]byte
	value   []byte
}

// fileName returns the name of the file that holds the record under name. A digest is
// the same on file systems that fold case or normalize Unicode, is never too long,
// and holds nothing that could be taken for a path.
func fileName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// isFileName reports whether a directory entry is named like a record file.
func isFileName(file string) bool {
	if len(file) != 2*sha256.Size {
		return false
	}
	for _, c := range []byte(file) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isTempName reports whether a file is called as write calls its temporary files.
func isTempName(file string) bool {
	const n = 2 * sha256.Size
	return len(file) >= n && isFileName(file[:n]) && (len(file) == n || file[n] == '-')
}

// Version returns the version as the store's callers see it.
func (r fileRecord) Version() Version {
	return Version(hex.EncodeToString(r.version[:]))
}

func (r fileRecord) encode() []byte {
	b := make([]byte, 0, fileHeader+len(r.name)+len(r.value)+sha256.Size)
	b = append(b, fileMagic...)
	b = append(b, fileFormat)
	b = append(b, r.version[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.name)))
	b = append(b, r.name...)
	b = append(b, r.value...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// Reasons why a file isn't a record.
var (
	errFileForeign = errors.New("it doesn't begin like a record")
	errFileFormat  = errors.New("its format is unknown: it may come from a newer version of oauth2keep")
	errFileSum     = errors.New("it is cut short or changed: its checksum is wrong")
	errFileLong    = errors.New("it is longer than any record")
	errFileMoved   = errors.New("its name isn't that of the record that it holds: it was renamed or copied")
)

// decodeFile is the inverse of encode. The value is a slice of b.
func decodeFile(b []byte) (fileRecord, error) {
	var r fileRecord
	nameLen, err := r.decodeHeader(b, int64(len(b)))
	if err != nil {
		return fileRecord{}, err
	}
	end := len(b) - sha256.Size
	sum := sha256.Sum256(b[:end])
	if !bytes.Equal(sum[:], b[end:]) {
		return fileRecord{}, errFileSum
	}
	r.name = string(b[fileHeader : fileHeader+nameLen])
	r.value = b[fileHeader+nameLen : end]
	return r, nil
}

// decodeName reads no more of a file, which is size bytes long, than the record's
// name. It can't verify the checksum, so its caller has to compare that with the
// file's.
func decodeName(f io.Reader, size int64) (string, error) {
	header := make([]byte, min(int64(fileHeader), size))
	if _, err := io.ReadFull(f, header); err != nil {
		return "", err
	}
	var r fileRecord
	n, err := r.decodeHeader(header, size)
	if err != nil {
		return "", err
	}
	name := make([]byte, n)
	if _, err := io.ReadFull(f, name); err != nil {
		return "", err
	}
	return string(name), nil
}

// decodeHeader returns the length of the name, which is never more than a file of
// that size can hold.
func (r *fileRecord) decodeHeader(b []byte, size int64) (nameLen int, err error) {
	if len(b) <= len(fileMagic) || string(b[:len(fileMagic)]) != fileMagic {
		return 0, errFileForeign
	}
	if b[len(fileMagic)] != fileFormat {
		return 0, errFileFormat
	}
	room := size - int64(fileHeader+sha256.Size)
	if room < 0 {
		return 0, errFileSum
	}
	b = b[len(fileMagic)+1:]
	copy(r.version[:], b)
	n := binary.BigEndian.Uint32(b[versionSize:])
	if int64(n) > room {
		return 0, errFileSum
	}
	return int(n), nil
}
