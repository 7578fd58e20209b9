package redisstore_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

// What a program does at its start. Give the result to tokensource.Manager.
func Example() {
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	client := redis.NewClient(options) // the one that the application has anyway
	defer client.Close()

	ctx := context.Background()
	store := &redisstore.Store{Client: client}
	if err := store.Check(ctx); err != nil {
		log.Print(err) // what the server may forget
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

// On a cluster, with every write confirmed by a replica.
func ExampleStore_cluster() {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"redis-1:6379", "redis-2:6379", "redis-3:6379"},
	})
	defer client.Close()
	store := &redisstore.Store{Client: client, Prefix: "myapp:tokens:", WaitReplicas: 1}
	if err := store.Check(context.Background()); err != nil {
		log.Print(err)
	}
}
