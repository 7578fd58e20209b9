package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// prepared are statements that are kept for as long as the database is open. SQLite
// compiles a statement whenever it is run unless it is kept, which takes as long as
// running it. PostgreSQL's and MySQL's are left to the driver.
type prepared struct {
	db         *sql.DB
	mu         sync.RWMutex
	statements map[string]*sql.Stmt
}

func (p *prepared) get(ctx context.Context, statement string) (*sql.Stmt, error) {
	p.mu.RLock()
	stmt := p.statements[statement]
	p.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := p.db.PrepareContext(ctx, statement) // not under the mutex: it may wait
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

func (p *prepared) exec(ctx context.Context, statement string, args []any) (sql.Result, error) {
	stmt, err := p.get(ctx, statement)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

func (p *prepared) query(ctx context.Context, statement string, args []any) (*sql.Rows, error) {
	stmt, err := p.get(ctx, statement)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}
