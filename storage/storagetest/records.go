package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
)

// brief quotes a name or value for a message, and shortens it.
func brief(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%q… (%d bytes)", s[:64], len(s))
	}
	return fmt.Sprintf("%q", s)
}

var recordChecks = []check{
	{"get returns ErrNotFound for a name without a record", func(t *testing.T, s storage.Store) {
		wantAbsent(t, s, "name")
		v := put(t, s, "name", "value", "")
		wantAbsent(t, s, "other")
		remove(t, s, "name", v)
		wantAbsent(t, s, "name")
	}},

	{"put with the version empty creates if there is no record", func(t *testing.T, s storage.Store) {
		v := put(t, s, "name", "first", "")
		want(t, s, "name", "first", v)
		wantConflict(t, s, "name", "")
		want(t, s, "name", "first", v)
		remove(t, s, "name", v)
		want(t, s, "name", "second", put(t, s, "name", "second", ""))
	}},

	{"put replaces only the version it names", func(t *testing.T, s storage.Store) {
		v1 := put(t, s, "name", "first", "")
		v2 := put(t, s, "name", "second", v1)
		want(t, s, "name", "second", v2)
		elsewhere := put(t, s, "other", "value", "")
		for _, old := range []storage.Version{v1, v2 + "0", "no such version", elsewhere} {
			wantConflict(t, s, "name", old)
			want(t, s, "name", "second", v2)
		}
		want(t, s, "name", "third", put(t, s, "name", "third", v2))
	}},

	{"put of a version on an absent name is a conflict", func(t *testing.T, s storage.Store) {
		elsewhere := put(t, s, "other", "value", "")
		wantConflict(t, s, "name", elsewhere)
		wantConflict(t, s, "name", "no such version")
		v := put(t, s, "name", "value", "")
		remove(t, s, "name", v)
		wantConflict(t, s, "name", v)
		wantAbsent(t, s, "name")
		want(t, s, "other", "value", elsewhere)
	}},

	{"delete removes only the version it names", func(t *testing.T, s storage.Store) {
		v1 := put(t, s, "name", "first", "")
		beside := put(t, s, "beside", "stays", "")
		v2 := put(t, s, "name", "second", v1)
		wantConflict(t, s, "name", v1)
		wantConflict(t, s, "name", "")
		want(t, s, "name", "second", v2)
		remove(t, s, "name", v2)
		wantAbsent(t, s, "name")
		want(t, s, "beside", "stays", beside)
	}},

	{"delete of an absent name with the version empty does nothing", func(t *testing.T, s storage.Store) {
		remove(t, s, "name", "")
		wantAbsent(t, s, "name")
		v := put(t, s, "name", "value", "")
		remove(t, s, "name", v)
		remove(t, s, "name", "")
		remove(t, s, "name", "")
		wantAbsent(t, s, "name")
	}},

	{"values must not be aliased", func(t *testing.T, s storage.Store) {
		given := []byte("as it was given")
		v, err := s.Put(t.Context(), "name", given, "")
		if err != nil {
			t.Fatal(err)
		}
		clear(given)
		want(t, s, "name", "as it was given", v)

		got, _, err := s.Get(t.Context(), "name")
		if err != nil {
			t.Fatal(err)
		}
		clear(got)
		want(t, s, "name", "as it was given", v)
		_ = append(got, "…"...) // into spare capacity, if there is any
		want(t, s, "name", "as it was given", v)
	}},

	{"an empty value is a record", func(t *testing.T, s storage.Store) {
		v := put(t, s, "name", "", "")
		want(t, s, "name", "", v)
		wantConflict(t, s, "name", "")
		v = put(t, s, "name", "full", v)
		v = put(t, s, "name", "", v)
		want(t, s, "name", "", v)
		v, err := s.Put(t.Context(), "name", nil, v)
		if err != nil {
			t.Fatalf("Put of a nil slice = %v", err)
		}
		want(t, s, "name", "", v)
		remove(t, s, "name", v)
		wantAbsent(t, s, "name")
	}},

	{"values are any bytes of any length", func(t *testing.T, s storage.Store) {
		var all [256]byte
		for i := range all {
			all[i] = byte(i)
		}
		for i, value := range []string{
			string(all[:]),
			"\x00",
			"\r\n",
			"\xff\xfe not UTF-8 \xc3",
			" white space ",
			string(bytes.Repeat(all[:], 1<<20/len(all))), // 1 MiB
			"short again",
		} {
			name := fmt.Sprint("name ", i)
			v := put(t, s, name, value, "")
			want(t, s, name, value, v)
			v = put(t, s, "same name", value, versionOf(t, s, "same name"))
			want(t, s, "same name", value, v)
		}
	}},

	{"an implementation must take values of up to 1 MiB, and what sealing adds to them", func(t *testing.T, s storage.Store) {
		for _, n := range []int{1 << 20, 1<<20 + 1<<10} {
			if _, sealed := s.(interface {
				Rekey(context.Context) (storage.RekeyReport, error)
			}); sealed && n > 1<<20 {
				break // it adds that itself
			}
			value := strings.Repeat("v", n)
			want(t, s, "name", value, put(t, s, "name", value, versionOf(t, s, "name")))
		}
	}},

	{"put on nil error means that the value is durable", func(t *testing.T, s storage.Store) {
		kept := put(t, s, "kept", "value", "")
		replaced := put(t, s, "replaced", "new", put(t, s, "replaced", "old", ""))
		empty := put(t, s, "empty", "", "")
		large := put(t, s, "large", strings.Repeat("x", 1<<20), "")

		s = reopened(t, s)
		want(t, s, "kept", "value", kept)
		want(t, s, "replaced", "new", replaced)
		want(t, s, "empty", "", empty)
		want(t, s, "large", strings.Repeat("x", 1<<20), large)
		wantConflict(t, s, "kept", "")
		want(t, s, "kept", "newer", put(t, s, "kept", "newer", kept))
	}},

	{"delete on nil error is as durable", func(t *testing.T, s storage.Store) {
		v := put(t, s, "name", "value", "")
		remove(t, s, "name", v)
		s = reopened(t, s)
		wantAbsent(t, s, "name")
		wantConflict(t, s, "name", v)
	}},
}

