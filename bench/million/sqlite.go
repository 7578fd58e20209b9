package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// sqliteFiles is a directory with a file for each table.
type sqliteFiles struct{ dir string }

func openSQLite(dir string) engine { return sqliteFiles{dir} }

func (f sqliteFiles) close() {}

func (f sqliteFiles) template() place {
	return place{"sqlite", filepath.Join(f.dir, "template.db"), template}
}

func (f sqliteFiles) place(number int) place {
	return place{"sqlite", filepath.Join(f.dir, fmt.Sprintf("%d.db", number)), template}
}

func (f sqliteFiles) load(ctx context.Context, rows iter.Seq2[row, error]) error {
	db, s, err := f.template().open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := s.CreateTable(ctx); err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "PRAGMA cache_size = -262144"); err != nil { // 256 MB: hashes come in no order
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert, err := tx.PrepareContext(ctx, "INSERT INTO "+template+" (name_hash, version, name, value) VALUES (?, ?, ?, ?)")
	if err != nil {
		return err
	}
	for r, err := range rows {
		if err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, r.hash, r.version, r.key, r.value); err != nil {
			return err
		}
	}
	if err := errors.Join(insert.Close(), tx.Commit()); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

func (f sqliteFiles) make(_ context.Context, number int) (place, error) {
	p := f.place(number)
	from, err := os.Open(f.template().Source)
	if err != nil {
		return p, err
	}
	defer from.Close()
	to, err := os.OpenFile(p.Source, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return p, err
	}
	_, err = to.ReadFrom(from)
	return p, errors.Join(err, to.Sync(), to.Close())
}

func (f sqliteFiles) drop(_ context.Context, number int) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(f.place(number).Source + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// settle has nothing to do: the files are copies, and what closes one last empties its
// write-ahead log.
func (f sqliteFiles) settle(context.Context) error { return nil }

func (f sqliteFiles) settings(ctx context.Context) (string, error) {
	db, err := sqlstore.OpenSQLite(ctx, f.template().Source)
	if err != nil {
		return "", err
	}
	defer db.Close()
	var version, journal string
	err = db.QueryRowContext(ctx, "SELECT sqlite_version(), journal_mode FROM pragma_journal_mode").Scan(&version, &journal)
	return fmt.Sprintf("SQLite %s by modernc.org/sqlite: journal_mode=%s", version, journal), err
}

// sqliteBare is one connection of database/sql, which is the only way to use the
// driver, with statements that are prepared once.
type sqliteBare struct {
	db                           *sql.DB
	conn                         *sql.Conn
	look, one, some, all, update *sql.Stmt
}

func newSQLiteBare(ctx context.Context, p place) (bare, error) {
	db, err := sqlstore.OpenSQLite(ctx, p.Source) // for the same settings
	if err != nil {
		return nil, err
	}
	b := &sqliteBare{db: db}
	if b.conn, err = db.Conn(ctx); err != nil {
		db.Close()
		return nil, err
	}
	for statement, to := range map[string]**sql.Stmt{
		"SELECT name_hash, version, name, value FROM " + p.Table + " WHERE 1 = 0":                                      &b.look,
		"SELECT version, value FROM " + p.Table + " WHERE name_hash = ?":                                               &b.one,
		"SELECT name_hash, name FROM " + p.Table + " WHERE name_hash > ? ORDER BY name_hash LIMIT 1000":                &b.some,
		"UPDATE " + p.Table + " SET version = ?, value = ? WHERE name_hash = ? AND version = ?":                        &b.update,
		"SELECT rowid, name_hash, version, name, value FROM " + p.Table + " WHERE rowid > ? ORDER BY rowid LIMIT 1000": &b.all,
	} {
		if *to, err = b.conn.PrepareContext(ctx, statement); err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

func (b *sqliteBare) probe(ctx context.Context) error {
	_, err := b.look.ExecContext(ctx)
	return err
}

func (b *sqliteBare) get(ctx context.Context, hash []byte) (version, value []byte, err error) {
	err = b.one.QueryRowContext(ctx, hash).Scan(&version, &value)
	return version, value, err
}

func (b *sqliteBare) page(ctx context.Context, after []byte) ([]row, error) {
	rows, err := b.some.QueryContext(ctx, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return readPage(rows)
}

func (b *sqliteBare) replace(ctx context.Context, hash, old, version, value []byte) error {
	return replaceBy(ctx, b.update, hash, old, version, value)
}

func replaceBy(ctx context.Context, update *sql.Stmt, hash, old, version, value []byte) error {
	result, err := update.ExecContext(ctx, version, value, hash, old)
	if err != nil {
		return err
	}
	affected, err := result.RowsAffected()
	if err == nil && affected != 1 {
		err = affectedError(affected)
	}
	return err
}

// scan reads a thousand rows at a time, in the order in which they are in the file: a
// reader that stays in one transaction would keep the write-ahead log from being
// used again, and it would grow larger than the table.
func (b *sqliteBare) scan(ctx context.Context) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		after := int64(-1)
		for {
			page := make([]row, 0, pageSize)
			rows, err := b.all.QueryContext(ctx, after)
			if err == nil {
				for err == nil && rows.Next() {
					var r row
					err = rows.Scan(&after, &r.hash, &r.version, &r.key, &r.value)
					page = append(page, r)
				}
				err = errors.Join(err, rows.Err(), rows.Close())
			}
			if err != nil {
				yield(row{}, err)
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

func (b *sqliteBare) replaceAll(ctx context.Context, changes []change) error {
	tx, err := b.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	update := tx.StmtContext(ctx, b.update)
	defer update.Close()
	for _, c := range changes {
		if err := replaceBy(ctx, update, c.hash, c.version, c.newVersion, c.newValue); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (b *sqliteBare) close() {
	for _, s := range []*sql.Stmt{b.look, b.one, b.some, b.all, b.update} {
		if s != nil {
			s.Close()
		}
	}
	b.conn.Close()
	b.db.Close()
}
