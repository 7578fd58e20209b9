package storagetest

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
)

// reopenedMemory is a store that claims to outlive its process, and does.
type reopenedMemory struct{ *storage.Memory }

func (m reopenedMemory) Reopen(*testing.T) storage.Store { return reopenedMemory{m.Memory} }

// sharedMemory is a store that claims to be shared by processes.
type sharedMemory struct{ *storage.Memory }

func (m sharedMemory) Share(*testing.T) storage.Store { return sharedMemory{m.Memory} }

func TestSoundStoresPass(t *testing.T) {
	for name, open := range map[string]func(*testing.T) storage.Store{
		"plain":    func(*testing.T) storage.Store { return new(storage.Memory) },
		"reopened": func(*testing.T) storage.Store { return reopenedMemory{new(storage.Memory)} },
		"shared":   func(*testing.T) storage.Store { return sharedMemory{new(storage.Memory)} },
		"served":   func(t *testing.T) storage.Store { return new(served).start(t, false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch {
			case !testing.Short() || name == "shared":
				Run(t, open)
			case name == "reopened":
				runOnly(t, "reopening", open)
				runOnly(t, "durable", open)
			default:
				t.Skip("takes long, and package storage runs the contract for Memory, too; run without -short")
			}
		})
	}
}

// runOnly runs the subtests that have a word in their names.
func runOnly(t *testing.T, word string, open func(t *testing.T) storage.Store) {
	for _, c := range slices.Concat(groups...) {
		if strings.Contains(c.name, word) {
			t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
		}
	}
}

// TestSuiteSeesEveryFault runs TestFaults in another process, and checks that for each
// store that is broken in one way the subtest which is about that fails.
func TestSuiteSeesEveryFault(t *testing.T) {
	t.Parallel()
	args := []string{"-test.run=^TestFaults$", "-test.v", "-test.parallel=32", "-test.timeout=1m"}
	if testing.Short() {
		args = append(args, "-test.short")
	} else {
		args = append(args, "-storagetest.cuts=100", "-storagetest.kills=2", "-storagetest.collisions=50")
	}
	out, err := testenv.RunTests(t, args, faultsVariable+"=yes", "TMPDIR="+t.TempDir())
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "all subtests passed:\n%s", out)
	require.NotContains(t, out, "panic:", "%s", out)
	for name, f := range faults {
		if testing.Short() && f.takesLong() {
			continue
		}
		failed := "--- FAIL: TestFaults/" + strings.ReplaceAll(name, " ", "_") + " ("
		assert.True(t, strings.Contains(out, failed), "%s: %q doesn't see it", name, f.subtest)
	}
}

const faultsVariable = "OAUTH2KEEP_STORAGETEST_FAULTS"

// TestFaults runs in a process that TestSuiteSeesEveryFault starts. Most faults are waited
// for; races come first and one after the other, with the processors to themselves.
func TestFaults(t *testing.T) {
	if os.Getenv(faultsVariable) == "" {
		t.Skip("runs in TestSuiteSeesEveryFault")
	}
	quick = time.Minute // what -storagetest.names is for is seen without it, on a busy machine too
	patience = time.Second / 2
	if testing.Short() {
		patience = time.Second / 10
	}
	for name, f := range faults {
		if testing.Short() && f.takesLong() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if f.subtest != oneStep && f.subtest != seesAll {
				t.Parallel()
			}
			open := f.serve
			if open == nil {
				open = func(*testing.T) storage.Store { return f.open() }
			}
			for _, c := range slices.Concat(groups...) {
				if c.name == f.subtest {
					c.run(t, open(t))
				}
			}
		})
	}
}

// sentences says which subtests check the sentences of the contract that say "must".
var sentences = map[string][]string{
	"An implementation must escape or hash names where its engine can't hold them, and must never join one to a path.": {
		"a name is any UTF-8 string"},
	"Values must not be aliased: an implementation keeps no reference to a slice that it was given, and returns one that the caller may change.": {
		"values must not be aliased"},
	"All methods must be safe for concurrent use, and every rule here holds between processes too, where the engine is shared by several.": {
		"all methods must be safe for concurrent use", "get sees a whole value while it is replaced"},
	"A method whose context is already done must return the context's error and change nothing.": {
		"a method whose context is done must return the context's error and change nothing",
		"a lock whose context is done must return the context's error", "after an error the walk ends"},
	"An implementation must take values of up to 1 MiB (1,048,576 bytes), and what sealing adds to them, up to 1 KiB.": {
		"an implementation must take values of up to 1 MiB, and what sealing adds to them"},
	"To be sure, the caller must write until a write returns nil.": nil, // a duty of the caller
	"It must see every write that was acknowledged before it was called.": {
		"get must see every write that was acknowledged before"},
	`An old version of "" means that there must be no record yet.`: {
		"put with the version empty creates if there is no record", "of several that create a record one must win"},
	"The comparison and the write must be one atomic step.": {
		"the comparison and the write must be one atomic step", "of several that replace or delete a version one must win"},
	"A version must differ from every version that the name had before, also across Delete.": {
		"a version must differ from every version before", "a version must differ also across Delete", "a version must differ also across reopening"},
	"The lock must be one that its holder can lose only by calling unlock or by dying, such as flock on a local disk.": nil, // see the package's comment
	"A lease, or a lock tied to a network session that can drop under a live holder, must not be offered as a Locker.": nil,
	"The caller must call unlock, which is safe to call more than once.": {
		"unlock releases the lock", "unlock is safe to call more than once"},
	"Locks of different names must not wait for each other, and a lock must not keep Get, Put or Delete from working.": {
		"locks of different names must not wait for each other", "a lock must not keep get, put or delete from working"},
}

