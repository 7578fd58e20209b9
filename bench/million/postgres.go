package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// postgres is the connection that makes tables.
type postgres struct {
	dsn    string
	conn   *pgx.Conn
	server *server  // nil if it isn't ours
	tables []string // that we made
}

func openPostgres(ctx context.Context, dsn, dir string) (engine, error) {
	p := &postgres{dsn: dsn}
	if dsn == "" {
		var err error
		if p.server, err = startServer(ctx, dir); err != nil {
			return nil, err
		}
		p.dsn = p.server.dsn
	}
	var err error
	if p.conn, err = pgx.Connect(ctx, p.dsn); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *postgres) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := p.conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// create makes a table that mustn't be there: one that is, is somebody's.
func (p *postgres) create(ctx context.Context, table string) (place, error) {
	at := place{"postgres", p.dsn, table}
	var there bool
	if err := p.conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
		return at, err
	}
	if there {
		return at, fmt.Errorf("there is a table %s: if an earlier run left it behind, drop it", table)
	}
	db, s, err := at.open(ctx)
	if err != nil {
		return at, err
	}
	defer db.Close()
	if err := s.CreateTable(ctx); err != nil {
		return at, err
	}
	p.tables = append(p.tables, table)
	return at, nil
}

func (p *postgres) load(ctx context.Context, rows iter.Seq2[row, error]) error {
	if _, err := p.create(ctx, template); err != nil {
		return err
	}
	next, stop := iter.Pull2(rows)
	defer stop()
	_, err := p.conn.CopyFrom(ctx, pgx.Identifier{template}, []string{"name_hash", "version", "name", "value"},
		pgx.CopyFromFunc(func() ([]any, error) {
			r, err, ok := next()
			if err != nil || !ok {
				return nil, err
			}
			return []any{r.hash, r.version, r.key, r.value}, nil
		}))
	return err
}

func (p *postgres) table(number int) string { return fmt.Sprint(template, "_", number) }

func (p *postgres) make(ctx context.Context, number int) (place, error) {
	table := p.table(number)
	at, err := p.create(ctx, table)
	if err != nil {
		return at, err
	}
	return at, p.exec(ctx, "INSERT INTO "+table+" SELECT * FROM "+template, "VACUUM ANALYZE "+table)
}

func (p *postgres) drop(ctx context.Context, number int) error {
	p.tables = slices.DeleteFunc(p.tables, func(t string) bool { return t == p.table(number) })
	return p.exec(ctx, "DROP TABLE "+p.table(number))
}

func (p *postgres) settle(ctx context.Context) error {
	err := p.exec(ctx, "CHECKPOINT")
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42501" {
		return nil // it is for superusers
	}
	return err
}

func (p *postgres) settings(ctx context.Context) (string, error) {
	var version, fsync, commit string
	err := p.conn.QueryRow(ctx, "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')").
		Scan(&version, &fsync, &commit)
	return fmt.Sprintf("PostgreSQL %s by pgx: fsync=%s, synchronous_commit=%s", version, fsync, commit), err
}

func (p *postgres) close() {
	ctx := context.Background()
	if p.conn != nil {
		for _, table := range p.tables {
			if p.server == nil {
				_ = p.exec(ctx, "DROP TABLE "+table)
			}
		}
		p.conn.Close(ctx)
	}
	if p.server != nil {
		p.server.stop()
	}
}

// postgresBare is pgx without database/sql, which prepares every statement once.
type postgresBare struct {
	conn                         *pgx.Conn
	dsn                          string
	look, one, some, all, update string // statements
}

func newPostgresBare(ctx context.Context, p place) (bare, error) {
	conn, err := pgx.Connect(ctx, p.Source)
	if err != nil {
		return nil, err
	}
	return &postgresBare{
		conn: conn, dsn: p.Source,
		look:   "SELECT name_hash, version, name, value FROM " + p.Table + " WHERE 1 = 0",
		one:    "SELECT version, value FROM " + p.Table + " WHERE name_hash = $1",
		some:   "SELECT name_hash, name FROM " + p.Table + " WHERE name_hash > $1 ORDER BY name_hash LIMIT 1000",
		all:    "SELECT name_hash, version, name, value FROM " + p.Table,
		update: "UPDATE " + p.Table + " SET version = $1, value = $2 WHERE name_hash = $3 AND version = $4",
	}, nil
}

func (b *postgresBare) probe(ctx context.Context) error {
	_, err := b.conn.Exec(ctx, b.look)
	return err
}

func (b *postgresBare) get(ctx context.Context, hash []byte) (version, value []byte, err error) {
	err = b.conn.QueryRow(ctx, b.one, hash).Scan(&version, &value)
	return version, value, err
}

func (b *postgresBare) page(ctx context.Context, after []byte) ([]row, error) {
	rows, err := b.conn.Query(ctx, b.some, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return readPage(rows)
}

func (b *postgresBare) replace(ctx context.Context, hash, old, version, value []byte) error {
	tag, err := b.conn.Exec(ctx, b.update, version, value, hash, old)
	if err == nil && tag.RowsAffected() != 1 {
		err = affectedError(tag.RowsAffected())
	}
	return err
}

// scan reads over a connection of its own, so that rows can be replaced meanwhile.
func (b *postgresBare) scan(ctx context.Context) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		conn, err := pgx.Connect(ctx, b.dsn)
		if err != nil {
			yield(row{}, err)
			return
		}
		defer conn.Close(context.WithoutCancel(ctx))
		rows, err := conn.Query(ctx, b.all)
		if err != nil {
			yield(row{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var r row
			err := rows.Scan(&r.hash, &r.version, &r.key, &r.value)
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(row{}, err)
		}
	}
}

// replaceAll sends all statements before it waits for the first answer.
func (b *postgresBare) replaceAll(ctx context.Context, changes []change) error {
	return pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		var batch pgx.Batch
		for _, c := range changes {
			batch.Queue(b.update, c.newVersion, c.newValue, c.hash, c.version)
		}
		results := tx.SendBatch(ctx, &batch)
		defer results.Close()
		for range changes {
			tag, err := results.Exec()
			if err != nil {
				return err
			}
			if tag.RowsAffected() != 1 {
				return affectedError(tag.RowsAffected())
			}
		}
		return results.Close()
	})
}

func (b *postgresBare) close() { b.conn.Close(context.Background()) }

func affectedError(affected int64) error {
	return fmt.Errorf("%d rows were replaced and not 1", affected)
}
