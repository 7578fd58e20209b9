package storagetest

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// stale returns what it read before.
type stale struct {
	storage.Memory
	mu     sync.Mutex
	values map[string][]byte
}

func (s *stale) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	value, v, err := s.Memory.Get(ctx, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	if before, ok := s.values[name]; ok && err == nil {
		return bytes.Clone(before), v, nil
	}
	s.values[name] = value
	return value, v, err
}

// joining has a Get wait for the answer to one of the same name that began before.
type joining struct {
	storage.Memory
	mu      sync.Mutex
	flights map[string]func() answer
}

type answer struct {
	value []byte
	v     storage.Version
	err   error
}

func (s *joining) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	s.mu.Lock()
	wait, ok := s.flights[name]
	if !ok {
		if s.flights == nil {
			s.flights = make(map[string]func() answer)
		}
		wait = sync.OnceValue(func() answer {
			value, v, err := s.Memory.Get(ctx, name)
			spin(20 * time.Microsecond) // until the answer is here
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.flights, name)
			return answer{value, v, err}
		})
		s.flights[name] = wait
	}
	s.mu.Unlock()
	a := wait()
	return bytes.Clone(a.value), a.v, a.err
}

// filling keeps what it reads, which may be older than the write that came meanwhile.
type filling struct {
	storage.Memory
	cache sync.Map // answers by name
}

func (s *filling) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	if a, ok := s.cache.Load(name); ok {
		return bytes.Clone(a.(answer).value), a.(answer).v, nil
	}
	value, v, err := s.Memory.Get(ctx, name)
	if err == nil {
		spin(20 * time.Microsecond)
		s.cache.Store(name, answer{value: bytes.Clone(value), v: v})
	}
	return value, v, err
}

func (s *filling) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	defer s.cache.Delete(name)
	return s.Memory.Put(ctx, name, value, old)
}

func (s *filling) Delete(ctx context.Context, name string, old storage.Version) error {
	defer s.cache.Delete(name)
	return s.Memory.Delete(ctx, name, old)
}
