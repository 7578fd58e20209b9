package tokensourcetest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
)

const withoutChild = "OAUTH2KEEP_TOKENSOURCETEST_WITHOUT_CHILD"

const silentVariable = "OAUTH2KEEP_TOKENSOURCETEST_SILENT"

func TestMain(m *testing.M) {
	if os.Getenv(silentVariable) != "" {
		os.Exit(0)
	}
	if os.Getenv(withoutChild) == "" {
		Child(openDir)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait more than they compute
		panic(err)
	}
	os.Exit(m.Run())
}

// openDir opens a directory. What stands before it says how the store is broken.
func openDir(at string) (storage.Store, error) {
	how, path, _ := strings.Cut(at, ":")
	d, err := storage.OpenDir(path)
	if err != nil {
		return nil, err
	}
	switch how {
	case "blind":
		return &blind{Store: d}, nil
	case "panic":
		panic("the driver is broken")
	}
	return d, nil
}

// blind is a store that doesn't compare before it swaps. As a Dir it would be spared
// that by its locks, so it has none.
type blind struct{ storage.Store }

func (b *blind) Put(ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
	for {
		v, err := b.Store.Put(ctx, key, value, old)
		if !errors.Is(err, storage.ErrConflict) {
			return v, err
		}
		if _, old, err = b.Get(ctx, key); err != nil {
			return "", err
		}
	}
}

func TestSuiteSeesABlindStore(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds; run without -short")
	}
	if out, ok := again(t, "^TestBlindStore$/^undisturbed$", blindVariable+"=yes"); assert.False(t, ok, out) {
		assert.Contains(t, out, "some processes refreshed the same token")
	}
}

const blindVariable = "OAUTH2KEEP_TOKENSOURCETEST_BLIND"

// TestBlindStore runs in a process that TestSuiteSeesABlindStore starts.
func TestBlindStore(t *testing.T) {
	if os.Getenv(blindVariable) == "" {
		t.Skip("a store that is to fail")
	}
	Run(t, func(t *testing.T) string { return "blind:" + t.TempDir() }, Size{Expiries: 8, TokenLife: 2 * time.Second})
}

// TestMildAdversitiesPass shows that adverse scenarios can be passed: they are those of
// Run, but shorter than a lease.
func TestMildAdversitiesPass(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds; run without -short")
	}
	for _, a := range adversities {
		a.connections = min(a.connections, 40)
		for i, d := range a.answers {
			a.answers = slices.Clone(a.answers)
			a.answers[i] = d / 8
		}
		for i, d := range a.hangs {
			a.hangs[i] = d / 8
		}
		a.valid /= 8
		if change := a.job; change != nil {
			a.job = func(j *job, i int) {
				change(j, i)
				j.Locks = a.locks
				for i := range j.Latency {
					j.Latency[i] /= 8
				}
			}
		}
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			a.run(t, ":"+t.TempDir())
		})
	}
}

func TestRunWithoutChild(t *testing.T) {
	if os.Getenv(withoutChild) != "" {
		Run(t, (*testing.T).TempDir, Size{})
		return
	}
	if out, ok := again(t, "^TestRunWithoutChild$", withoutChild+"=yes"); assert.False(t, ok, out) {
		assert.Contains(t, out, "call tokensourcetest.Child in TestMain")
	}
}

// again runs a test in another process.
func again(t *testing.T, run string, env ...string) (out string, ok bool) {
	out, err := testenv.RunTests(t, []string{"-test.run=" + run, "-test.v", "-test.timeout=2m"}, env...)
	return out, err == nil
}

