package sqlstore_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// columns are those of a sound table without its key, for tests that change one.
var columns = map[sqlstore.Dialect]string{
	sqlstore.PostgreSQL: "name_hash bytea NOT NULL, version bytea NOT NULL, name bytea NOT NULL, value bytea NOT NULL",
	sqlstore.MySQL:      "name_hash BINARY(32) NOT NULL, version BINARY(16) NOT NULL, name LONGBLOB NOT NULL, value LONGBLOB NOT NULL",
	sqlstore.SQLite:     "name_hash BLOB NOT NULL, version BLOB NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL",
}

const key = ", PRIMARY KEY (name_hash)"

// TestCreateTableNamesTheFaultsOfATable finds tables that would take two creations of
// one record, cut a value off, lose records when the server is killed, and the like.
func TestCreateTableNamesTheFaultsOfATable(t *testing.T) {
	const noKey = "name_hash has no primary key or unique index of its own"
	for _, test := range []struct {
		name    string
		dialect sqlstore.Dialect
		change  string // old=>new in the columns and key, or a suffix
		more    string // a statement
		want    string // or none, if the table is sound
	}{
		{"no key", sqlstore.PostgreSQL, key + "=>", "", noKey},
		{"another key", sqlstore.PostgreSQL, key + "=>, PRIMARY KEY (name)", "", "index {}_pkey is unique and not on name_hash"},
		{"a wider key", sqlstore.PostgreSQL, key + "=>, PRIMARY KEY (name_hash, version)", "", noKey},
		{"a key for some rows", sqlstore.PostgreSQL, key + "=>", "CREATE UNIQUE INDEX ON {} (name_hash) WHERE name_hash > ''", noKey},
		{"a key of an expression", sqlstore.PostgreSQL, key + "=>", "CREATE UNIQUE INDEX ON {} (md5(name_hash))", noKey},
		{"a key that is checked late", sqlstore.PostgreSQL, key + "=>, UNIQUE (name_hash) DEFERRABLE", "", noKey},
		{"a unique index", sqlstore.PostgreSQL, key + "=>, UNIQUE (name_hash)", "", ""},
		{"an index of the application", sqlstore.PostgreSQL, "", "CREATE INDEX ON {} (name)", ""},
		{"text", sqlstore.PostgreSQL, "value bytea=>value text", "", "column value is text, not bytea"},
		{"text that folds case", sqlstore.PostgreSQL, "name_hash bytea=>name_hash varchar(64)", "", "column name_hash is character varying(64), not bytea"},
		{"a generated column", sqlstore.PostgreSQL, "value bytea NOT NULL=>value bytea GENERATED ALWAYS AS (name) STORED", "", "column value is generated"},
		{"a column of the application", sqlstore.PostgreSQL, key + "=>" + key + ", made timestamptz NOT NULL DEFAULT now(), note text", "", ""},
		{"a column that a record lacks", sqlstore.PostgreSQL, key + "=>" + key + ", owner text NOT NULL", "", "column owner is NOT NULL and has no default"},
		{"a column too few", sqlstore.PostgreSQL, ", name bytea NOT NULL=>", "", "the table's columns aren't those of Schema"},
		{"unlogged", sqlstore.PostgreSQL, "", "ALTER TABLE {} SET UNLOGGED", "it is UNLOGGED"},
		{"partitions", sqlstore.PostgreSQL, ") PARTITION BY HASH (name_hash)", "CREATE TABLE {}_0 PARTITION OF {} FOR VALUES WITH (MODULUS 1, REMAINDER 0)", ""},
		{"an UNLOGGED partition", sqlstore.PostgreSQL, ") PARTITION BY HASH (name_hash)", "CREATE UNLOGGED TABLE {}_0 PARTITION OF {} FOR VALUES WITH (MODULUS 1, REMAINDER 0)", "partition {}_0 is UNLOGGED"},
		{"an UNLOGGED partition of a partition", sqlstore.PostgreSQL, ") PARTITION BY HASH (name_hash)", "CREATE TABLE {}_0 PARTITION OF {} FOR VALUES WITH (MODULUS 1, REMAINDER 0) PARTITION BY HASH (name_hash); CREATE UNLOGGED TABLE {}_1 PARTITION OF {}_0 FOR VALUES WITH (MODULUS 1, REMAINDER 0)", "partition {}_1 is UNLOGGED"},
		{"a trigger of a partition", sqlstore.PostgreSQL, ") PARTITION BY HASH (name_hash)", "CREATE TABLE {}_0 PARTITION OF {} FOR VALUES WITH (MODULUS 1, REMAINDER 0); CREATE TRIGGER swallow BEFORE UPDATE ON {}_0 FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", "trigger swallow can change or drop what is written"},
		{"a table that inherits", sqlstore.PostgreSQL, "", "CREATE TABLE {}_heir () INHERITS ({})", "table {}_heir inherits from it"},
		{"a materialized view", sqlstore.PostgreSQL, "", "ALTER TABLE {} RENAME TO {}_t; CREATE MATERIALIZED VIEW {} AS SELECT * FROM {}_t; CREATE UNIQUE INDEX ON {} (name_hash)", "it is a view or foreign"},
		{"a rule", sqlstore.PostgreSQL, "", "CREATE RULE swallow AS ON UPDATE TO {} DO INSTEAD NOTHING", "rule swallow can change or drop what is written"},
		{"a trigger", sqlstore.PostgreSQL, "", "CREATE TRIGGER swallow BEFORE UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", "trigger swallow can change or drop what is written"},
		{"a view", sqlstore.PostgreSQL, "", "ALTER TABLE {} RENAME TO {}_t; CREATE VIEW {} AS SELECT * FROM {}_t", noKey},

		{"no key", sqlstore.MySQL, key + "=>", "", noKey},
		{"an index that isn't unique", sqlstore.MySQL, key + "=>, KEY (name_hash)", "", noKey},
		{"a key of a prefix", sqlstore.MySQL, key + "=>, PRIMARY KEY (name_hash(8))", "", noKey},
		{"another key beside it", sqlstore.MySQL, key + "=>" + key + ", UNIQUE KEY other (version)", "", "index other is unique and not on name_hash"},
		{"a unique index", sqlstore.MySQL, key + "=>, UNIQUE KEY (name_hash)", "", ""},
		{"64 KiB", sqlstore.MySQL, "value LONGBLOB=>value BLOB", "", "column value is blob, not LONGBLOB"},
		{"16 MiB", sqlstore.MySQL, "value LONGBLOB=>value MEDIUMBLOB", "", ""},
		{"a hash that is cut off", sqlstore.MySQL, "BINARY(32)=>BINARY(20)", "", "column name_hash is binary(20), not BINARY(32)"},
		{"a hash that is filled up", sqlstore.MySQL, "BINARY(32)=>BINARY(64)", "", "column name_hash is binary(64), not BINARY(32)"},
		{"a hash of some length", sqlstore.MySQL, "BINARY(32)=>VARBINARY(64)", "", ""},
		{"text that folds case", sqlstore.MySQL, "version BINARY(16)=>version VARCHAR(64)", "", "column version is varchar(64), not BINARY(16)"},
		{"MyISAM", sqlstore.MySQL, ") ENGINE=MyISAM", "", "its engine is MyISAM, not InnoDB"},
		{"MEMORY", sqlstore.MySQL, "LONGBLOB=>VARBINARY(500)", "ALTER TABLE {} ENGINE=MEMORY", "its engine is MEMORY, not InnoDB"},
		{"a generated column", sqlstore.MySQL, "value LONGBLOB NOT NULL=>value LONGBLOB AS (name) STORED", "", "column value is generated"},
		{"a column of the application", sqlstore.MySQL, key + "=>" + key + ", made DATETIME NOT NULL DEFAULT now(), note TEXT", "", ""},
		{"a column that a record lacks", sqlstore.MySQL, key + "=>" + key + ", owner INT NOT NULL", "", "column owner is NOT NULL and has no default"},
		{"a trigger", sqlstore.MySQL, "", "CREATE TRIGGER {}_t BEFORE INSERT ON {} FOR EACH ROW SET NEW.value = ''", "can change what is written"},

		{"no key", sqlstore.SQLite, key + "=>", "", noKey},
		{"a key for some rows", sqlstore.SQLite, key + "=>", "CREATE UNIQUE INDEX u ON {} (name_hash) WHERE name_hash > ''", noKey},
		{"another key", sqlstore.SQLite, key + "=>" + key + ", UNIQUE (value)", "", "is unique and not on name_hash"},
		{"text", sqlstore.SQLite, "value BLOB=>value TEXT", "", "column value is TEXT, not BLOB"},
		{"a generated column", sqlstore.SQLite, "value BLOB NOT NULL=>value BLOB AS (name)", "", "column value is generated"},
		{"a column of the application", sqlstore.SQLite, key + "=>, made TEXT NOT NULL DEFAULT ''" + key, "", ""},
		{"a column that a record lacks", sqlstore.SQLite, key + "=>, owner TEXT NOT NULL" + key, "", "column owner is NOT NULL and has no default"},
		{"a trigger", sqlstore.SQLite, "", "CREATE TRIGGER swallow BEFORE UPDATE ON {} BEGIN SELECT RAISE(IGNORE); END", "trigger swallow can drop what is written"},
		{"a trigger that only counts", sqlstore.SQLite, "", "CREATE TABLE n (n); CREATE TRIGGER counts AFTER UPDATE ON {} BEGIN INSERT INTO n VALUES (1); END", ""},
		{"no rowid", sqlstore.SQLite, ") WITHOUT ROWID", "", ""},
	} {
		t.Run(test.dialect.String()+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			to := engines[test.dialect-1].make(t)
			db := to.pool(t, 0)
			table := "(" + columns[test.dialect] + key + ")"
			if old, changed, ok := strings.Cut(test.change, "=>"); ok {
				require.Contains(t, table, old)
				table = strings.ReplaceAll(table, old, changed)
			} else if test.change != "" {
				table = strings.TrimSuffix(table, ")") + test.change
			}
			to.table += "x"
			mustExec(t, db, "CREATE TABLE "+to.table+" "+table)
			defer db.Exec("DROP TABLE " + to.table) // or it was replaced by a view
			if test.more != "" {
				mustExec(t, db, strings.ReplaceAll(test.more, "{}", to.table))
			}
			err := to.store(t, 0).CreateTable(ctx)
			if test.want == "" {
				require.NoError(t, err)
				require.NoError(t, writeAndRead(to.store(t, 0), "name", "value"))
				return
			}
			require.ErrorContains(t, err, strings.ReplaceAll(test.want, "{}", to.table))
			require.ErrorContains(t, err, "Options.Table")
		})
	}
}

