package etcdstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/etcdstore"
)

// What a program does at its start. Give the result to tokensource.Manager.
func Example() {
	client, err := clientv3.New(clientv3.Config{ // the one that the application has anyway
		Endpoints:            strings.Split(os.Getenv("ETCD_ENDPOINTS"), ","),
		DialTimeout:          5 * time.Second,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		})},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	key, err := storage.ReadKeyFile("/etc/myapp/token.key")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := storage.NewKeyset(key)
	if err != nil {
		log.Fatal(err)
	}
	sealed := storage.Encrypt(&etcdstore.Store{Client: client, Prefix: "myapp/tokens/"}, keys)

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	version, err := sealed.Put(ctx, "account 1", []byte("a secret"), "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(version)
}
