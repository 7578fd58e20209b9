package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
)

// OpenSQLite opens the SQLite database in a file as a store of tokens needs it, and
// makes the file if there is none, with mode 0600: a write-ahead log, so that
// readers and the writer don't wait for each other; synchronous EXTRA, so that a
// write survives a loss of power in every journal mode; ten seconds of patience for
// other writers; and transactions that are immediate, so that a transaction of the
// application's own waits for its turn when it begins, and doesn't fail in its middle.
// Writers of one process take turns; processes among themselves try again and again.
//
// The driver is the application's to import:
//
//	import _ "modernc.org/sqlite"
//
// The file must be on a local disk. One that exists keeps its mode, and what root makes
// belongs to the owner of the directory. SQLite gives the same mode and owner to the two
// files that it makes beside it. The caller closes what OpenSQLite returns.
func OpenSQLite(ctx context.Context, path string) (*sql.DB, error) {
	if !slices.Contains(sql.Drivers(), "sqlite") {
		return nil, errors.New(`sqlstore: there is no driver for SQLite in this program: import _ "modernc.org/sqlite"`)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: can't open the SQLite database: %w", err)
	}
	// An existing file must not be opened and closed here: in POSIX that frees the
	// locks that another connection of this process holds on it.
	if err := safefile.MakeFile(path); err != nil {
		return nil, fmt.Errorf("sqlstore: can't make the SQLite database: %w (its directory must exist, and this process's user must be allowed to write it)", err)
	}
	db, err := sql.Open("sqlite", sqliteName(path))
	if err != nil {
		return nil, fmt.Errorf("sqlstore: can't open the SQLite database: %w", err)
	}
	if err := checkSQLite(ctx, db); err != nil {
		db.Close()
		if ctxErr := ctx.Err(); ctxErr != nil {
			return nil, ctxErr
		}
		return nil, fmt.Errorf("sqlstore: can't open the SQLite database %s: %w", path, err)
	}
	return db, nil
}

// sqliteName returns the name by which the driver opens a file as it should be.
func sqliteName(path string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // C:/…
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: slashed}
	return u.String() + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=synchronous(EXTRA)"
}

// patience is how long OpenSQLite waits for others, as busy_timeout has a write wait.
const patience = 10 * time.Second

// checkSQLite connects, and makes sure that the settings took effect: SQLite ignores
// those that it can't follow.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	// The file remembers its journal mode, so that it is set once. While others open
	// or close it, SQLite refuses without the patience of busy_timeout.
	var journal string
	var err error
	for deadline := time.Now().Add(patience); ; {
		err = db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&journal)
		if c := reportOf(err).code; c != sqliteBusy && c != sqliteLocked || time.Now().After(deadline) {
			break
		}
		if err := wait(ctx, rand.N(20*time.Millisecond)+time.Millisecond); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if journal != "wal" {
		return fmt.Errorf("its journal mode is %s, not WAL: put it on a local disk, or close the program that has it open in another mode", journal)
	}
	var synchronous int
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return err
	}
	if synchronous < 3 {
		return fmt.Errorf("synchronous is %d, not EXTRA: the driver must understand _pragma, as modernc.org/sqlite does", synchronous)
	}
	return nil
}
