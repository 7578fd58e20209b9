// Package sqlstore keeps the records of package storage in a table of a database that
// the application has already: PostgreSQL, MySQL or MariaDB, or SQLite. Any number of
// processes and machines may use the same table.
//
//	db, err := sql.Open("pgx", "postgres://…") // import _ "github.com/jackc/pgx/v5/stdlib"
//	// …
//	table, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
//	// …
//	err = table.CreateTable(ctx) // or apply table.Schema() with your migrations
//	// …
//	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(table, keys)}
//
// The package imports no driver: the application imports its own. Values are sealed by
// [storage.Encrypt] before they get here; names are not, and neither are they in the
// database's backups.
//
// # Statements
//
// Each of Get, Put and Delete is one statement, and a transaction of its own. Put
// inserts where there is no row, or updates the row whose version is the one that it
// was given, and the number of affected rows tells whether that was so. There are no
// locks and no settings of the session.
//
// A Store takes no part in a transaction of the application. In SQLite, calling it
// while the same goroutine has written in a transaction waits for that, in vain.
//
// A pooler may pool by transaction. pgx is asked to send each statement at once
// (QueryExecModeExec), unless its connection string says simple_protocol, which does so
// too: any version of PgBouncer is fine. Where pgx is hidden in another driver, such as
// one that traces, it can't be asked: behind a pooler its connection string then needs
// default_query_exec_mode=exec. Its own default works behind PgBouncer from 1.21 if
// max_prepared_statements is above 0, the default from 1.24; describe_exec works behind
// none.
// With MySQL, interpolateParams=true saves a round trip for each call.
//
// A statement is sent again
//
//   - if the database undid it for the sake of another (a deadlock, or a serialization
//     failure), up to 12 times;
//   - on another connection, if the one that it had has become read-only, as a primary
//     does in a failover, or has lost what the driver prepared; that one is closed;
//   - on another connection, if the driver says that it wasn't sent.
//
// Nothing else is.
//
// Store is no [storage.Locker]. What a database could offer, an advisory lock, belongs
// to a connection, which can drop while its holder lives; the contract of Locker
// excludes that.
//
// # What is durable
//
// Only a Put or Delete that returned nil is durable. What Get returns can be younger:
// the database may show a write before it is safe. A call whose outcome is unknown
// returns an error that is not [storage.ErrConflict], and says so: the connection
// broke, the server fell over, or the driver sent the statement twice. Read the record
// again, and write again what must be there.
//
// A write is as durable as the server makes a commit. The defaults of PostgreSQL and
// MySQL, and what [OpenSQLite] sets, keep what was acknowledged. Other settings lose the
// last writes:
//
//	setting                              they are lost when             CreateTable
//	PostgreSQL
//	  synchronous_commit=off             the server is killed           refuses it
//	  fsync=off                          the machine crashes            doesn't look
//	MySQL
//	  innodb_flush_log_at_trx_commit=0   the server is killed           refuses it
//	  innodb_flush_log_at_trx_commit=2   the machine crashes            doesn't look
//	  autocommit=0                       always: nothing is committed   refuses it
//	SQLite
//	  WAL, synchronous below FULL        the machine crashes            refuses it
//	  DELETE, TRUNCATE or PERSIST,
//	  synchronous below EXTRA            the machine crashes            refuses it
//	  a journal in memory, or none       the process is killed          refuses it
//
// If a refresh token was rotated by a write that is lost, its user has to log in again.
//
// When a primary fails over to a replica, what the replica hadn't received is gone.
// PostgreSQL prevents that with synchronous_standby_names and synchronous_commit=on;
// MySQL with semi-synchronous replication whose wait point is AFTER_SYNC.
// Reads must go to the primary, since a replica answers with what it has so far: where
// a connection string of pgx names several hosts, add target_session_attrs=primary. In a
// Galera cluster set wsrep_sync_wait=1, so that a read sees what was acknowledged by
// another node.
//
// # The table
//
// A table has one row for each record, with four binary columns:
//
//	name_hash    32 bytes: SHA-256 of the name; the primary key
//	version      16 bytes, random, new with every write; 32 hexadecimal digits as storage.Version
//	name         the name as it is
//	value        the value as it is
//
// CreateTable refuses a table in which name_hash isn't unique by itself, columns have
// other types, are generated or fold case, that isn't InnoDB (MySQL), is temporary or
// UNLOGGED, or has triggers or rules that can change a write, as a whole or in one of its
// partitions; that others inherit from; or whose rows are hidden from this user by
// PostgreSQL's row security. Other columns may be added to the table
// if they have defaults or may be NULL, and indexes if they aren't unique.
//
// A name without a schema is looked for along search_path, and in MySQL in the
// connection's database. Programs that differ in that have different tables: name the
// schema in Options.Table.
//
// # Stored data and compatibility
//
// Rows that one release wrote are read and written by every later release of this
// major version. A backup needs nothing but the table. The file of an open SQLite
// database must not be copied by cp: what was written last stands in the log beside it,
// and a copy made meanwhile can be damaged. Use SQLite's VACUUM INTO or .backup. Nor must
// it be deleted, moved or replaced, such as by a backup, before all programs have closed
// it: they would go on in the file that has no name any more, without an error, and what
// they write is gone when they end. After an older state was restored, users whose
// refresh tokens were rotated since have to log in again, if no running program has them.
package sqlstore
