package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// few is how many records a test has: two whole pages, and so a third that is empty.
const few = 2000

var soak = flag.Bool("soak", false, "also measure PostgreSQL, and on a disk")

func TestSQLite(t *testing.T) { testEngine(t, options{engine: "sqlite"}) }

func TestPostgreSQL(t *testing.T) {
	if !*soak {
		t.Skip("takes 20 s, or more on a slow disk; run with -soak")
	}
	testEngine(t, options{engine: "postgres", dsn: os.Getenv("OAUTH2KEEP_POSTGRES_DSN")})
}

// testEngine takes all measurements of few records. What each did is checked where it
// is taken; what it took isn't checked at all.
func testEngine(t *testing.T, o options) {
	t.Parallel()
	if testing.Short() {
		t.Skip("measures thousands of writes; run without -short")
	}
	o.n, o.dir = few, t.TempDir()
	if !*soak {
		o.dir = testenv.DirInMemory(t)
	} else if os.Geteuid() == 0 { // then the server runs as another user, and has to get there
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

	require.Len(t, r.jobs, len(steps))
	for i, j := range r.jobs {
		turns := few / pageSize
		if j.times > 0 {
			turns = j.times
		}
		assert.Equal(t, steps[i].String(), j.String())
		assert.GreaterOrEqual(t, len(j.turns), turns, j.String())
		assert.Positive(t, j.each(), j.String())
		assert.Positive(t, j.cpu, j.String())
		assert.Positive(t, j.heap[len(shares)-1], j.String())
		assert.Contains(t, out.String(), j.what)
	}

	left, err := os.ReadDir(o.dir)
	require.NoError(t, err)
	assert.Empty(t, left, "the data is removed")
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

// TestSideThatFailsEndsTheRace has one fail in its second turn, while the other waits for
// its own.
func TestSideThatFailsEndsTheRace(t *testing.T) {
	work := func(fails int) func(context.Context, *job) error {
		return func(ctx context.Context, j *job) error {
			for i := range 2 {
				if i == fails {
					return errors.New("broken")
				}
				j.add(ctx, 1)
			}
			return ctx.Err()
		}
	}
	var jobs []*job
	for _, fails := range []int{-1, 1} {
		jobs = append(jobs, newJob(step{"test", "side", "", 2, false, work(fails)}, place{}, 1, nil))
	}
	require.ErrorContains(t, race(t.Context(), jobs), "test side: broken")
	require.NoError(t, race(t.Context(), []*job{newJob(step{"test", "side", "", 2, false, work(-1)}, place{}, 1, nil)}))
	short := newJob(step{"test", "side", "", 3, false, work(-1)}, place{}, 1, nil)
	require.ErrorContains(t, race(t.Context(), []*job{short}), "2 records of 3")
}