// TestEverySentenceHasASubtest reads the contract, and fails if it was changed
// without the table above.
func TestEverySentenceHasASubtest(t *testing.T) {
	names := make(map[string]bool)
	for _, group := range groups {
		for _, c := range group {
			require.False(t, names[c.name], "two subtests are called %q", c.name)
			names[c.name] = true
		}
	}
	found := 0
	for _, sentence := range contract(t) {
		if !regexp.MustCompile(`\bmust\b`).MatchString(sentence) {
			continue
		}
		require.Contains(t, sentences, sentence, "no subtest is known for this sentence")
		found++
		for _, name := range sentences[sentence] {
			require.True(t, names[name], "there is no subtest %q", name)
		}
	}
	require.Equal(t, len(sentences), found, "sentences that the contract hasn't got any more")
	seen := make(map[string]bool)
	for name, f := range faults {
		require.True(t, names[f.subtest], "%s: there is no subtest %q", name, f.subtest)
		seen[f.subtest] = true
	}
	for name := range names {
		require.True(t, seen[name], "no fault shows that the subtest %q can fail", name)
	}
}

// contract returns the sentences of the comments on the three interfaces.
func contract(t *testing.T) (sentences []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "../store.go", nil, parser.ParseComments)
	require.NoError(t, err)
	var texts []string
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		texts = append(texts, gen.Doc.Text())
		if i, ok := gen.Specs[0].(*ast.TypeSpec).Type.(*ast.InterfaceType); ok {
			for _, method := range i.Methods.List {
				texts = append(texts, method.Doc.Text())
			}
		}
	}
	for _, text := range texts {
		for _, paragraph := range strings.Split(text, "\n\n") {
			paragraph = strings.Join(strings.Fields(paragraph), " ")
			sentences = append(sentences, regexp.MustCompile(`[^.]+\.`).FindAllString(paragraph, -1)...)
		}
	}
	for i := range sentences {
		sentences[i] = strings.TrimSpace(sentences[i])
	}
	return sentences
}

func TestOddKeysDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for _, name := range oddNames {
		require.False(t, seen[name], "%q is there twice", name)
		seen[name] = true
	}
	for _, name := range []string{"", "../../etc/passwd", "a/b", "a_b", "A", "a", ".", "..", "a ", "a.", "NUL", "\x00", "\u00e9", "e\u0301", strings.Repeat("k", 4096)} {
		require.True(t, seen[name], "%q is missing", name)
	}
}

func TestAmountIsWhatItsFlagSays(t *testing.T) {
	name := "test." + rand.Text() // runs may be more than one
	n := amount(name, "nothing", 3, 2)
	want := 3
	if testing.Short() {
		want = 2
	}
	require.Equal(t, want, n())
	require.NoError(t, flag.Set("storagetest."+name, "1000"))
	require.Equal(t, 1000, n())
}

// TestLedgerKnowsALateCreation: a creation in doubt may happen after the record, which
// another write created meanwhile, was deleted.
func TestLedgerKnowsALateCreation(t *testing.T) {
	m := new(storage.Memory)
	down := in(broken{put: func(*storage.Memory, context.Context, string, []byte, storage.Version) (storage.Version, error) {
		return "", errors.New("the connection was cut")
	}})()
	l := &ledger{name: "name"}
	require.NoError(t, l.write(t.Context(), down, "late"))
	for _, value := range []string{"value", ""} {
		require.NoError(t, l.write(t.Context(), m, value))
	}
	put(t, m, "name", "late", "")
	require.NoError(t, l.write(t.Context(), m, "a conflict, for a reason"))
	failed, lie := l.read(t.Context(), m)
	require.NoError(t, failed)
	require.NoError(t, lie)

	remove(t, m, "name", l.v)
	put(t, m, "name", "never written", "")
	_, lie = l.read(t.Context(), m)
	require.Error(t, lie)
}

// TestLedgerKnowsThatOnlyNilIsDurable: a write that failed may be seen, and be gone after
// a crash; one that was acknowledged may not.
func TestLedgerKnowsThatOnlyNilIsDurable(t *testing.T) {
	m := new(storage.Memory)
	unflushed := in(broken{put: func(_ *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
		return "", errors.New("no space left on device")
	}})().(broken)
	l := &ledger{name: "name"}
	require.NoError(t, l.write(t.Context(), m, "acknowledged"))
	acked := versionOf(t, m, "name")
	require.NoError(t, l.write(t.Context(), unflushed, "seen"))
	seen := put(t, m, "name", "seen", acked)
	for range 2 {
		failed, lie := l.read(t.Context(), m)
		require.NoError(t, errors.Join(failed, lie))
		require.Equal(t, seen, l.v)
	}

	crashed := &versioned{records: map[string]versionedRecord{"name": {value: "acknowledged", v: acked}}, next: number}
	require.NoError(t, l.write(t.Context(), crashed, "a conflict, for a reason"))
	failed, lie := l.read(t.Context(), crashed)
	require.NoError(t, errors.Join(failed, lie))
	require.NoError(t, l.write(t.Context(), crashed, "acknowledged again"))
	failed, lie = l.read(t.Context(), crashed)
	require.NoError(t, errors.Join(failed, lie))

	crashed.records["name"] = versionedRecord{value: "acknowledged", v: acked}
	_, lie = l.read(t.Context(), crashed)
	require.Error(t, lie, "what was acknowledged is gone")
}
