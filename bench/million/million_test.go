package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// few is how many records a test has: two whole pages, and so a third that is empty.
const few = 2000

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

func TestSQLite(t *testing.T) { testEngine(t, options{engine: "sqlite"}) }

func TestPostgreSQL(t *testing.T) {
	testEngine(t, options{engine: "postgres", dsn: os.Getenv("OAUTH2KEEP_POSTGRES_DSN")})
}

// testEngine takes all measurements of few records. What each did is checked where it
// is taken; what it took isn't checked at all.
func testEngine(t *testing.T, o options) {
	o.n, o.dir = few, t.TempDir()
	if os.Geteuid() == 0 { // then the server runs as another user, and has to get there
		var err error
		o.dir, err = os.MkdirTemp("", "million")
		require.NoError(t, err)
		require.NoError(t, os.Chmod(o.dir, 0o755))
		t.Cleanup(func() { os.RemoveAll(o.dir) })
	}
	var out bytes.Buffer
	r, err := run(t.Context(), o, &out)
	if errors.Is(err, errNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)

	assert.Len(t, r.results, len(steps))
	for _, s := range steps {
		got := r.results[s.String()]
		records, turns := few, few/pageSize
		if s.times > 0 {
			records, turns = s.times, s.times
		}
		assert.Equal(t, records, got.Records, s.String())
		assert.Len(t, got.Turns, turns, s.String())
		assert.Positive(t, sum(got.Turns), s.String())
		assert.Positive(t, got.Heap[len(shares)-1], s.String())
		assert.Contains(t, out.String(), s.what)
	}
	moved := r.results["rekey "+ours].Rekey
	require.NotNil(t, moved)
	assert.Equal(t, few, moved.Examined)
	assert.Equal(t, few, moved.Moved)
	assert.Equal(t, few, moved.ByKey[moved.Primary])

	left, err := os.ReadDir(o.dir)
	require.NoError(t, err)
	assert.Empty(t, left, "the data is removed")
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	ctx := context.Background()
	old, primary := storage.NewKey(), storage.NewKey()
	before, err := storage.NewKeyset(old)
	require.NoError(t, err)
	both, err := storage.NewKeyset(primary, old)
	require.NoError(t, err)
	after, err := storage.NewKeyset(primary)
	require.NoError(t, err)

	var made contents
	var rows []row
	for r, err := range records(ctx, 3, before, &made) {
		require.NoError(t, err)
		r.value = slices.Clone(r.value)
		rows = append(rows, r)
	}
	read := func(rows []row, keys storage.Sealer) (contents, error) {
		return inspect(ctx, func(yield func(row, error) bool) {
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
		}, keys)
	}
	assert.Equal(t, 3, made.Records)

	backwards := slices.Clone(rows)
	slices.Reverse(backwards)
	same, err := read(backwards, both)
	require.NoError(t, err)
	assert.Equal(t, made, same, "in another order they are the same")

	fewer, err := read(rows[1:], both)
	require.NoError(t, err)
	assert.NotEqual(t, made, fewer, "one is missing")

	other, err := read([]row{rows[0], rows[1], rows[1]}, both)
	require.NoError(t, err)
	assert.NotEqual(t, made, other, "one is there twice in place of another")

	_, err = read(rows, after)
	assert.ErrorIs(t, err, storage.ErrOpen, "one wasn't moved")

	moved := slices.Clone(rows)
	moved[0].key, moved[0].hash = rows[1].key, rows[1].hash
	_, err = read(moved, both)
	assert.ErrorIs(t, err, storage.ErrOpen, "one is in another's place")

	moved[0].hash = rows[2].hash
	_, err = read(moved, both)
	assert.ErrorContains(t, err, "another key's hash")
}

func TestOrderHasEachNumberOnce(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 1000, 1024} {
		got := slices.Sorted(order(n))
		assert.Len(t, got, n)
		for i, at := range got {
			assert.Equal(t, i, at)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := options{n: 1, engine: "sqlite", dir: t.TempDir()}
	for name, spoil := range map[string]func(*options){
		"no records":     func(o *options) { o.n = 0 },
		"unknown engine": func(o *options) { o.engine = "oracle" },
		"unknown phase":  func(o *options) { o.only = "open,shut" },
		"a DSN unasked":  func(o *options) { o.dsn = "postgres://" },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			spoil(&o)
			_, err := run(context.Background(), o, new(bytes.Buffer))
			assert.Error(t, err)
		})
	}
}

// TestChildThatFailsAtOnce has no place for the first child's profile: its error is
// told, and nothing waits for it.
func TestChildThatFailsAtOnce(t *testing.T) {
	o := options{n: 10, engine: "sqlite", only: "open", dir: t.TempDir(), profile: t.TempDir()}
	for _, s := range sidesOf("open") {
		name := strings.NewReplacer(" ", "", ",", "-").Replace("sqlite-" + s.String())
		require.NoError(t, os.Mkdir(filepath.Join(o.profile, name+".pprof"), 0o700))
	}
	_, err := run(t.Context(), o, io.Discard)
	require.ErrorContains(t, err, "is a directory")
}
