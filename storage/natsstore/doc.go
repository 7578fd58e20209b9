// Package natsstore keeps the records of oauth2keep in a key-value bucket of NATS
// JetStream, for programs that run on more than one machine. It takes the application's
// own connection:
//
//	js, err := jetstream.New(connection)
//	// …
//	store := storage.Encrypt(&natsstore.Store{JetStream: js}, keys)
//
// A write is one message that names the last sequence number of its subject, which the
// leader of the bucket compares. A deleted record leaves a marker, which is what the next
// one under that name follows, so that nothing that arrives late brings a record back.
//
// # What nil promises
//
// Only a Put or Delete that returned nil is durable, and what nil promises is up to the
// servers' settings. As NATS comes out of the box it acknowledges writes that a power cut
// forgets:
//
//   - sync_interval: always. By default a server flushes its files every two minutes. A
//     kill of the process loses nothing, but when the machine loses power, so does the
//     bucket, up to two minutes of acknowledged writes; and replicas don't help if they
//     lose it together, or if one does while another lags. With always, every acknowledged
//     write is on the disk, at the price of a flush for each. Servers don't tell clients
//     about this setting. See https://jepsen.io/analyses/nats-2.12.1, and server 2.10.23
//     for what a mere kill could lose before.
//   - Replicas: 3. A write is acknowledged when a majority of the replicas has it, and
//     outlives the loss of one server. With 1, the server's disk is all there is.
//   - max_payload. A server takes messages of up to 1 MiB by default, headers included,
//     and the largest record needs 15 KB more: set 2MB, or records are limited to about
//     1 MB less that.
//   - The bucket's TTL must be 0, its Storage the file, and its History 1.
//
// What is lost is seen, at first: the older record is back, and Put and Delete with the
// lost version are ErrConflict, until as many writes were made again.
//
// [Store.Check] reports what a client can see of this.
//
// # What isn't promised
//
//   - Get sees every acknowledged write, as long as the leader of the bucket is the leader. A
//     leader that was cut off takes itself for that for some seconds, and a new one may
//     answer before it has caught up. Get reads an old record there. No write is based
//     on it: the majority compares, and it is ErrConflict. (KeyValue.Get of package
//     jetstream has any replica answer, at any time. In a test on three servers, one of
//     its reads in ten was older than the write just before. Get asks the leader only.)
//   - Safety of programs that run while a bucket is restored from a backup, or deleted and
//     made again. It counts anew, so that a version that was given out before can come
//     again for another write. Stop the programs first. The same holds for writes that a
//     power cut took, see above.
//   - When a write that was given up ends. The connection keeps messages while it looks for
//     a server, and sends them when it has found one, also if the context is done. The
//     comparison protects newer records, and deleted ones for as long as their markers
//     are there: don't purge markers that are younger than the longest outage.
//   - A lock. The Store isn't a [storage.Locker]; compare-and-swap is enough.
//   - Secrecy of the names: they are in the subjects. Use account numbers or the like.
//
// # Errors
//
// The error of a Put or Delete says what became of the write:
//
//	storage.ErrConflict      nothing was written: the record is another version
//	nothing was written      it was refused, or never sent, and the error says what to do
//	may have been written    nobody knows: read again
//
// A write ends when its connection breaks, by an error of the last kind, for no answer
// comes any more. The Store sends no write again, unless the leader said that it didn't
// look, because another write of the same record was under way. Get asks again. A lost
// leader is replaced within four to nine seconds; until then, and to a user without
// permission, nobody answers: give calls a deadline. One without gets that of package
// jetstream, five seconds.
//
// # Setting up
//
// Make the bucket once, by a program or with the nats command:
//
//	js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: natsstore.DefaultBucket, Replicas: 3})
//	nats kv add oauth2keep --replicas 3
//
// A user who may not do everything needs to subscribe to _INBOX.> and to publish to
//
//	$KV.oauth2keep.>
//	$JS.API.STREAM.MSG.GET.KV_oauth2keep
//	$JS.API.STREAM.INFO.KV_oauth2keep
//	$JS.API.CONSUMER.CREATE.KV_oauth2keep.>
//	$JS.API.CONSUMER.MSG.NEXT.KV_oauth2keep.*
//	$JS.API.CONSUMER.DELETE.KV_oauth2keep.*
//
// of which all but the first two are for Names and Check.
//
// Deleted records leave a marker each, of some hundred bytes. KeyValue.PurgeDeletes
// removes old ones.
//
// The tests run on server 2.15.
//
// # Stored data and compatibility
//
// Records that one release wrote are read by every later one of the same major version.
// A record is the last message of the subject $KV.<bucket>.<key>, unless it has a header
// KV-Operation or Nats-Marker-Reason, and so marks a deletion. The message is the value as
// it is, and the version its sequence number in decimal. The key is the name, with each
// byte that isn't a letter or digit of ASCII, "-", "_" or "/" replaced by "=" and two
// upper-case hexadecimal digits; "=" for the empty name; and if that had more than 1,024
// bytes, "==" and the SHA-256 of the name in lower-case hexadecimal, and the message has
// the name, escaped like that, in a header Oauth2keep-Name. Keys of another form are
// passed over.
package natsstore
