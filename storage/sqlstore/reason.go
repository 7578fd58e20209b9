package sqlstore

// reason is what is known about an error, and what to do about it.
type reason struct {
	dialect Dialect // zero: any
	codes   string  // those of the database, separated by spaces; empty: any, or none
	text    string  // that the message contains
	again   again
	refused bool // the database undid the statement, unless the report is fatal
	advice  string
}

// again is when the same statement may succeed.
type again int

const (
	otherwise again = iota // when something was done about it
	later                  // in a moment: it was undone for the sake of another transaction
	elsewhere              // on another connection
)

const (
	noTable   = "make the table: call CreateTable once, or apply Schema with the application's migrations; and name its schema in Options.Table if search_path or the default database may differ"
	noSchema  = "make the schema first, or name another in Options.Table"
	noColumns = "the table's columns aren't those of Schema: change them, or choose another name by Options.Table"
	noRights  = "grant this user SELECT, INSERT, UPDATE and DELETE on the table, and CREATE if CreateTable is to make it"
	noLogin   = "the server doesn't take this user: check name, password, host and TLS in the connection string, and the server's rules for them"
	noBase    = "the database doesn't exist: make it, or name another in the connection string or Options.Table"
	noTLS     = "the server and the connection string don't agree about TLS: check sslmode or tls, and the certificates"
	noRoom    = "the server has no connection left: limit this pool by SetMaxOpenConns, or raise the server's limit"
	readOnly  = "the database is read-only here: connect to the primary, and let this process write the database"
	crowded   = "too many transactions change the same row at the same time: it was tried again and again"
	occupied  = "another transaction holds the row for longer than lock_timeout or innodb_lock_wait_timeout: keep transactions short"
	tooSlow   = "the server gave up after statement_timeout or max_statement_time, or was told to"
	diskFull  = "the database's disk is full"
	tooLarge  = "the record is larger than the database accepts: raise max_allowed_packet in MySQL"
	foreign   = "the table has a constraint that Schema doesn't give it: remove it"
	stopping  = "the server is stopping or starting, or an operator ended the connection: try again when it is back"
	pooled    = "the server has lost what the driver prepared: behind a pooler, have the driver send each statement at once, pgx by default_query_exec_mode=exec"
	lost      = "try again when the database is back"
	absent    = lost + "; if it never was there, check address and port in the connection string"
)

