package natsstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/natsstore"
)

// What a program does at its start. Give the result to tokensource.Manager.
func Example() {
	connection, err := nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1)) // the one that the application has anyway
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	js, err := jetstream.New(connection)
	if err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	store := &natsstore.Store{JetStream: js, Bucket: "myapp-tokens"}
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: store.Bucket, Replicas: 3})
	if err != nil && !errors.Is(err, jetstream.ErrBucketExists) {
		log.Fatal(err)
	}
	if err := store.Check(ctx); err != nil {
		log.Print(err) // under what settings records can be lost
	}

	key, err := storage.ReadKeyFile("/etc/myapp/token.key")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := storage.NewKeyset(key)
	if err != nil {
		log.Fatal(err)
	}
	sealed := storage.Encrypt(store, keys)

	version, err := sealed.Put(ctx, "account 1", []byte("a secret"), "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(version)
}
