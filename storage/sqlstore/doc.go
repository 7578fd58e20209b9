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
// [storage.Encrypt] before they get here; keys are not, and neither are they in the
// database's backups.
//
// # Statements
//
// Each of Get, Put and Delete is one statement, and a transaction of its own. Put
// inserts where there is no row, or updates the row whose version is the one that it
// was given, and the number of affected rows tells whether that was so. There are no
// locks, no settings of the session and, except in SQLite, no statements that outlive a
// call, other than those which the driver keeps. So PgBouncer may pool by transaction; before its
// version 1.21, pgx needs default_query_exec_mode=exec in the connection string. With
// MySQL, interpolateParams=true saves a round trip for each call.
//
// A transaction that the database undid for the sake of another (a deadlock, or a
// serialization failure) is tried again, up to 12 times, and so is one of which the
// driver says that it wasn't sent. Should that be wrong, Put recognizes its own write.
// Nothing else is: a write whose connection was lost returns an error that is neither
// nil nor [storage.ErrConflict], because nobody knows whether it happened.
//
// Store is no [storage.Locker]. What a database could offer, an advisory lock, belongs
// to a connection, which can drop while its holder lives; the contract of Locker
// excludes that.
//
// # What is durable
//
// A write is as durable as the server makes a commit. These settings keep the promise
// of [storage.Store], and are the defaults:
//
//	PostgreSQL  synchronous_commit=on, fsync=on
//	MySQL       innodb_flush_log_at_trx_commit=1, autocommit=1
//	SQLite      PRAGMA synchronous=FULL, which [OpenSQLite] sets and checks
//
// With synchronous_commit=off, innodb_flush_log_at_trx_commit=0 or 2, or synchronous
// NORMAL (in a write-ahead log), the last writes before a crash of the machine can be
// gone, though they were acknowledged; if a refresh token was rotated by then, its user
// has to log in again. With autocommit=0 in MySQL nothing is ever committed: don't.
//
// When a primary fails over to a replica, what the replica hadn't received is gone.
// PostgreSQL prevents that with synchronous_standby_names and synchronous_commit=on;
// MySQL with semi-synchronous replication whose wait point is AFTER_SYNC.
// Reads must go to the primary. In a Galera cluster set wsrep_sync_wait=1, so that a
// read sees what was acknowledged by another node.
//
// # Stored data and compatibility
//
// A table has one row for each record, with four binary columns:
//
//	key_hash     32 bytes: SHA-256 of the key; the primary key
//	version      16 bytes, random, new with every write; 32 hexadecimal digits as storage.Version
//	record_key   the key as it is
//	value        the value as it is
//
// Rows that one release wrote are read and written by every later release of this
// major version. A backup needs nothing but the table. After an older state was
// restored, users whose refresh tokens were rotated since have to log in again.
//
// Other columns may be added to the table if they have defaults, and indexes if they
// aren't unique.
package sqlstore
