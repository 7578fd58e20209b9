package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// prepared are statements that are kept for as long as the database is open. SQLite
// compiles a statement whenever it is run unless it is kept, which takes as long as
// running it. PostgreSQL's and MySQL's are left to the driver, which knows whether a
// pooler is in between.
type prepared struct {
	mu         sync.RWMutex
	statements map[string]*sql.Stmt
}

func (p *prepared) get(ctx context.Context, db *sql.DB, statement string) (*sql.Stmt, error) {
	p.mu.RLock()
	stmt := p.statements[statement]
	p.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := db.PrepareContext(ctx, statement) // not under the mutex: it may wait
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.statements[statement]; first != nil {
		stmt.Close()
		return first, nil
	}
	if p.statements == nil {
		p.statements = make(map[string]*sql.Stmt)
	}
	p.statements[statement] = stmt
	return stmt, nil
}

// queryRow reads one row.
func (s *Store) queryRow(ctx context.Context, statement string, arg []byte, to ...any) error {
	if s.dialect != SQLite {
		return s.db.QueryRowContext(ctx, statement, arg).Scan(to...)
	}
	stmt, err := s.prepared.get(ctx, s.db, statement)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(ctx, arg).Scan(to...)
}

// sendPrepared is send for SQLite, which has no connection that could break.
func (s *Store) sendPrepared(ctx context.Context, statement string, args []any) (affected int64, err error) {
	stmt, err := s.prepared.get(ctx, s.db, statement)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
