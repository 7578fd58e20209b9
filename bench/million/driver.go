package main

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
)

func openDriver(ctx context.Context, j *job) error {
	for i := range openings {
		b, err := j.place.openBare(ctx)
		if err != nil {
			return err
		}
		if err = b.probe(ctx); err == nil {
			hash := sha256.Sum256([]byte(keyOf(i % j.n)))
			_, _, err = b.get(ctx, hash[:])
		}
		b.close()
		if err != nil {
			return err
		}
		j.add(ctx, 1)
	}
	return nil
}

// bare opens the table for do.
func (j *job) bare(ctx context.Context, do func(bare) error) error {
	b, err := j.place.openBare(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	return do(b)
}

func coldDriver(ctx context.Context, j *job) error {
	return j.bare(ctx, func(b bare) error {
		for i := range order(j.n) {
			hash := sha256.Sum256([]byte(keyOf(i)))
			if _, _, err := b.get(ctx, hash[:]); err != nil {
				return err
			}
			j.add(ctx, 1)
		}
		return nil
	})
}

func sweepDriver(ctx context.Context, j *job) error {
	return j.walk(ctx, func(bare, row) error { return nil })
}

func rekeyDriver(ctx context.Context, j *job) error {
	fresh := newSource()
	return j.walk(ctx, func(b bare, r row) error {
		c := fresh.change(r)
		return b.replace(ctx, r.hash, r.version, c.newVersion, c.newValue)
	})
}

// walk lists the keys in pages, and reads each row before it calls do.
func (j *job) walk(ctx context.Context, do func(bare, row) error) error {
	return j.bare(ctx, func(b bare) error {
		for after := []byte{}; ; {
			page, err := b.page(ctx, after)
			if err != nil {
				return err
			}
			for _, r := range page {
				after = r.hash
				if r.version, r.value, err = b.get(ctx, r.hash); err != nil {
					return err
				}
				if err := do(b, r); err != nil {
					return err
				}
				j.add(ctx, 1)
			}
			if len(page) < pageSize {
				return nil
			}
		}
	})
}

func rekeyScan(ctx context.Context, j *job) error {
	return j.rewrite(ctx, 1, func(b bare, changes []change) error {
		c := changes[0]
		return b.replace(ctx, c.hash, c.version, c.newVersion, c.newValue)
	})
}

func rekeyBatches(ctx context.Context, j *job) error {
	return j.rewrite(ctx, pageSize, func(b bare, changes []change) error { return b.replaceAll(ctx, changes) })
}

// rewrite reads the whole table, and calls replace for so many rows at a time.
func (j *job) rewrite(ctx context.Context, size int, replace func(bare, []change) error) error {
	fresh, changes := newSource(), make([]change, 0, size)
	return j.bare(ctx, func(b bare) error {
		for r, err := range b.scan(ctx) {
			if err != nil {
				return err
			}
			changes = append(changes, fresh.change(r))
			if last := int(j.done.Load())+len(changes) == j.n; len(changes) == size || last {
				if err := replace(b, changes); err != nil {
					return err
				}
				j.add(ctx, len(changes))
				changes = changes[:0]
			}
		}
		return nil
	})
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
