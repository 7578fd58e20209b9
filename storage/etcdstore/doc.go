// Package etcdstore keeps the records of oauth2keep in etcd, for programs that run on
// more than one machine. It takes the application's own client:
//
//	store := storage.Encrypt(&etcdstore.Store{Client: client}, keys)
//
// A write is one transaction that compares the key's revision and writes. As etcd comes
// out of the box it keeps the whole contract of [storage.Store]: a write that returned nil
// is on the disks of a majority of the members, and Get asks a majority too, so that it
// sees every such write, whichever member the client talks to. When a leader is lost,
// the next one has everything that was acknowledged.
//
// # What isn't promised
//
//   - Durability, if the servers run with --unsafe-no-fsync.
//   - Safety of programs that run while a backup is restored. Revisions of etcd count the
//     changes of the whole cluster, and a restored snapshot counts on from its own: a
//     version that was given out before can come again for another write, and a program
//     that still has the first one would overwrite that unknowingly. Stop the programs
//     first, or restore with etcdutl snapshot restore --bump-revision, by more changes
//     than were made since the snapshot, and --mark-compacted.
//   - When a write that was given up ends. A Put or Delete whose context is done may still be
//     done when the network goes on. Its comparison protects newer records, but one that
//     creates a record can bring it back after others created and deleted it.
//   - An answer without a majority. Reads and writes then wait until their context is
//     done: give them a deadline, as package tokensource does. Nothing is read from a
//     member that may be behind.
//   - A lock. Leases of etcd end under a holder that is only slow, and so the Store isn't
//     a [storage.Locker]; compare-and-swap is enough.
//   - Secrecy of the names: they are in the keys as they are, and so in etcd's logs and
//     snapshots. Use account numbers or the like.
//   - That deleted records are gone. Values that were replaced or deleted stay in the
//     database, sealed, until etcd is compacted and defragmented.
//
// # Errors
//
// The error of a Put or Delete says what became of the write:
//
//	storage.ErrConflict      nothing was written: the record is another version
//	nothing was written      etcd refused, and the error says what to do
//	may have been written    nobody knows: read again
//
// A time-out and the loss of a leader or of a connection are of the last kind. The client
// sends a transaction again only if it never left; the Store sends none again. At
// its quota, which is 2 GiB by default, Put fails by an error that says so, although the
// one that reaches it may have been done; Get, Names and Delete go on.
//
// A call without a deadline can wait for as long as etcd doesn't answer.
//
// # Setting up
//
// The Store needs nothing in etcd but room. With access control its user needs a role with
// readwrite on the prefix:
//
//	etcdctl role grant-permission myapp readwrite oauth2keep/ --prefix
//
// A record of 1 MiB, the largest, fits into a request as etcd limits it by default
// (--max-request-bytes, 1.5 MiB). Give the client a DialKeepAliveTime, so that it notices a
// member that is gone without a word, and a shorter backoff than that of gRPC, which
// waits up to two minutes before it tries a member again: the example has both.
//
// The tests pass on etcd 3.4, which .ci/run installs, and on 3.7.
//
// # Stored data and compatibility
//
// Records that one release wrote are read by every later one of the same major version. A
// record is one key without a lease: the prefix and the name of the record, as they are.
// Its value is the value as it is, and its version the decimal ModRevision of the key. All
// keys with the prefix are records. Records may be copied as keys and values; as nothing
// else tells a version, programs must not run meanwhile.
package etcdstore
