package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"iter"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// fault is a broken store, and the subtest that must fail because of it.
type fault struct {
	subtest string
	open    func() storage.Store
	serve   func(t *testing.T) storage.Store // in place of open
}

// takesLong reports whether it takes many attempts, many records, processes or a server to
// see the fault.
func (f fault) takesLong() bool {
	ofProcesses := slices.ContainsFunc(processChecks, func(c check) bool { return c.name == f.subtest })
	return ofProcesses || f.serve != nil || f.subtest == oneStep || f.subtest == seesAll || f.subtest == wholeWalk
}

const anyName = "a name is any UTF-8 string"

var faults = map[string]fault{
	// What Get, Put and Delete do.
	"a missing record is empty": {subtest: "get returns ErrNotFound for a name without a record", open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, name string) ([]byte, storage.Version, error) {
			value, v, err := m.Get(ctx, name)
			if err == storage.ErrNotFound {
				err = nil
			}
			return value, v, err
		}})},
	"a missing record has a version": {subtest: "get returns ErrNotFound for a name without a record", open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, name string) ([]byte, storage.Version, error) {
			value, v, err := m.Get(ctx, name)
			if err == storage.ErrNotFound {
				v = "0"
			}
			return value, v, err
		}})},
	"creates over a record": {subtest: "put with the version empty creates if there is no record", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			if old == "" {
				_, old, _ = m.Get(ctx, name)
			}
			return m.Put(ctx, name, value, old)
		}})},
	"replaces any version": {subtest: "put replaces only the version it names", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			if old != "" {
				_, old, _ = m.Get(ctx, name)
			}
			return m.Put(ctx, name, value, old)
		}})},
	"compares versions by their beginning": {subtest: "put replaces only the version it names", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			if _, now, err := m.Get(ctx, name); err == nil && old != "" && strings.HasPrefix(string(old), string(now)) {
				old = now
			}
			return m.Put(ctx, name, value, old)
		}})},
	"replaces what isn't there": {subtest: "put of a version on an absent name is a conflict", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			if _, _, err := m.Get(ctx, name); err == storage.ErrNotFound {
				old = ""
			}
			return m.Put(ctx, name, value, old)
		}})},
	"says not found for a conflict": {subtest: "put of a version on an absent name is a conflict", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error {
			if _, _, err := m.Get(ctx, name); err != nil && old != "" {
				return err
			}
			return m.Delete(ctx, name, old)
		}})},
	"deletes any version": {subtest: "delete removes only the version it names", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, name string, _ storage.Version) error {
			_, now, _ := m.Get(ctx, name)
			return m.Delete(ctx, name, now)
		}})},
	"takes the version of another record": {subtest: "put replaces only the version it names", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error {
			if _, now, err := m.Get(ctx, "other"); err == nil && now == old {
				_, old, _ = m.Get(ctx, name)
			}
			return m.Delete(ctx, name, old)
		}})},
	"deletes without a version": {subtest: "delete removes only the version it names", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error {
			if old == "" {
				_, old, _ = m.Get(ctx, name)
			}
			return m.Delete(ctx, name, old)
		}})},
	"deletes others too": {subtest: "delete removes only the version it names", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error {
			err := m.Delete(ctx, name, old)
			if _, v, e := m.Get(ctx, "beside"); e == nil && err == nil {
				m.Delete(ctx, "beside", v)
			}
			return err
		}})},
	"deleting nothing is an error": {subtest: "delete of an absent name with the version empty does nothing", open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error {
			if _, _, err := m.Get(ctx, name); err != nil {
				return err
			}
			return m.Delete(ctx, name, old)
		}})},
	"keeps what it was given": {subtest: "values must not be aliased", open: func() storage.Store { return new(aliasing) }},
	"gives what it keeps":     {subtest: "values must not be aliased", open: func() storage.Store { return &aliasing{clonePut: true} }},
	"an empty value is a deletion": {subtest: "an empty value is a record", open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, name string) ([]byte, storage.Version, error) {
			value, v, err := m.Get(ctx, name)
			if err == nil && len(value) == 0 {
				return nil, "", storage.ErrNotFound
			}
			return value, v, err
		}})},
	"values are C strings": {subtest: "values are any bytes of any length", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			value, _, _ = bytes.Cut(value, []byte{0})
			return m.Put(ctx, name, value, old)
		}})},
	"values are UTF-8": {subtest: "values are any bytes of any length", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			return m.Put(ctx, name, bytes.ToValidUTF8(value, []byte("?")), old)
		}})},
	"values have a limit": {subtest: "values are any bytes of any length", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			return m.Put(ctx, name, value[:min(len(value), 1<<16)], old)
		}})},
	"values with their seals have a limit": {subtest: "an implementation must take values of up to 1 MiB, and what sealing adds to them", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			if len(value) > 1<<20 {
				return "", errors.New("the value is too long")
			}
			return m.Put(ctx, name, value, old)
		}})},
	"values are longer for ever": {subtest: "values are any bytes of any length", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			if before, _, err := m.Get(ctx, name); err == nil && len(before) > len(value) {
				value = append(bytes.Clone(value), before[len(value):]...)
			}
			return m.Put(ctx, name, value, old)
		}})},

	// Durability.
	"forgets on reopening":                   {subtest: "put on nil error means that the value is durable", open: func() storage.Store { return &forgetful{all: true} }},
	"undoes deletions on reopening":          {subtest: "delete on nil error is as durable", open: func() storage.Store { return &forgetful{deletions: true} }},
	"counts anew on reopening":               {subtest: "a version must differ also across reopening", open: func() storage.Store { return &forgetful{all: true} }},
	"lists nothing after reopening":          {subtest: "names has what was stored before reopening", open: func() storage.Store { return &forgetful{all: true} }},
	"another handle has other data":          {subtest: "get must see every write that was acknowledged before", open: func() storage.Store { return lonely{new(storage.Memory)} }},
	"another handle lists otherwise":         {subtest: "names yields every name that has a record exactly once", open: func() storage.Store { return lonely{new(storage.Memory)} }},
	"another handle has other locks":         {subtest: "lock waits until its context is done", open: func() storage.Store { return lonely{new(storage.Memory)} }},
	"another distant handle has other locks": {subtest: "lock waits until its context is done", open: func() storage.Store { return distant{lonely{new(storage.Memory)}} }},

	// Versions.
	"a version is a digest of the value":    {subtest: "a version must differ from every version before", open: func() storage.Store { return &versioned{next: digest} }},
	"versions begin anew":                   {subtest: "a version must differ also across Delete", open: func() storage.Store { return &versioned{next: perRecord} }},
	"a version lives on in the next record": {subtest: "a version must differ also across Delete", open: func() storage.Store { return new(reviving) }},
	"no version": {subtest: "get returns ErrNotFound for a name without a record", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			_, err := m.Put(ctx, name, value, old)
			return "", err
		}})},
	"put and get name different versions": {subtest: "put replaces only the version it names", open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, name string) ([]byte, storage.Version, error) {
			value, v, err := m.Get(ctx, name)
			if v != "" {
				v += "x"
			}
			return value, v, err
		}})},

	// Names.
	"names are cleaned paths":         {subtest: anyName, open: mapped(path.Clean)},
	"names are base names":            {subtest: anyName, open: mapped(path.Base)},
	"names are in lower case":         {subtest: anyName, open: mapped(strings.ToLower)},
	"names fold Cyrillic":             {subtest: anyName, open: mapped(func(k string) string { return strings.ReplaceAll(k, "Ж", "ж") })},
	"names fold Greek":                {subtest: anyName, open: mapped(func(k string) string { return strings.ReplaceAll(k, "Ω", "ω") })},
	"names are trimmed":               {subtest: anyName, open: mapped(strings.TrimSpace)},
	"names lose a dot at the end":     {subtest: anyName, open: mapped(func(k string) string { return strings.TrimRight(k, ".") })},
	"names lose a space at the end":   {subtest: anyName, open: mapped(func(k string) string { return strings.TrimRight(k, " ") })},
	"names end at NUL":                {subtest: anyName, open: mapped(func(k string) string { k, _, _ = strings.Cut(k, "\x00"); return k })},
	"names end after 255 bytes":       {subtest: anyName, open: mapped(func(k string) string { return k[:min(len(k), 255)] })},
	"names end after 4095 bytes":      {subtest: anyName, open: mapped(func(k string) string { return k[:min(len(k), 4095)] })},
	"names are composed":              {subtest: anyName, open: mapped(func(k string) string { return strings.ReplaceAll(k, "e\u0301", "\u00e9") })},
	"slashes become underscores":      {subtest: anyName, open: mapped(func(k string) string { return strings.ReplaceAll(k, "/", "_") })},
	"backslashes become slashes":      {subtest: anyName, open: mapped(func(k string) string { return strings.ReplaceAll(k, `\`, "/") })},
	"names are unescaped":             {subtest: anyName, open: mapped(func(k string) string { return strings.ReplaceAll(k, "%2F", "/") })},
	"the empty name is an underscore": {subtest: anyName, open: mapped(func(k string) string { return map[string]string{"": "_"}[k] + k })},
	"names are numbers":               {subtest: anyName, open: mapped(numeric)},

	// Contexts.
	"get ignores its context": {subtest: ofContexts, open: in(broken{
		get: func(m *storage.Memory, _ context.Context, name string) ([]byte, storage.Version, error) {
			return m.Get(context.Background(), name)
		}})},
	"put ignores its context": {subtest: ofContexts, open: in(broken{
		put: func(m *storage.Memory, _ context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			return m.Put(context.Background(), name, value, old)
		}})},
	"put looks at its context afterwards": {subtest: ofContexts, open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			v, err := m.Put(context.Background(), name, value, old)
			return v, errors.Join(err, ctx.Err())
		}})},
	"delete ignores its context": {subtest: ofContexts, open: in(broken{
		delete: func(m *storage.Memory, _ context.Context, name string, old storage.Version) error {
			return m.Delete(context.Background(), name, old)
		}})},
	"delete looks at its context afterwards": {subtest: ofContexts, open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error {
			return errors.Join(m.Delete(context.Background(), name, old), ctx.Err())
		}})},
	"an error of its own for a context": {subtest: ofContexts, open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, name string) ([]byte, storage.Version, error) {
			if ctx.Err() != nil {
				return nil, "", errors.New("timeout")
			}
			return m.Get(ctx, name)
		}})},
	"lock ignores a context that is done": {subtest: "a lock whose context is done must return the context's error", open: in(broken{
		lock: func(m *storage.Memory, _ context.Context, name string) (func(), error) {
			return m.Lock(context.Background(), name)
		}})},
	"names ignores its context": {subtest: "after an error the walk ends", open: in(broken{
		names: func(m *storage.Memory, _ context.Context) iter.Seq2[string, error] {
			return m.Names(context.Background())
		}})},
	"names goes on after an error": {subtest: "after an error the walk ends", open: in(broken{
		names: func(m *storage.Memory, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for name, err := range m.Names(context.Background()) {
					if err == nil {
						err = ctx.Err()
					}
					if !yield(name, err) {
						return
					}
				}
			}
		}})},

	// Concurrency.
	"compares and then writes":                            {subtest: "the comparison and the write must be one atomic step", open: in(broken{put: compareThenWrite})},
	"compares and writes at once, for a record":           {subtest: oneStep, open: in(broken{put: compareAndWrite(0, true)})},
	"compares and writes at once, for none":               {subtest: oneStep, open: in(broken{put: compareAndWrite(0, false)})},
	"compares and deletes at once":                        {subtest: oneStep, open: in(broken{delete: compareAndDelete(0)})},
	"compares and deletes a tenth of a millisecond on":    {subtest: oneStep, open: in(broken{delete: compareAndDelete(100 * time.Microsecond)})},
	"compares and deletes a millisecond later":            {subtest: oneStep, open: in(broken{delete: compareAndDelete(time.Millisecond)})},
	"compares and writes under the same lock taken twice": {subtest: oneStep, open: func() storage.Store { return &versioned{next: number, lets: unlockBriefly} }},
	"compares and writes without looking at its context": {subtest: oneStep, open: in(broken{
		put: func(m *storage.Memory, _ context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			return compareAndWrite(0, true)(m, context.Background(), name, value, old)
		}})},
	"deletes twice": {subtest: oneStep, open: in(broken{
		delete: func(m *storage.Memory, ctx context.Context, name string, old storage.Version) error {
			_, now, err := m.Get(ctx, name)
			if err == nil && now != old {
				return storage.ErrConflict
			}
			return m.Delete(ctx, name, now)
		}})},
	"two create":                      {subtest: "of several that create a record one must win", open: in(broken{put: compareThenWrite})},
	"two replace":                     {subtest: "of several that replace or delete a version one must win", open: in(broken{put: compareThenWrite})},
	"get is out of date":              {subtest: seesAll, open: func() storage.Store { return new(stale) }},
	"get joins one that is under way": {subtest: seesAll, open: func() storage.Store { return new(joining) }},
	"a cache is filled after a write": {subtest: seesAll, open: func() storage.Store { return new(filling) }},
	"value and version are read apart": {subtest: seesAll, open: in(broken{
		get: func(m *storage.Memory, ctx context.Context, name string) ([]byte, storage.Version, error) {
			value, _, err := m.Get(ctx, name)
			if err != nil {
				return nil, "", err
			}
			_, v, err := m.Get(ctx, name)
			return value, v, err
		}})},
	"a version is read after the write": {subtest: seesAll, open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			v, err := m.Put(ctx, name, value, old)
			if err == nil {
				_, v, err = m.Get(ctx, name)
			}
			return v, err
		}})},
	"a record is absent while it is replaced": {subtest: seesAll, open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			if old == "" {
				return m.Put(ctx, name, value, old)
			}
			if err := m.Delete(ctx, name, old); err != nil {
				return "", err
			}
			return m.Put(ctx, name, value, "")
		}})},
	"a value is written in two steps": {subtest: "get sees a whole value while it is replaced", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			before, _, _ := m.Get(ctx, name)
			half, err := m.Put(ctx, name, append(bytes.Clone(value[:len(value)/2]), before...), old)
			if err != nil {
				return "", err
			}
			runtime.Gosched()
			return m.Put(ctx, name, value, half)
		}})},
	"one caller at a time": {subtest: "all methods must be safe for concurrent use", open: func() storage.Store { return new(impatient) }},

	// Locks.
	"lock excludes nobody": {subtest: "lock waits until no one else holds it", open: in(broken{
		lock: func(_ *storage.Memory, ctx context.Context, _ string) (func(), error) { return func() {}, ctx.Err() }})},
	"a waiting lock ignores its context": {subtest: "lock waits until its context is done", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, name string) (func(), error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return m.Lock(context.Background(), name)
		}})},
	"a lock that wasn't granted stays": {subtest: "lock waits until its context is done", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, name string) (func(), error) {
			unlock, err := m.Lock(ctx, name)
			if err != nil && ctx.Err() != nil {
				go m.Lock(context.Background(), name)
			}
			return unlock, err
		}})},
	"unlock does nothing": {subtest: "unlock releases the lock", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, name string) (func(), error) {
			_, err := m.Lock(ctx, name)
			return func() {}, err
		}})},
	"unlock takes the next one's lock": {subtest: "unlock is safe to call more than once", open: func() storage.Store { return new(dropping) }},
	"one lock for all names": {subtest: "locks of different names must not wait for each other", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, _ string) (func(), error) { return m.Lock(ctx, "") }})},
	"sixty-four locks for all names": {subtest: "locks of different names must not wait for each other", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, name string) (func(), error) {
			sum := sha256.Sum256([]byte(name))
			return m.Lock(ctx, string(sum[0]&63))
		}})},
	"put waits for the lock": {subtest: "a lock must not keep get, put or delete from working", open: in(broken{
		put: func(m *storage.Memory, ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
			unlock, err := m.Lock(ctx, name)
			if err != nil {
				return "", err
			}
			defer unlock()
			return m.Put(ctx, name, value, old)
		}})},
	"a lock is a record": {subtest: "a lock needs no record and makes none", open: in(broken{
		lock: func(m *storage.Memory, ctx context.Context, name string) (func(), error) {
			m.Put(ctx, name, nil, "")
			return m.Lock(ctx, name)
		}})},

	// Lists.
	"names has one twice": {subtest: "names yields every name that has a record exactly once", open: in(broken{
		names: func(m *storage.Memory, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for name, err := range m.Names(ctx) {
					if !yield(name, err) || name == "a" && !yield(name, err) {
						return
					}
				}
			}
		}})},
	"names stops after a page": {subtest: "names yields every name that has a record exactly once", open: in(broken{
		names: func(m *storage.Memory, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				n := 0
				for name, err := range m.Names(ctx) {
					if n++; n > 100 || !yield(name, err) {
						return
					}
				}
			}
		}})},
	"names stops after many pages": {subtest: wholeWalk, open: in(broken{
		names: func(m *storage.Memory, ctx context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				n := 0
				for name, err := range m.Names(ctx) {
					if n++; n > 1024 || !yield(name, err) {
						return
					}
				}
			}
		}})},
	"names pages by offset, a hundred at a time":   {subtest: wholeWalk, open: func() storage.Store { return &paged{size: 100, next: byOffset} }},
	"names pages by offset, a thousand at a time":  {subtest: wholeWalk, open: func() storage.Store { return &paged{size: 1000, next: byOffset} }},
	"names pages by offset from the newest":        {subtest: wholeWalk, open: func() storage.Store { return &paged{size: 64, newestFirst: true, next: byOffset} }},
	"names pages from a record that may have gone": {subtest: wholeWalk, open: func() storage.Store { return &paged{size: 100, next: behindTheLast} }},
	"names pages by the time of the last write":    {subtest: wholeWalk, open: func() storage.Store { return new(reordered) }},
	"names leaves out what is being replaced":      {subtest: wholeWalk, open: func() storage.Store { return new(hiding) }},
	"names pages by names in lower case":           {subtest: wholeWalk, open: func() storage.Store { return &paged{size: 100, fold: true, next: behindFolded} }},
	"names has what was deleted":                   {subtest: "names yields every name that has a record exactly once", open: func() storage.Store { return new(tombstones) }},
	"names locks the store":                        {subtest: "the caller may call the store's other methods in between", open: func() storage.Store { return new(walker) }},
	"two walks share a place":                      {subtest: "names may be called concurrently and left early", open: func() storage.Store { return new(oneCursor) }},

	// Servers.
	"a driver sends writes again":            ofServer("no method lies when its connection is cut", &served{retries: true}, false),
	"a driver takes a lost answer for a yes": ofServer("no method lies when its connection is cut", &served{optimistic: true}, false),
	"a driver goes around the proxy": {subtest: "no method lies when its connection is cut", serve: func(t *testing.T) storage.Store {
		s := new(served).start(t, false)
		return around{s.server.direct(), s.proxy}
	}},
	"a server forgets when it is killed": ofServer("no method lies when the server is killed", &served{}, true),
	"a driver is deaf to contexts":       ofServer("a method returns when its context is done, whatever the server does", &served{deaf: true}, false),
}

func ofServer(subtest string, s *served, forgets bool) fault {
	return fault{subtest: subtest, serve: func(t *testing.T) storage.Store { return s.start(t, forgets) }}
}

const wholeWalk = "each name that has a record for as long as the walk lasts is yielded exactly once"

const seesAll = "get must see every write that was acknowledged before"

const oneStep = "the comparison and the write must be one atomic step"

const ofContexts = "a method whose context is done must return the context's error and change nothing"
