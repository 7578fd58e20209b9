package storagetest

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// tombstones lists every name that ever was.
type tombstones struct {
	storage.Memory
	mu   sync.Mutex
	ever map[string]bool
}

func (s *tombstones) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	s.mu.Lock()
	if s.ever == nil {
		s.ever = make(map[string]bool)
	}
	s.ever[name] = true
	s.mu.Unlock()
	return s.Memory.Put(ctx, name, value, old)
}

func (s *tombstones) Names(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name := range s.ever {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// walker can't be written to during a walk.
type walker struct {
	storage.Memory
	walking sync.RWMutex
}

func (s *walker) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	for !s.walking.TryLock() {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		time.Sleep(time.Millisecond)
	}
	defer s.walking.Unlock()
	return s.Memory.Put(ctx, name, value, old)
}

func (s *walker) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s.walking.RLock()
		defer s.walking.RUnlock()
		s.Memory.Names(ctx)(yield)
	}
}

// oneCursor has one position for all walks.
type oneCursor struct {
	storage.Memory
	mu   sync.Mutex
	rest []string
}

func (s *oneCursor) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var all []string
		for name := range s.Memory.Names(ctx) {
			all = append(all, name)
		}
		s.mu.Lock()
		s.rest = all
		s.mu.Unlock()
		for {
			s.mu.Lock()
			if len(s.rest) == 0 {
				s.mu.Unlock()
				return
			}
			name := s.rest[0]
			s.rest = s.rest[1:]
			s.mu.Unlock()
			if !yield(name, nil) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// paged reads its names anew for each page.
type paged struct {
	storage.Memory
	size        int
	newestFirst bool
	fold        bool                                             // case
	next        func(all []string, yielded int, last string) int // where the next page begins

	mu    sync.Mutex
	order []string // of creation
}

func byOffset(all []string, yielded int, _ string) int { return min(yielded, len(all)) }

func behindTheLast(all []string, yielded int, last string) int {
	if yielded == 0 {
		return 0
	}
	i := slices.Index(all, last)
	if i < 0 {
		return len(all)
	}
	return i + 1
}

func behindFolded(all []string, yielded int, last string) int {
	if yielded == 0 {
		return 0
	}
	i := slices.IndexFunc(all, func(name string) bool { return strings.ToLower(name) > strings.ToLower(last) })
	if i < 0 {
		return len(all)
	}
	return i
}

func (s *paged) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	v, err := s.Memory.Put(ctx, name, value, old)
	if err == nil && old == "" {
		s.mu.Lock()
		s.order = append(s.order, name)
		s.mu.Unlock()
	}
	return v, err
}

func (s *paged) all(ctx context.Context) (names []string) {
	for name := range s.Memory.Names(ctx) {
		names = append(names, name)
	}
	slices.Sort(names)
	if s.fold {
		slices.SortStableFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	}
	if s.newestFirst {
		s.mu.Lock()
		defer s.mu.Unlock()
		rank := make(map[string]int)
		for i, name := range s.order {
			rank[name] = -i
		}
		slices.SortFunc(names, func(a, b string) int { return rank[a] - rank[b] })
	}
	return names
}

func (s *paged) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		yielded, last := 0, ""
		for {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			all := s.all(ctx)
			page := all[s.next(all, yielded, last):]
			if len(page) == 0 {
				return
			}
			for _, last = range page[:min(s.size, len(page))] {
				if !yield(last, nil) {
					return
				}
				yielded++
			}
		}
	}
}

// reordered lists in the order of the last writes, and so meets a record again when
// it was replaced, as some file systems do.
type reordered struct {
	storage.Memory
	mu    sync.Mutex
	order []string
}

func (s *reordered) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	v, err := s.Memory.Put(ctx, name, value, old)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = append(s.order, name)
	return v, err
}

func (s *reordered) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := 0; ; i++ {
			s.mu.Lock()
			if i >= len(s.order) {
				s.mu.Unlock()
				return
			}
			name := s.order[i]
			s.mu.Unlock()
			if _, _, err := s.Get(ctx, name); err == nil && !yield(name, nil) {
				return
			}
		}
	}
}

// hiding lists nothing that is being replaced.
type hiding struct {
	storage.Memory
	busy sync.Map // names
}

func (s *hiding) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	s.busy.Store(name, true)
	defer s.busy.Delete(name)
	spin(50 * time.Microsecond)
	return s.Memory.Put(ctx, name, value, old)
}

func (s *hiding) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range s.Memory.Names(ctx) {
			if _, hidden := s.busy.Load(name); !hidden && !yield(name, err) {
				return
			}
		}
	}
}
