package storagetest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
)

// brief quotes a key or value for a message, and shortens it.
func brief(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%q… (%d bytes)", s[:64], len(s))
	}
	return fmt.Sprintf("%q", s)
}

var recordChecks = []check{
	{"get returns ErrNotFound for a key without a record", func(t *testing.T, s storage.Store) {
		wantAbsent(t, s, "key")
		v := put(t, s, "key", "value", "")
		wantAbsent(t, s, "other")
		remove(t, s, "key", v)
		wantAbsent(t, s, "key")
	}},

	{"put with the version empty creates if there is no record", func(t *testing.T, s storage.Store) {
		v := put(t, s, "key", "first", "")
		want(t, s, "key", "first", v)
		wantConflict(t, s, "key", "")
		want(t, s, "key", "first", v)
		remove(t, s, "key", v)
		want(t, s, "key", "second", put(t, s, "key", "second", ""))
	}},

	{"put replaces only the version it names", func(t *testing.T, s storage.Store) {
		v1 := put(t, s, "key", "first", "")
		v2 := put(t, s, "key", "second", v1)
		want(t, s, "key", "second", v2)
		for _, old := range []storage.Version{v1, v2 + "0", "no such version"} {
			wantConflict(t, s, "key", old)
			want(t, s, "key", "second", v2)
		}
		want(t, s, "key", "third", put(t, s, "key", "third", v2))
	}},

	{"put of a version on an absent key is a conflict", func(t *testing.T, s storage.Store) {
		elsewhere := put(t, s, "other", "value", "")
		wantConflict(t, s, "key", elsewhere)
		wantConflict(t, s, "key", "no such version")
		v := put(t, s, "key", "value", "")
		remove(t, s, "key", v)
		wantConflict(t, s, "key", v)
		wantAbsent(t, s, "key")
		want(t, s, "other", "value", elsewhere)
	}},

	{"delete removes only the version it names", func(t *testing.T, s storage.Store) {
		v1 := put(t, s, "key", "first", "")
		beside := put(t, s, "beside", "stays", "")
		v2 := put(t, s, "key", "second", v1)
		wantConflict(t, s, "key", v1)
		wantConflict(t, s, "key", "")
		want(t, s, "key", "second", v2)
		remove(t, s, "key", v2)
		wantAbsent(t, s, "key")
		want(t, s, "beside", "stays", beside)
	}},

	{"delete of an absent key with the version empty does nothing", func(t *testing.T, s storage.Store) {
		remove(t, s, "key", "")
		wantAbsent(t, s, "key")
		v := put(t, s, "key", "value", "")
		remove(t, s, "key", v)
		remove(t, s, "key", "")
		remove(t, s, "key", "")
		wantAbsent(t, s, "key")
	}},

	{"values must not be aliased", func(t *testing.T, s storage.Store) {
		given := []byte("as it was given")
		v, err := s.Put(t.Context(), "key", given, "")
		if err != nil {
			t.Fatal(err)
		}
		clear(given)
		want(t, s, "key", "as it was given", v)

		got, _, err := s.Get(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		clear(got)
		want(t, s, "key", "as it was given", v)
		_ = append(got, "…"...) // into spare capacity, if there is any
		want(t, s, "key", "as it was given", v)
	}},

	{"an empty value is a record", func(t *testing.T, s storage.Store) {
		v := put(t, s, "key", "", "")
		want(t, s, "key", "", v)
		wantConflict(t, s, "key", "")
		v = put(t, s, "key", "full", v)
		v = put(t, s, "key", "", v)
		want(t, s, "key", "", v)
		v, err := s.Put(t.Context(), "key", nil, v)
		if err != nil {
			t.Fatalf("Put of a nil slice = %v", err)
		}
		want(t, s, "key", "", v)
		remove(t, s, "key", v)
		wantAbsent(t, s, "key")
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
			key := fmt.Sprint("key ", i)
			v := put(t, s, key, value, "")
			want(t, s, key, value, v)
			v = put(t, s, "same key", value, versionOf(t, s, "same key"))
			want(t, s, "same key", value, v)
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
		v := put(t, s, "key", "value", "")
		remove(t, s, "key", v)
		s = reopened(t, s)
		wantAbsent(t, s, "key")
		wantConflict(t, s, "key", v)
	}},
}

// versionOf returns the version to name in the next write of key.
func versionOf(t *testing.T, s storage.Store, key string) storage.Version {
	t.Helper()
	_, v, _ := s.Get(t.Context(), key)
	return v
}

var versionChecks = []check{
	{"a version must differ from every version before", func(t *testing.T, s storage.Store) {
		seen := newVersions()
		v := storage.Version("")
		for range 25 {
			v = put(t, s, "key", "the same value", v)
			seen.add(t, v)
		}
		put(t, s, "other", "the same value", "")
		seen.add(t, put(t, s, "key", "", v))
	}},

	{"a version must differ also across Delete", func(t *testing.T, s storage.Store) {
		seen := newVersions()
		for range 10 {
			v := put(t, s, "key", "the same value", "")
			seen.add(t, v)
			v = put(t, s, "key", "the same value", v)
			seen.add(t, v)
			remove(t, s, "key", v)
			wantConflict(t, s, "key", v)
		}
	}},

	{"a version must differ also across reopening", func(t *testing.T, s storage.Store) {
		seen := newVersions()
		v := put(t, s, "key", "the same value", "")
		seen.add(t, v)
		remove(t, s, "key", v)
		s = reopened(t, s)
		for range 3 {
			v := put(t, s, "key", "the same value", "")
			seen.add(t, v)
			remove(t, s, "key", v)
		}
	}},
}

// versions are those that one key had.
type versions map[storage.Version]bool

func newVersions() versions { return make(versions) }

func (seen versions) add(t *testing.T, v storage.Version) {
	t.Helper()
	if seen[v] {
		t.Fatalf("version %q was used before: someone who read it then would overwrite what was written since", v)
	}
	seen[v] = true
}
