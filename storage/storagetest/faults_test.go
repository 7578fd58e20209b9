package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"iter"
	"path"
	"runtime"
	"strings"
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
)

// fault is a broken store, and the subtest that must fail because of it.
type fault struct {
	subtest string
	open    func() storage.Store
	serve   func(t *testing.T) storage.Store // in place of open
}

const anyKey = "a key is any UTF-8 string"

var faults = map[string]fault{
	// What Get, Put and Delete do.
	"a missing record is empty": {subtest: "get returns ErrNotFound for a key without a record", open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, key string) ([]byte, storage.Version, error) {
			value, v, err := m.Get(ctx, key)
			if err == storage.ErrNotFound {
				err = nil
			}
			return value, v, err
		}})},
	"a missing record has a version": {subtest: "get returns ErrNotFound for a key without a record", open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, key string) ([]byte, storage.Version, error) {
			value, v, err := m.Get(ctx, key)
			if err == storage.ErrNotFound {
				v = "0"
			}
			return value, v, err
		}})},
	"creates over a record": {subtest: "put with the version empty creates if there is no record", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			if old == "" {
				_, old, _ = m.Get(ctx, key)
			}
			return m.Put(ctx, key, value, old)
		}})},
	"replaces any version": {subtest: "put replaces only the version it names", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			if old != "" {
				_, old, _ = m.Get(ctx, key)
			}
			return m.Put(ctx, key, value, old)
		}})},
	"compares versions by their beginning": {subtest: "put replaces only the version it names", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			if _, now, err := m.Get(ctx, key); err == nil && old != "" && strings.HasPrefix(string(old), string(now)) {
				old = now
			}
			return m.Put(ctx, key, value, old)
		}})},
	"replaces what isn't there": {subtest: "put of a version on an absent key is a conflict", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			if _, _, err := m.Get(ctx, key); err == storage.ErrNotFound {
				old = ""
			}
			return m.Put(ctx, key, value, old)
		}})},
	"says not found for a conflict": {subtest: "put of a version on an absent key is a conflict", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, key string, old storage.Version) error {
			if _, _, err := m.Get(ctx, key); err != nil && old != "" {
				return err
			}
			return m.Delete(ctx, key, old)
		}})},
	"deletes any version": {subtest: "delete removes only the version it names", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, key string, _ storage.Version) error {
			_, now, _ := m.Get(ctx, key)
			return m.Delete(ctx, key, now)
		}})},
	"deletes without a version": {subtest: "delete removes only the version it names", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, key string, old storage.Version) error {
			if old == "" {
				_, old, _ = m.Get(ctx, key)
			}
			return m.Delete(ctx, key, old)
		}})},
	"deletes others too": {subtest: "delete removes only the version it names", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, key string, old storage.Version) error {
			err := m.Delete(ctx, key, old)
			if _, v, e := m.Get(ctx, "beside"); e == nil && err == nil {
				m.Delete(ctx, "beside", v)
			}
			return err
		}})},
	"deleting nothing is an error": {subtest: "delete of an absent key with the version empty does nothing", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, key string, old storage.Version) error {
			if _, _, err := m.Get(ctx, key); err != nil {
				return err
			}
			return m.Delete(ctx, key, old)
		}})},
	"keeps what it was given": {subtest: "values must not be aliased", open: func() storage.Store { return new(aliasing) }},
	"gives what it keeps":     {subtest: "values must not be aliased", open: func() storage.Store { return &aliasing{clonePut: true} }},
	"an empty value is a deletion": {subtest: "an empty value is a record", open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, key string) ([]byte, storage.Version, error) {
			value, v, err := m.Get(ctx, key)
			if err == nil && len(value) == 0 {
				return nil, "", storage.ErrNotFound
			}
			return value, v, err
		}})},
	"values are C strings": {subtest: "values are any bytes of any length", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			value, _, _ = bytes.Cut(value, []byte{0})
			return m.Put(ctx, key, value, old)
		}})},
	"values are UTF-8": {subtest: "values are any bytes of any length", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			return m.Put(ctx, key, bytes.ToValidUTF8(value, []byte("?")), old)
		}})},
	"values have a limit": {subtest: "values are any bytes of any length", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			return m.Put(ctx, key, value[:min(len(value), 1<<16)], old)
		}})},
	"values are longer for ever": {subtest: "values are any bytes of any length", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			if before, _, err := m.Get(ctx, key); err == nil && len(before) > len(value) {
				value = append(bytes.Clone(value), before[len(value):]...)
			}
			return m.Put(ctx, key, value, old)
		}})},

	// Durability.
	"forgets on reopening":           {subtest: "put on nil error means that the value is durable", open: func() storage.Store { return &forgetful{all: true} }},
	"undoes deletions on reopening":  {subtest: "delete on nil error is as durable", open: func() storage.Store { return &forgetful{deletions: true} }},
	"counts anew on reopening":       {subtest: "a version must differ also across reopening", open: func() storage.Store { return &forgetful{all: true} }},
	"lists nothing after reopening":  {subtest: "keys has what was stored before reopening", open: func() storage.Store { return &forgetful{all: true} }},
	"another handle has other data":  {subtest: "get must see every write that was acknowledged before", open: func() storage.Store { return lonely{new(storage.Memory)} }},
	"another handle lists otherwise": {subtest: "keys yields every key that has a record exactly once", open: func() storage.Store { return lonely{new(storage.Memory)} }},
	"another handle has other locks": {subtest: "lock waits until its context is done", open: func() storage.Store { return lonely{new(storage.Memory)} }},

	// Versions.
	"a version is a digest of the value": {subtest: "a version must differ from every version before", open: func() storage.Store { return &versioned{next: digest} }},
	"versions begin anew":                {subtest: "a version must differ also across Delete", open: func() storage.Store { return &versioned{next: perRecord} }},
	"no version": {subtest: "get returns ErrNotFound for a key without a record", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			_, err := m.Put(ctx, key, value, old)
			return "", err
		}})},
	"put and get name different versions": {subtest: "put replaces only the version it names", open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, key string) ([]byte, storage.Version, error) {
			value, v, err := m.Get(ctx, key)
			if v != "" {
				v += "x"
			}
			return value, v, err
		}})},

	// Keys.
	"keys are cleaned paths":       {subtest: anyKey, open: mapped(path.Clean)},
	"keys are base names":          {subtest: anyKey, open: mapped(path.Base)},
	"keys are in lower case":       {subtest: anyKey, open: mapped(strings.ToLower)},
	"keys are trimmed":             {subtest: anyKey, open: mapped(strings.TrimSpace)},
	"keys lose a dot at the end":   {subtest: anyKey, open: mapped(func(k string) string { return strings.TrimRight(k, ".") })},
	"keys lose a space at the end": {subtest: anyKey, open: mapped(func(k string) string { return strings.TrimRight(k, " ") })},
	"keys end at NUL":              {subtest: anyKey, open: mapped(func(k string) string { k, _, _ = strings.Cut(k, "\x00"); return k })},
	"keys end after 255 bytes":     {subtest: anyKey, open: mapped(func(k string) string { return k[:min(len(k), 255)] })},
	"keys end after 4095 bytes":    {subtest: anyKey, open: mapped(func(k string) string { return k[:min(len(k), 4095)] })},
	"keys are composed":            {subtest: anyKey, open: mapped(func(k string) string { return strings.ReplaceAll(k, "e\u0301", "\u00e9") })},
	"slashes become underscores":   {subtest: anyKey, open: mapped(func(k string) string { return strings.ReplaceAll(k, "/", "_") })},
	"backslashes become slashes":   {subtest: anyKey, open: mapped(func(k string) string { return strings.ReplaceAll(k, `\`, "/") })},
	"keys are unescaped":           {subtest: anyKey, open: mapped(func(k string) string { return strings.ReplaceAll(k, "%2F", "/") })},
	"the empty key has a name":     {subtest: anyKey, open: mapped(func(k string) string { return map[string]string{"": "_"}[k] + k })},
	"keys are numbers":             {subtest: anyKey, open: mapped(number)},

	// Contexts.
	"get ignores its context": {subtest: ofContexts, open: in(broken{
		get: func(m *storage.Memory, _ context.Context, key string) ([]byte, storage.Version, error) {
			return m.Get(context.Background(), key)
		}})},
	"put ignores its context": {subtest: ofContexts, open: in(broken{
		put: func(m *storage.Memory, _ context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			return m.Put(context.Background(), key, value, old)
		}})},
	"put looks at its context afterwards": {subtest: ofContexts, open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			v, err := m.Put(context.Background(), key, value, old)
			return v, errors.Join(err, ctx.Err())
		}})},
	"delete ignores its context": {subtest: ofContexts, open: in(broken{
		delete: func(m *storage.Memory, _ context.Context, key string, old storage.Version) error {
			return m.Delete(context.Background(), key, old)
		}})},
	"delete looks at its context afterwards": {subtest: ofContexts, open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, key string, old storage.Version) error {
			return errors.Join(m.Delete(context.Background(), key, old), ctx.Err())
		}})},
	"an error of its own for a context": {subtest: ofContexts, open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, key string) ([]byte, storage.Version, error) {
			if ctx.Err() != nil {
				return nil, "", errors.New("timeout")
			}
			return m.Get(ctx, key)
		}})},
	"lock ignores a context that is done": {subtest: "a lock whose context is done must return the context's error", open: in(broken{
		lock: func(m *storage.Memory, _ context.Context, key string) (func(), error) {
			return m.Lock(context.Background(), key)
		}})},
	"keys ignores its context": {subtest: "after an error the walk ends", open: in(broken{
		keys: func(m *storage.Memory, _ context.Context) iter.Seq2[string, error] {
			return m.Names(context.Background())
		}})},
	"keys goes on after an error": {subtest: "after an error the walk ends", open: in(broken{
		keys: func(m *storage.Memory, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for key, err := range m.Names(context.Background()) {
					if err == nil {
						err = ctx.Err()
					}
					if !yield(key, err) {
						return
					}
				}
			}
		}})},

	// Concurrency.
	"compares and then writes": {subtest: "the comparison and the write must be one atomic step", open: in(broken{put: compareThenWrite})},
	"two create":               {subtest: "of several that create a record one must win", open: in(broken{put: compareThenWrite})},
	"two replace":              {subtest: "of several that replace or delete a version one must win", open: in(broken{put: compareThenWrite})},
	"get is out of date":       {subtest: "get must see every write that was acknowledged before", open: func() storage.Store { return new(stale) }},
	"a value is written in two steps": {subtest: "get sees a whole value while it is replaced", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			before, _, _ := m.Get(ctx, key)
			half, err := m.Put(ctx, key, append(bytes.Clone(value[:len(value)/2]), before...), old)
			if err != nil {
				return "", err
			}
			runtime.Gosched()
			return m.Put(ctx, key, value, half)
		}})},
	"one caller at a time": {subtest: "all methods must be safe for concurrent use", open: func() storage.Store { return new(impatient) }},

	// Locks.
	"lock excludes nobody": {subtest: "lock waits until no one else holds it", open: in(broken{
		lock: func(_ *storage.Memory, ctx context.Context, _ string) (func(), error) { return func() {}, ctx.Err() }})},
	"a waiting lock ignores its context": {subtest: "lock waits until its context is done", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, key string) (func(), error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return m.Lock(context.Background(), key)
		}})},
	"a lock that wasn't granted stays": {subtest: "lock waits until its context is done", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, key string) (func(), error) {
			unlock, err := m.Lock(ctx, key)
			if err != nil && ctx.Err() != nil {
				go m.Lock(context.Background(), key)
			}
			return unlock, err
		}})},
	"unlock does nothing": {subtest: "unlock releases the lock", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, key string) (func(), error) {
			_, err := m.Lock(ctx, key)
			return func() {}, err
		}})},
	"unlock takes the next one's lock": {subtest: "unlock is safe to call more than once", open: func() storage.Store { return new(dropping) }},
	"one lock for all keys": {subtest: "locks of different keys must not wait for each other", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, _ string) (func(), error) { return m.Lock(ctx, "") }})},
	"sixty-four locks for all keys": {subtest: "locks of different keys must not wait for each other", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, key string) (func(), error) {
			sum := sha256.Sum256([]byte(key))
			return m.Lock(ctx, string(sum[0]&63))
		}})},
	"put waits for the lock": {subtest: "a lock must not keep get, put or delete from working", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
			unlock, err := m.Lock(ctx, key)
			if err != nil {
				return "", err
			}
			defer unlock()
			return m.Put(ctx, key, value, old)
		}})},
	"a lock is a record": {subtest: "a lock needs no record and makes none", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, key string) (func(), error) {
			m.Put(ctx, key, nil, "")
			return m.Lock(ctx, key)
		}})},

	// Lists.
	"keys has one twice": {subtest: "keys yields every key that has a record exactly once", open: in(broken{
		keys: func(m *storage.Memory, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for key, err := range m.Names(ctx) {
					if !yield(key, err) || key == "a" && !yield(key, err) {
						return
					}
				}
			}
		}})},
	"keys stops after a page": {subtest: "keys yields every key that has a record exactly once", open: in(broken{
		keys: func(m *storage.Memory, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				n := 0
				for key, err := range m.Names(ctx) {
					if n++; n > 100 || !yield(key, err) {
						return
					}
				}
			}
		}})},
	"keys stops after many pages": {subtest: "keys yields ten thousand keys exactly once", open: in(broken{
		keys: func(m *storage.Memory, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				n := 0
				for key, err := range m.Names(ctx) {
					if n++; n > 8192 || !yield(key, err) {
						return
					}
				}
			}
		}})},
	"keys has what was deleted":          {subtest: "keys yields every key that has a record exactly once", open: func() storage.Store { return new(tombstones) }},
	"keys locks the store":               {subtest: "the caller may call the store's other methods in between", open: func() storage.Store { return new(walker) }},
	"two walks share a place":            {subtest: "keys may be called concurrently and left early", open: func() storage.Store { return new(oneCursor) }},
	"keys meets a replaced record again": {subtest: "the caller may call the store's other methods in between", open: func() storage.Store { return new(reordered) }},

	// Servers.
	"a driver sends writes again":            ofServer("no method lies when its connection is cut", &served{retries: true}, false),
	"a driver takes a lost answer for a yes": ofServer("no method lies when its connection is cut", &served{optimistic: true}, false),
	"a server forgets when it is killed":     ofServer("no method lies when the server is killed", &served{}, true),
	"a driver is deaf to contexts":           ofServer("a method returns when its context is done, whatever the server does", &served{deaf: true}, false),
}

func ofServer(subtest string, s *served, forgets bool) fault {
	return fault{subtest: subtest, serve: func(t *testing.T) storage.Store { return s.start(t, forgets) }}
}

const ofContexts = "a method whose context is done must return the context's error and change nothing"
