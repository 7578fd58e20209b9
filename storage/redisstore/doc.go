// Package redisstore keeps the records of oauth2keep in Redis, or a server that
// speaks its protocol, for programs that run on more than one machine. It takes the
// application's own go-redis client:
//
//	store := storage.Encrypt(&redisstore.Store{Client: client}, keys)
//
// The client may be for one server, for Sentinel or for a cluster. A write is one script
// on one key, so that comparing and writing are one step and that a cluster can hold the
// records anywhere.
//
// # What lasts and what doesn't
//
// Only a Put or Delete that returned nil is durable. What Get returns need not be yet:
// it may be another program's write that is still on its way to disks and replicas.
//
// What nil promises is up to the server's settings. As Redis comes out of the box it
// acknowledges writes that a restart forgets. Then the older record is back, and Put and
// Delete with the lost version are ErrConflict; if it was a rotated refresh token, and no
// process has it in memory, its user has to log in again. [Store.Check] reports such
// settings. In the order of what they cost:
//
//   - maxmemory-policy noeviction. Under the allkeys policies Redis deletes records
//     when memory is short. Under noeviction Put fails, with an error that says so.
//   - appendonly yes. Without it only snapshots are written, minutes apart, and a kill of
//     the process loses all since the last.
//   - appendfsync always. Every acknowledged write is on the disk: this is what the
//     contract of [storage.Store] demands. With everysec, the default, a power cut loses
//     the last second, or two; and so does a kill of the process, if a flush was under way,
//     for Redis then delays the next write to its file. no-appendfsync-on-rewrite must be
//     no.
//   - WaitReplicas. Replication is asynchronous. With WaitReplicas, Put and Delete run
//     WAIT and return nil only when as many replicas received the write, in their
//     memory. Otherwise the error is [ErrUnconfirmed]: written on the master, and not
//     confirmed. What that is worth is below. WAITAOF, which Redis has since 7.2, isn't
//     used: give the replicas appendfsync always instead.
//   - min-replicas-to-write. A master that was replaced and doesn't know it goes on
//     accepting writes, which are dropped when it learns of its successor. This
//     setting bounds for how long.
//
// So one server with the first three keeps the contract; a failover, by Sentinel, a
// cluster or a provider, can break it, unless every replica confirms every write. Who
// needs more than that needs another engine.
//
// Redis must not be told to expire the records, and DEL, FLUSHDB, RENAME and RESTORE
// by anyone else are not noticed.
//
// # Failover
//
// The Store goes on with the new master by itself, when the client has found it.
// Until then every method returns errors, and writes that were under way may have
// been done or not. Of the others:
//
//   - A write that returned nil, and that not every replica confirmed, can be lost.
//     Then the record is as it was before, also if it had been deleted. Get shows
//     that, and Put and Delete with the lost version are ErrConflict: nobody
//     overwrites unknowingly. WaitReplicas below the number of replicas makes the
//     loss unlikely, not impossible: what is promoted may be another replica, because
//     of its replica-priority, or because the one that confirmed was gone too.
//   - A write that returned nil with WaitReplicas the number of all replicas is
//     there, whichever is promoted; the replicas need the settings above too, or they
//     forget it when they are started again. The price is that each write is
//     ErrUnconfirmed while one of them is missing, and so after the failover until the
//     lost server, or another one, is back as a replica.
//   - A write that returned ErrUnconfirmed may be there or not. Until the failover
//     Get shows it, for the master has it. The next write on the same master that
//     returns nil confirms it too.
//
// WaitReplicas is no substitute for appendonly: a master that is started again
// without its data, before anybody promotes a replica, has its replicas forget
// theirs.
//
// A master that was replaced, because it was cut off or has crashed, takes itself for
// the master until it is told, which Sentinel does some ten seconds after it sees it
// again. A client that still talks to it reads old records there, and a write is
// acknowledged and dropped, unless:
//
//   - min-replicas-to-write is 1 or more. Then the write is an error, and nothing is
//     written, as soon as the server has noticed that its replicas are gone: at once
//     if it was started again, and if it was cut off after min-replicas-max-lag, ten
//     seconds by default, and another second or two.
//   - WaitReplicas is 1 or more. Then it is ErrUnconfirmed, except by replicas that
//     were cut off together with it; if all have to confirm, always.
//
// What it wrote, and all its records that were replaced or deleted since, are gone
// when it becomes a replica. They don't come back if it is promoted again. A client
// made by redis.NewFailoverClient asks Sentinel before it connects; one with a fixed
// address would stay with a server that isn't the master any more: writes are then
// errors, but Get reads what the replica has.
//
// # Errors
//
// The error of a Put or Delete says what became of the write:
//
//	storage.ErrConflict      nothing was written: the record is another version
//	nothing was written      the server refused, or was never reached
//	may have been written    nobody knows: read again
//	ErrUnconfirmed           it was written, and too few replicas confirmed it
//
// and what to do, where the server's error tells: about a replica (READONLY, MASTERDOWN),
// a server that is starting (LOADING) or has no memory (OOM), disk (MISCONF) or replicas
// (NOREPLICAS) to write to, and a user that isn't allowed to (NOAUTH, NOPERM). An answer
// that isn't known to be a refusal counts as unknown, for a proxy may have made it up
// after the write.
//
// When a connection breaks before the answer to a write, nobody knows whether it was
// done. The Store turns off the client's own repetition of commands (MaxRetries) for its
// writes, which would take the first run for somebody else's, and sends the write again
// itself, up to four times in all. The script recognizes a record that it wrote. If
// it finds another one, or if a deletion can't be told from somebody else's, the
// error says to read again, and isn't ErrConflict.
//
// A context that is done ends a call at once, also when the server or the network hangs.
// The connection stays taken until the client's ReadTimeout, so don't turn that off. A
// command that was given up, because its context is done or its answer is late, can still
// run when the server or the network goes on. Its comparison protects newer records. So
// that one which creates a record can't bring it back after it was deleted, the server
// ignores it, by its own clock, once the ReadTimeout or the context's deadline is over;
// if the context was canceled, or the connection broken, only after the ReadTimeout.
//
// While a cluster moves a slot from one server to another, a write with WaitReplicas to a
// record that has moved is refused: WAIT can't follow a redirect. The Store tries for a
// quarter of a second, which is more than the move of some hundred records takes.
//
// # What the user may do
//
// On a server with access control, the client's user needs, for keys that begin with
// the prefix: EVAL, GET, GETRANGE, TYPE, SET and DEL; TIME; for Names, SCAN and INFO;
// for WaitReplicas, WAIT; for Check, INFO and, if possible, CONFIG GET; in a cluster,
// CLUSTER SLOTS, CLUSTER NODES, COMMAND and ASKING. The tests run on Redis 7.0. The
// Store needs Redis 5.
//
// Record names are in the keys as they are, and not encrypted: use account numbers
// or the like, nothing secret.
//
// # Stored data and compatibility
//
// Records that one release wrote are read by every later one of the same major
// version. A record is a Redis string without an expiry. Its key is the prefix and
// the name of the record; its value is
//
//	"o2kr"           4 bytes, magic
//	0x01             1 byte, format
//	version         16 bytes, random, new with every write
//	value            the value as it is
//
// A program that meets another format or a foreign value, of any type, returns
// storage.ErrOpen and leaves it alone, unless [Store.Discard] is called. Nothing else is
// stored. A record may be copied to another server with DUMP and RESTORE, or as a whole by
// replication, when no program is running.
package redisstore
