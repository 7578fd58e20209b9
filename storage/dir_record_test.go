package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// firstFile is a record file as the first version of this package wrote it: "sealed
// bytes" under "account 1". It must be readable for ever.
const (
	firstFile = "6f326b66" + "01" + // magic, format
		"66ea6aaa8638f44022cf289806426e50" + // version
		"00000009" + "6163636f756e742031" + // "account 1"
		"7365616c6564206279746573" + // "sealed bytes"
		"aef8c63be78407bc5d4cab914aebde0768d03cc9a73b106d2753c1091b42f86a" // checksum
	firstFileName = "6ab3311bfe7c52d93098e661558a14c2e56fc28db7923a7acd2b67b6a97be7eb"
)

func TestFileName(t *testing.T) {
	require.Equal(t, firstFileName, fileName("account 1"))
	require.True(t, isFileName(firstFileName))
	for _, name := range []string{
		"", ".", "..", "locks", "tmp", "README", firstFileName + "0", firstFileName[1:], strings.ToUpper(firstFileName),
		"." + firstFileName[1:], "g" + firstFileName[1:], firstFileName[1:] + "/", firstFileName[:60] + ".tmp",
	} {
		require.False(t, isFileName(name), name)
	}
}

func TestFileRecordRoundTrip(t *testing.T) {
	for _, name := range []string{"", "account 1", strings.Repeat("k", 5000), "\x00/.."} {
		for _, value := range []string{"", "v", strings.Repeat("v", 100_000)} {
			r := fileRecord{name: name, version: [16]byte{1, 2, 3}, value: []byte(value)}
			b := r.encode()
			got, err := decodeFile(b)
			require.NoError(t, err)
			require.Equal(t, name, got.name)
			require.Equal(t, value, string(got.value))
			require.Equal(t, Version("01020300000000000000000000000000"), got.Version())
			gotName, err := decodeName(bytes.NewReader(b), int64(len(b)))
			require.NoError(t, err)
			require.Equal(t, name, gotName)
		}
	}
}

func TestFileRecordOfTheFirstVersion(t *testing.T) {
	r, err := decodeFile(unhex(t, firstFile))
	require.NoError(t, err)
	require.Equal(t, "account 1", r.name)
	require.Equal(t, "sealed bytes", string(r.value))
	require.Equal(t, Version("66ea6aaa8638f44022cf289806426e50"), r.Version())
	require.Equal(t, unhex(t, firstFile), r.encode())
}

// fileSeeds are files that decodeFile accepts, and files that it refuses with the
// error that stands beside them.
func fileSeeds(t testing.TB) (whole [][]byte, broken map[string]error) {
	first := unhex(t, firstFile)
	for _, r := range []fileRecord{{}, {name: "k"}, {value: []byte("v")}, {name: strings.Repeat("k", 300), value: first}} {
		whole = append(whole, r.encode())
	}
	whole = append(whole, first)

	with := func(i int, b byte) string {
		s := bytes.Clone(first)
		s[i] = b
		return string(s)
	}
	// Its checksum is right, and its name longer than the file.
	long := bytes.Clone(first[:len(first)-sha256.Size])
	binary.BigEndian.PutUint32(long[21:], 22)
	sum := sha256.Sum256(long)
	longer := bytes.Clone(long)
	binary.BigEndian.PutUint32(longer[21:], 1<<32-1)
	sum2 := sha256.Sum256(longer)

	return whole, map[string]error{
		"":                                 errFileForeign,
		"o2kf":                             errFileForeign,
		"o2ks\x01":                         errFileForeign,
		`{"access_token":"…"}`:             errFileForeign,
		strings.Repeat("\x00", 100):        errFileForeign, // as after a crash on some file systems
		with(0, 'O'):                       errFileForeign,
		with(4, 2):                         errFileFormat,
		"o2kf\x01":                         errFileSum,
		string(first[:30]):                 errFileSum,
		string(first[:len(first)-1]):       errFileSum,
		string(first) + "\n":               errFileSum,
		with(5, 0):                         errFileSum,
		with(24, 8):                        errFileSum,
		with(30, 'A'):                      errFileSum,
		with(40, 'A'):                      errFileSum,
		with(len(first)-1, 0):              errFileSum,
		string(append(long, sum[:]...)):    errFileSum,
		string(append(longer, sum2[:]...)): errFileSum,
	}
}

func TestFileRecordRefuses(t *testing.T) {
	whole, broken := fileSeeds(t)
	require.Len(t, whole, 5)
	require.Len(t, broken, 18)
	for _, b := range whole {
		_, err := decodeFile(b)
		require.NoError(t, err)
	}
	for b, want := range broken {
		_, err := decodeFile([]byte(b))
		require.Equal(t, want, err, "%q", b)
	}
}

// FuzzFile: what decodes is what encode would have written, and reading the name
// alone comes to the same.
func FuzzFile(f *testing.F) {
	whole, broken := fileSeeds(f)
	for _, b := range whole {
		f.Add(b)
	}
	for b := range broken {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		name, nameErr := decodeName(bytes.NewReader(b), int64(len(b)))
		r, err := decodeFile(b)
		if err != nil {
			return
		}
		require.NoError(t, nameErr)
		require.Equal(t, r.name, name)
		require.True(t, bytes.Equal(b, r.encode()))
	})
}

// FuzzFileContent gives any content a right checksum, which the fuzzer can't guess.
func FuzzFileContent(f *testing.F) {
	whole, broken := fileSeeds(f)
	for _, b := range whole {
		f.Add(b[:len(b)-sha256.Size])
	}
	for b := range broken {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		b = append(bytes.Clone(b), sum[:]...)
		r, err := decodeFile(b)
		if err != nil {
			return
		}
		require.True(t, bytes.Equal(b, r.encode()))
	})
}