// versionOf returns the version to name in the next write of name.
func versionOf(t *testing.T, s storage.Store, name string) storage.Version {
	t.Helper()
	_, v, _ := s.Get(t.Context(), name)
	return v
}

var versionChecks = []check{
	{"a version must differ from every version before", func(t *testing.T, s storage.Store) {
		seen := newVersions()
		v := storage.Version("")
		for range 25 {
			v = put(t, s, "name", "the same value", v)
			seen.add(t, v)
		}
		put(t, s, "other", "the same value", "")
		seen.add(t, put(t, s, "name", "", v))
	}},

	{"a version must differ also across Delete", func(t *testing.T, s storage.Store) {
		seen := newVersions()
		for range 10 {
			v1 := put(t, s, "name", "the same value", "")
			seen.add(t, v1)
			v2 := put(t, s, "name", "the same value", v1)
			seen.add(t, v2)
			remove(t, s, "name", v2)
			wantConflict(t, s, "name", v2)
			v3 := put(t, s, "name", "the same value", "")
			seen.add(t, v3)
			wantConflict(t, s, "name", v2)
			want(t, s, "name", "the same value", v3)
			remove(t, s, "name", v3)
		}
	}},

	{"a version must differ also across reopening", func(t *testing.T, s storage.Store) {
		seen := newVersions()
		v := put(t, s, "name", "the same value", "")
		seen.add(t, v)
		remove(t, s, "name", v)
		s = reopened(t, s)
		for range 3 {
			v := put(t, s, "name", "the same value", "")
			seen.add(t, v)
			remove(t, s, "name", v)
		}
	}},
}

// versions are those that one name had.
type versions map[storage.Version]bool

func newVersions() versions { return make(versions) }

func (seen versions) add(t *testing.T, v storage.Version) {
	t.Helper()
	if seen[v] {
		t.Fatalf("version %q was used before: someone who read it then would overwrite what was written since", v)
	}
	seen[v] = true
}
