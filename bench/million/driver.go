package main

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"runtime"
)

func openDriver(ctx context.Context, j *job) (int, error) {
	for i := range openings {
		b, err := j.Place.openBare(ctx)
		if err != nil {
			return 0, err
		}
		if err = b.probe(ctx); err == nil {
			hash := sha256.Sum256([]byte(keyOf(i % j.N)))
			_, _, err = b.get(ctx, hash[:])
		}
		b.close()
		if err != nil {
			return i, err
		}
		j.add(1)
	}
	return openings, nil
}

func coldDriver(ctx context.Context, j *job) (int, error) {
	return j.selects(ctx, nil)
}

func keepDriver(ctx context.Context, j *job) (int, error) {
	kept := make(map[string]row, j.N)
	defer runtime.KeepAlive(kept)
	return j.selects(ctx, func(key string, r row) { kept[key] = r })
}

func (j *job) selects(ctx context.Context, keep func(string, row)) (int, error) {
	b, err := j.Place.openBare(ctx)
	if err != nil {
		return 0, err
	}
	defer b.close()
	n := 0
	for i := range order(j.N) {
		key := keyOf(i)
		hash := sha256.Sum256([]byte(key))
		version, value, err := b.get(ctx, hash[:])
		if err != nil {
			return n, err
		}
		if keep != nil {
			keep(key, row{version: version, value: value})
		}
		n++
		j.add(1)
	}
	return n, nil
}

func sweepDriver(ctx context.Context, j *job) (int, error) {
	return j.walk(ctx, func(bare, row) error { return nil })
}

func rekeyDriver(ctx context.Context, j *job) (int, error) {
	fresh := newSource()
	return j.walk(ctx, func(b bare, r row) error {
		c := fresh.change(r)
		return b.replace(ctx, r.hash, r.version, c.newVersion, c.newValue)
	})
}

// walk lists the keys in pages, and reads each row before it calls do.
func (j *job) walk(ctx context.Context, do func(bare, row) error) (int, error) {
	b, err := j.Place.openBare(ctx)
	if err != nil {
		return 0, err
	}
	defer b.close()
	n := 0
	for after := []byte{}; ; {
		page, err := b.page(ctx, after)
		if err != nil {
			return n, err
		}
		for _, r := range page {
			after = r.hash
			if r.version, r.value, err = b.get(ctx, r.hash); err != nil {
				return n, err
			}
			if err := do(b, r); err != nil {
				return n, err
			}
			n++
			j.add(1)
		}
		if len(page) < pageSize {
			return n, nil
		}
	}
}

func rekeyScan(ctx context.Context, j *job) (int, error) {
	b, err := j.Place.openBare(ctx)
	if err != nil {
		return 0, err
	}
	defer b.close()
	fresh, n := newSource(), 0
	for r, err := range b.scan(ctx) {
		if err != nil {
			return n, err
		}
		c := fresh.change(r)
		if err := b.replace(ctx, r.hash, r.version, c.newVersion, c.newValue); err != nil {
			return n, err
		}
		n++
		j.add(1)
	}
	return n, nil
}

func rekeyBatches(ctx context.Context, j *job) (int, error) {
	b, err := j.Place.openBare(ctx)
	if err != nil {
		return 0, err
	}
	defer b.close()
	fresh, n := newSource(), 0
	changes := make([]change, 0, pageSize)
	replace := func() error {
		err := b.replaceAll(ctx, changes)
		if err == nil {
			n += len(changes)
			j.add(len(changes))
		}
		changes = changes[:0]
		return err
	}
	for r, err := range b.scan(ctx) {
		if err != nil {
			return n, err
		}
		if changes = append(changes, fresh.change(r)); len(changes) == pageSize {
			if err := replace(); err != nil {
				return n, err
			}
		}
	}
	return n, replace()
}

// source makes what the driver writes: as long as what was there, and as unlike it as
// what is sealed again, for less than sealing costs.
type source struct{ *rand.ChaCha8 }

func newSource() source { return source{rand.NewChaCha8([32]byte{})} }

func (s source) change(r row) change {
	c := change{r, make([]byte, len(r.version)), make([]byte, len(r.value))}
	s.Read(c.newVersion)
	s.Read(c.newValue)
	return c
}
