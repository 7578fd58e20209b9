package sqlstore

// Each of these statements returns one row for each fault of a table that exists, and
// says what it is. A user who can read the table can read the catalogs.

const postgresFaults = `WITH RECURSIVE t AS (SELECT * FROM pg_catalog.pg_class WHERE oid = '{table}'::regclass),
part AS (SELECT oid FROM t UNION ALL SELECT inhrelid FROM part JOIN pg_catalog.pg_inherits ON inhparent = part.oid),
each AS (SELECT c.*, CASE WHEN c.oid = t.oid THEN 'it' ELSE 'partition ' || c.oid::regclass END AS it FROM t, part JOIN pg_catalog.pg_class c USING (oid)),
col AS (SELECT a.*, attname IN ('name_hash', 'version', 'name', 'value') AS ours FROM t JOIN pg_catalog.pg_attribute a ON attrelid = t.oid WHERE attnum > 0 AND NOT attisdropped),
uni AS (SELECT i.*, (SELECT attnum FROM col WHERE attname = 'name_hash') AS hash FROM t JOIN pg_catalog.pg_index i ON indrelid = t.oid WHERE indisunique)
SELECT 'it is temporary' FROM t WHERE relpersistence = 't'
UNION ALL SELECT it || ' is UNLOGGED: a crash of the server empties it' FROM each WHERE relpersistence = 'u'
UNION ALL SELECT it || ' is a view or foreign, and no table of this database' FROM each WHERE relkind NOT IN ('r', 'p')
UNION ALL SELECT 'table ' || each.oid::regclass || ' inherits from it, and may have the same name_hash' FROM each, t WHERE each.oid <> t.oid AND NOT each.relispartition
UNION ALL SELECT 'column ' || attname || ' is ' || format_type(atttypid, atttypmod) || ', not bytea' FROM col WHERE ours AND atttypid <> 'pg_catalog.bytea'::regtype
UNION ALL SELECT 'column ' || attname || ' is generated' FROM col WHERE ours AND attgenerated <> ''
UNION ALL SELECT 'column ' || attname || ' is NOT NULL and has no default' FROM col WHERE NOT ours AND attnotnull AND NOT atthasdef AND attidentity = ''
UNION ALL SELECT 'name_hash has no primary key or unique index of its own' WHERE NOT EXISTS (SELECT FROM uni
	WHERE indisvalid AND indimmediate AND indpred IS NULL AND indnkeyatts = 1 AND indkey[0] = hash)
UNION ALL SELECT 'index ' || indexrelid::regclass || ' is unique and not on name_hash' FROM uni WHERE hash <> ALL (indkey)
UNION ALL SELECT DISTINCT 'trigger ' || tgname || ' can change or drop what is written' FROM each JOIN pg_catalog.pg_trigger ON tgrelid = each.oid WHERE tgtype & 2 <> 0 AND tgenabled <> 'D'
UNION ALL SELECT 'rule ' || rulename || ' can change or drop what is written' FROM each JOIN pg_catalog.pg_rewrite ON ev_class = each.oid WHERE rulename <> '_RETURN'
UNION ALL SELECT 'row security hides rows from this user: grant it BYPASSRLS, or let it own the table' FROM t WHERE row_security_active(oid)
UNION ALL SELECT 'synchronous_commit is off: the writes before a crash of the server are lost; set it to on for this user or in the connection string' WHERE current_setting('synchronous_commit') = 'off'`

