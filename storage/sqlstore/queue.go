package sqlstore

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// turn has room for the one whose turn it is to write a file.
type turn chan struct{}

// turns are those of the files that this process has written.
var turns sync.Map // path → turn

// queue has those who write one SQLite file in this process take turns, in the order of
// their arrival. SQLite itself has each of them look again after a while, ever less
// often, whether the file is free: with eight, one can wait for ever. Processes among
// themselves still do that.
type queue struct{ turn atomic.Pointer[turn] }

// enter waits until this goroutine may write, or until ctx is done.
func (q *queue) enter(ctx context.Context, s *Store) (leave func(), err error) {
	t := q.turn.Load()
	if t == nil {
		var file string
		err := s.query(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'", nil, func(rows *sql.Rows) error {
			rows.Next()
			return rows.Scan(&file)
		})
		if err != nil {
			return nil, err
		}
		of, _ := turns.LoadOrStore(file, make(turn, 1)) // one for all that are in memory
		first := of.(turn)
		t = &first
		q.turn.Store(t)
	}
	select {
	case *t <- struct{}{}: // the runtime queues blocked senders first in, first out
		return func() { <-*t }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