func mustExec(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.Exec(statement)
	require.NoError(t, err, statement)
}

// TestCreateTableFindsATemporaryTable, which hides another of the same name.
func TestCreateTableFindsATemporaryTable(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		if to.dialect == sqlstore.MySQL {
			to.table += "x" // MySQL's catalog doesn't tell whether one is hidden
		}
		db, err := to.db()
		require.NoError(t, err)
		defer db.Close()
		db.SetMaxOpenConns(1)
		mustExec(t, db, "CREATE TEMPORARY TABLE "+to.table+" ("+columns[to.dialect]+key+")")
		s, err := sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
		require.NoError(t, err)
		require.ErrorContains(t, s.CreateTable(ctx), "it is temporary")
	})
}

// TestCreateTableFindsSettingsThatLoseWrites isn't parallel, since it changes a server.
func TestCreateTableFindsSettingsThatLoseWrites(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		to := postgres.target(t).make(t)
		for setting, sound := range map[string]bool{"off": false, "local": true, "on": true, "remote_apply": true} {
			err := to.with("synchronous_commit=" + setting).open(t).CreateTable(ctx)
			if sound {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "synchronous_commit is off")
			}
		}

	})
	t.Run("MySQL", func(t *testing.T) {
		to := mysql.ours(t).make(t)
		require.ErrorContains(t, to.with("autocommit=0").open(t).CreateTable(ctx), "autocommit is 0")
		db, err := to.db()
		require.NoError(t, err)
		defer db.Close()
		defer mustExec(t, db, "SET GLOBAL innodb_flush_log_at_trx_commit = 2")
		for setting := range 3 {
			mustExec(t, db, fmt.Sprint("SET GLOBAL innodb_flush_log_at_trx_commit = ", setting))
			if err := to.open(t).CreateTable(ctx); setting == 0 {
				require.ErrorContains(t, err, "innodb_flush_log_at_trx_commit is 0")
			} else {
				require.NoError(t, err)
			}
		}
	})
	t.Run("SQLite", func(t *testing.T) {
		for settings, sound := range map[string]bool{
			"journal_mode(WAL)&_pragma=synchronous(NORMAL)":     false,
			"journal_mode(WAL)&_pragma=synchronous(FULL)":       true,
			"journal_mode(WAL)&_pragma=synchronous(EXTRA)":      true,
			"journal_mode(DELETE)&_pragma=synchronous(FULL)":    false,
			"journal_mode(TRUNCATE)&_pragma=synchronous(FULL)":  false,
			"journal_mode(DELETE)&_pragma=synchronous(EXTRA)":   true,
			"journal_mode(TRUNCATE)&_pragma=synchronous(EXTRA)": true,
			"journal_mode(PERSIST)&_pragma=synchronous(EXTRA)":  true,
			"journal_mode(MEMORY)&_pragma=synchronous(EXTRA)":   false,
			"journal_mode(OFF)&_pragma=synchronous(EXTRA)":      false,
		} {
			u := url.URL{Scheme: "file", OmitHost: true, Path: memoryDir(t) + "/db", RawQuery: "_pragma=" + settings}
			db, err := sql.Open("sqlite", u.String())
			require.NoError(t, err)
			defer db.Close()
			s, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
			require.NoError(t, err)
			if err = s.CreateTable(ctx); sound {
				require.NoError(t, err, settings)
			} else {
				require.ErrorContains(t, err, "loss of power", settings)
			}
		}
	})
}

// TestRowSecurity is about a policy that hides records from the user who wrote them.
func TestRowSecurity(t *testing.T) {
	t.Parallel()
	to := postgres.ours(t).make(t)
	db, err := to.db()
	require.NoError(t, err)
	defer db.Close()
	mustExec(t, db, "CREATE ROLE secured LOGIN")
	mustExec(t, db, "GRANT ALL ON "+to.table+" TO secured")
	mustExec(t, db, "ALTER TABLE "+to.table+" ENABLE ROW LEVEL SECURITY")
	require.NoError(t, to.open(t).CreateTable(ctx), "it doesn't apply to the owner")
	to.source = strings.Replace(to.source, "//postgres@", "//secured@", 1)
	s := to.open(t)
	require.ErrorContains(t, s.CreateTable(ctx), "row security hides rows from this user")
	_, err = s.Put(ctx, "name", nil, "")
	require.ErrorContains(t, err, "nothing was written; row security keeps this user from its records")
}