// reasons are all of them. The first that matches counts.
var reasons = []reason{
	{PostgreSQL, "40001 40P01", "", later, true, crowded},
	{PostgreSQL, "25006", "", elsewhere, true, readOnly},
	{PostgreSQL, "26000 42P05", "", elsewhere, true, pooled},
	{PostgreSQL, "0A000", "cached plan", elsewhere, true, pooled},
	{PostgreSQL, "08P01", "bind message supplies", otherwise, true, pooled},
	{PostgreSQL, "25P02", "", elsewhere, true, "the application left a transaction open on a connection of the pool: end each one"},
	{PostgreSQL, "42P01", "", otherwise, true, noTable},
	{PostgreSQL, "3F000", "", otherwise, true, noSchema},
	{PostgreSQL, "42703 42804 42883 22P02", "", otherwise, true, noColumns},
	{PostgreSQL, "42P10 55000", "", otherwise, true, "name_hash needs a primary key of its own, as Schema gives it"},
	{PostgreSQL, "42501", "row-level security", otherwise, true, "row security keeps this user from its records: grant it BYPASSRLS, or let it own the table"},
	{PostgreSQL, "42501", "", otherwise, true, noRights},
	{PostgreSQL, "28000", "encryption", otherwise, true, noTLS},
	{PostgreSQL, "28000 28P01", "", otherwise, true, noLogin},
	{PostgreSQL, "3D000", "", otherwise, true, noBase},
	{PostgreSQL, "53300", "", otherwise, true, noRoom},
	{PostgreSQL, "53100", "", otherwise, true, diskFull},
	{PostgreSQL, "55P03", "", otherwise, true, occupied},
	{PostgreSQL, "57014", "", otherwise, true, tooSlow},
	{PostgreSQL, "54000", "", otherwise, true, tooLarge},
	{PostgreSQL, "23502 23505 23514", "", otherwise, true, foreign},
	{PostgreSQL, "57P01 57P02 57P03", "", otherwise, false, stopping},
	{PostgreSQL, "08P01", "no such database", otherwise, false, noBase}, // this and the next two are PgBouncer's words
	{PostgreSQL, "08P01", "authentication failed", otherwise, false, noLogin},
	{PostgreSQL, "08P01", "unsupported startup parameter", otherwise, false, "PgBouncer doesn't pass this parameter of the connection string on: remove it, or list it in ignore_startup_parameters"},

	{MySQL, "1213 1020", "", later, true, crowded}, // 1020: the row changed since MariaDB's snapshot
	{MySQL, "1290 1792 1836", "", elsewhere, true, readOnly},
	{MySQL, "1047", "", elsewhere, false, "this node isn't in the primary component of its Galera cluster: connect to another"},
	{MySQL, "1243 1615", "", elsewhere, true, pooled},
	{MySQL, "1146", "", otherwise, true, noTable},
	{MySQL, "1054 1364 1406", "", otherwise, true, noColumns},
	{MySQL, "1044 1142 1143", "", otherwise, true, noRights},
	{MySQL, "1045 1130 1698", "", otherwise, true, noLogin},
	{MySQL, "3159", "", otherwise, true, noTLS},
	{MySQL, "1046 1049", "", otherwise, true, noBase},
	{MySQL, "1040 1203 1226", "", otherwise, true, noRoom},
	{MySQL, "1021 1114", "", otherwise, true, diskFull},
	{MySQL, "1205", "", otherwise, true, occupied},
	{MySQL, "1969 3024", "", otherwise, true, tooSlow},
	{MySQL, "1153", "", otherwise, true, tooLarge},
	{MySQL, "4025 3819", "", otherwise, true, foreign}, // a CHECK in MariaDB, in MySQL
	{MySQL, "1053 1317 1927", "", otherwise, false, stopping},

	{SQLite, sqliteBusy + " " + sqliteLocked, "", otherwise, true, "another connection holds the database for longer than busy_timeout: keep transactions short, and open the database as OpenSQLite does"},
	{SQLite, "8", "", otherwise, true, readOnly},
	{SQLite, "1", "no such table", otherwise, true, noTable},
	{SQLite, "1", "unknown database", otherwise, true, noSchema},
	{SQLite, "1", "column", otherwise, true, noColumns},
	{SQLite, "1", "ON CONFLICT clause does not match", otherwise, true, "name_hash needs a primary key of its own, as Schema gives it"},
	{SQLite, "13", "", otherwise, true, diskFull},
	{SQLite, "14", "", otherwise, true, "the file can't be opened: its directory must exist, and this process's user must be allowed to write both"},
	{SQLite, "18", "", otherwise, true, tooLarge},
	{SQLite, "19", "cannot store", otherwise, true, noColumns},
	{SQLite, "19", "", otherwise, true, foreign},
	{SQLite, "11 26", "", otherwise, false, "the file is damaged, or is no database: restore it from a backup"},

	// What no database reported. Only a connection that wasn't made is known to have
	// carried nothing.
	{0, "", "sql: database is closed", otherwise, true, "the application closed the *sql.DB: close it after the Store's last use"},
	{0, "", "TLS", otherwise, false, noTLS},
	{0, "", "tls:", otherwise, false, noTLS},
	{0, "", "x509:", otherwise, false, noTLS},
	{0, "", "no such host", otherwise, false, "the host of the connection string has no address: check its name"},
	{0, "", "dial ", otherwise, false, absent},
	{0, "", "connection", otherwise, false, lost},
	{0, "", "EOF", otherwise, false, lost},
}
