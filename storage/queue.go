package storage

import (
	"context"
	"sync"
)

// queue admits one goroutine at a time per name, in the order of their arrival.
// Names that nobody waits for or holds take no memory. The zero value is ready.
//
// It is the lock of Memory, and what stands before every file lock of Dir: of
// hundreds of goroutines that want one file, only the first polls it.
type queue struct {
	mu    sync.Mutex // guards lines and every line.n
	lines map[string]*line
}

type line struct {
	n    int           // goroutines that hold or wait
	turn chan struct{} // has room for the one whose turn it is
}

// enter waits for this goroutine's turn, or until ctx is done. Calling leave more
// than once is harmless.
func (q *queue) enter(ctx context.Context, name string) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	l := q.lines[name]
	if l == nil {
		if q.lines == nil {
			q.lines = make(map[string]*line)
		}
		l = &line{turn: make(chan struct{}, 1)}
		q.lines[name] = l
	}
	l.n++
	q.mu.Unlock()

	select {
	case l.turn <- struct{}{}: // the runtime queues blocked senders first in, first out
		return sync.OnceFunc(func() {
			<-l.turn
			q.quit(name, l)
		}), nil
	case <-ctx.Done():
		q.quit(name, l)
		return nil, ctx.Err()
	}
}

func (q *queue) quit(name string, l *line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.n--; l.n == 0 {
		delete(q.lines, name)
	}
}