const mysqlFaults = `SELECT CONCAT('its engine is ', COALESCE(ENGINE, TABLE_TYPE), ', not InnoDB: it loses writes') FROM information_schema.TABLES
	WHERE TABLE_SCHEMA = COALESCE({schema}, DATABASE()) AND TABLE_NAME = {name} AND COALESCE(ENGINE, '') <> 'InnoDB'
UNION ALL SELECT 'it is temporary' FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM information_schema.TABLES
	WHERE TABLE_SCHEMA = COALESCE({schema}, DATABASE()) AND TABLE_NAME = {name} AND TABLE_TYPE <> 'TEMPORARY')
UNION ALL SELECT CONCAT('column ', COLUMN_NAME, ' is ', COLUMN_TYPE, ', not ', CASE COLUMN_NAME WHEN 'name_hash' THEN 'BINARY(32)' WHEN 'version' THEN 'BINARY(16)' ELSE 'LONGBLOB' END)
	FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = COALESCE({schema}, DATABASE()) AND TABLE_NAME = {name} AND (
		COLUMN_NAME = 'name_hash' AND NOT (DATA_TYPE = 'binary' AND CHARACTER_MAXIMUM_LENGTH = 32 OR DATA_TYPE = 'varbinary' AND CHARACTER_MAXIMUM_LENGTH >= 32) OR
		COLUMN_NAME = 'version' AND NOT (DATA_TYPE = 'binary' AND CHARACTER_MAXIMUM_LENGTH = 16 OR DATA_TYPE = 'varbinary' AND CHARACTER_MAXIMUM_LENGTH >= 16) OR
		COLUMN_NAME IN ('name', 'value') AND DATA_TYPE NOT IN ('mediumblob', 'longblob'))
UNION ALL SELECT CONCAT('column ', COLUMN_NAME, IF(COALESCE(GENERATION_EXPRESSION, '') <> '', ' is generated', ' is NOT NULL and has no default'))
	FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = COALESCE({schema}, DATABASE()) AND TABLE_NAME = {name} AND IF(COLUMN_NAME IN ('name_hash', 'version', 'name', 'value'),
		COALESCE(GENERATION_EXPRESSION, '') <> '',
		COALESCE(GENERATION_EXPRESSION, '') = '' AND IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL AND EXTRA NOT LIKE '%auto_increment%')
UNION ALL SELECT 'name_hash has no primary key or unique index of its own' FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM information_schema.STATISTICS
	WHERE TABLE_SCHEMA = COALESCE({schema}, DATABASE()) AND TABLE_NAME = {name} AND NON_UNIQUE = 0 GROUP BY INDEX_NAME HAVING COUNT(*) = 1 AND SUM(COLUMN_NAME = 'name_hash' AND SUB_PART IS NULL) = 1)
UNION ALL SELECT CONCAT('index ', INDEX_NAME, ' is unique and not on name_hash') FROM information_schema.STATISTICS
	WHERE TABLE_SCHEMA = COALESCE({schema}, DATABASE()) AND TABLE_NAME = {name} AND NON_UNIQUE = 0 GROUP BY INDEX_NAME HAVING SUM(COLUMN_NAME = 'name_hash' AND SUB_PART IS NULL) = 0
UNION ALL SELECT CONCAT('trigger ', TRIGGER_NAME, ' can change what is written') FROM information_schema.TRIGGERS
	WHERE EVENT_OBJECT_SCHEMA = COALESCE({schema}, DATABASE()) AND EVENT_OBJECT_TABLE = {name} AND ACTION_TIMING = 'BEFORE'
UNION ALL SELECT 'innodb_flush_log_at_trx_commit is 0: the writes before a crash of the server are lost; set it to 1' FROM DUAL WHERE @@GLOBAL.innodb_flush_log_at_trx_commit = 0
UNION ALL SELECT 'autocommit is 0: nothing is ever committed; set it to 1' FROM DUAL WHERE @@SESSION.autocommit = 0`

const sqliteFaults = `WITH col AS (SELECT *, name IN ('name_hash', 'version', 'name', 'value') AS ours FROM pragma_table_xinfo({name}, {schema})),
uni AS (SELECT *, (SELECT group_concat(name) FROM pragma_index_info(l.name, {schema})) AS columns FROM pragma_index_list({name}, {schema}) AS l WHERE "unique")
SELECT 'it is temporary' WHERE lower(COALESCE({schema}, 'temp')) = 'temp' AND EXISTS (SELECT 1 FROM temp.sqlite_master WHERE name = {name} COLLATE NOCASE)
UNION ALL SELECT 'column ' || name || ' is ' || type || ', not BLOB' FROM col WHERE ours AND upper(type) <> 'BLOB'
UNION ALL SELECT 'column ' || name || ' is generated' FROM col WHERE ours AND hidden <> 0
UNION ALL SELECT 'column ' || name || ' is NOT NULL and has no default' FROM col WHERE NOT ours AND "notnull" AND dflt_value IS NULL AND hidden = 0
UNION ALL SELECT 'name_hash has no primary key or unique index of its own' WHERE NOT EXISTS (SELECT 1 FROM uni WHERE columns = 'name_hash' AND NOT partial)
UNION ALL SELECT 'index ' || name || ' is unique and not on name_hash' FROM uni WHERE columns IS NOT 'name_hash'
UNION ALL SELECT 'trigger ' || name || ' can drop what is written' FROM sqlite_master WHERE type = 'trigger' AND tbl_name = {name} COLLATE NOCASE AND sql LIKE '%RAISE%IGNORE%'
UNION ALL SELECT 'with the journal mode ' || journal_mode || ', synchronous is ' || synchronous || ': writes before a loss of power are lost; open the database by OpenSQLite, or set WAL and FULL, or EXTRA'
	FROM pragma_journal_mode, pragma_synchronous
	WHERE NOT (journal_mode = 'wal' AND synchronous >= 2 OR journal_mode IN ('delete', 'truncate', 'persist') AND synchronous = 3)`