func TestProcessesTellWhatIsWrong(t *testing.T) {
	t.Parallel()
	key := storage.NewKey()
	for name, tt := range map[string]struct {
		job  job
		want string
	}{
		"no keys":     {job{At: ":" + t.TempDir()}, "the job has no keys"},
		"a bad key":   {job{At: ":" + t.TempDir(), Keys: [][]byte{key[:3]}}, "the primary key has 3 bytes"},
		"no store":    {job{At: ":", Keys: [][]byte{key}}, "can't open the store"},
		"a bad store": {job{At: "panic:" + t.TempDir(), Keys: [][]byte{key}}, "panic: the driver is broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := tt.job.start(t)
			_, err := p.report() // it ends by itself: its standard input is still open
			assert.True(t, p.over())
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			assert.ErrorContains(t, err, tt.want)
		})
	}
	t.Run("no job", func(t *testing.T) {
		p := process{testenv.StartProcess(t, variable+"={")}
		assert.ErrorContains(t, p.Wait(), "tokensourcetest: unexpected end of JSON input")
	})
	t.Run("no report", func(t *testing.T) {
		p := process{testenv.StartProcess(t, silentVariable+"=yes")}
		_, err := p.report()
		assert.ErrorContains(t, err, "a process made no report")
	})
}

func TestAProcessEndsWithItsParent(t *testing.T) {
	t.Parallel()
	j := job{At: ":" + t.TempDir(), Keys: [][]byte{storage.NewKey()}, TokenURL: "http://127.0.0.1:1", APIURL: "http://127.0.0.1:1", Goroutines: 2, Connections: 1}
	p := j.start(t)
	time.Sleep(30 * time.Millisecond)
	assert.False(t, p.over())
	r, err := p.finish() // closes its standard input, as the death of the parent does
	require.NoError(t, err)
	assert.Equal(t, r.Calls, r.LoginRequired, "there are no connections")
}

func TestReportsAddUp(t *testing.T) {
	var sum report
	for _, text := range []string{
		`{"Calls":1}`,
		`{"Calls":2,"Failed":3,"LoginRequired":4,"Late":6,"Unopened":5,"First":"a"}`,
		`{"Failed":1,"First":"b"}`,
	} {
		var r report
		require.NoError(t, json.Unmarshal([]byte(text), &r))
		sum.add(r)
	}
	assert.Equal(t, report{Calls: 3, Failed: 4, LoginRequired: 4, Late: 6, Unopened: 5, First: "a"}, sum)
}

func TestSizeHasDefaults(t *testing.T) {
	assert.Equal(t, Size{4, 16, 8, *expiries, 3 * time.Second}, Size{}.orDefault())
	assert.Equal(t, Size{1, 2, 3, 4, 5 * time.Second}, Size{1, 2, 3, 4, 5*time.Second + 1}.orDefault())
}

func TestRefusalsAreExcusedByAStall(t *testing.T) {
	begin := time.Now()
	refused := func(connection int, start, end time.Duration) refusal {
		return refusal{connection, begin.Add(start), begin.Add(end)}
	}
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		all          []refusal
		late, failed int64
	}{
		"none":                     {},
		"quick":                    {[]refusal{refused(1, 0, 10*ms)}, 0, 1},
		"slow":                     {[]refusal{refused(1, 0, 700*ms)}, 1, 0},
		"quick after slow":         {[]refusal{refused(1, 0, 700*ms), refused(1, 800*ms, 810*ms)}, 2, 0},
		"quick during slow":        {[]refusal{refused(1, 600*ms, 610*ms), refused(1, 0, 700*ms)}, 2, 0},
		"quick before slow":        {[]refusal{refused(1, 0, 10*ms), refused(1, 20*ms, 700*ms)}, 1, 1},
		"quick with another's":     {[]refusal{refused(1, 0, 700*ms), refused(2, 800*ms, 810*ms)}, 1, 1},
		"quick with a later token": {[]refusal{refused(1, 0, 700*ms), refused(1, 3800*ms, 3810*ms)}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			late, failed := (&refusals{all: tt.all}).judge(3 * time.Second)
			assert.Equal(t, tt.late, late, "late")
			assert.Equal(t, tt.failed, failed, "failed")
		})
	}
}
