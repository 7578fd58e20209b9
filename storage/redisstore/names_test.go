package redisstore_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

// fill stores n records, many at a time, as Put would.
func fill(t testing.TB, c redis.UniversalClient, prefix string, n int) {
	const batch = 1000
	for i := 0; i < n; i += batch {
		pipe := c.Pipeline()
		for k := i; k < min(i+batch, n); k++ {
			pipe.Set(ctx, fmt.Sprint(prefix, "name ", k), "o2kr\x010123456789abcdefvalue", 0)
		}
		_, err := pipe.Exec(ctx)
		require.NoError(t, err)
	}
}

func TestTenThousandNamesAreListed(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	one := client(t, start(t, durable...).addr)
	many := clusterClient(t, cluster(t))
	for name, c := range map[string]redis.UniversalClient{"one server": one, "cluster": many} {
		t.Run(name, func(t *testing.T) {
			const n = 10_000
			s := &redisstore.Store{Client: c}
			fill(t, c, redisstore.DefaultPrefix, n)
			seen := make(map[string]bool)
			for name, err := range s.Names(ctx) {
				require.NoError(t, err)
				require.False(t, seen[name], "twice: %q", name)
				seen[name] = true
				if len(seen)%1000 == 0 { // the tables grow and shrink meanwhile
					fill(t, c, "other:"+strconv.Itoa(len(seen)), 2000)
				}
			}
			require.Len(t, seen, n)
		})
	}
}

// TestNamesAfterARestart has the server restarted in the middle of a walk, after
// which cursors mean something else.
func TestNamesAfterARestart(t *testing.T) {
	notShort(t)
	t.Parallel()
	server := start(t, durable...)
	c := client(t, server.addr)
	const n = 5000
	fill(t, c, redisstore.DefaultPrefix, n)
	seen := make(map[string]bool)
	for name, err := range (&redisstore.Store{Client: c}).Names(ctx) {
		require.NoError(t, err)
		require.False(t, seen[name], "twice: %q", name)
		seen[name] = true
		if len(seen) == n/2 {
			server.Kill()
			require.NoError(t, server.Run())
		}
	}
	require.Len(t, seen, n)
}

func TestPrefixesAreNotPatterns(t *testing.T) {
	t.Parallel()
	o := options(t)
	c := redis.NewClient(o)
	defer c.Close()
	base := newPrefix()
	for _, prefix := range []string{"*", "?", "[ab]", "[^a]", `\`, `\*`, "a", "b", "ab", "{x}", "é\x00"} {
		s := &redisstore.Store{Client: c, Prefix: base + prefix + ":"}
		defer empty(t, s)
		mustPut(t, s, prefix, "value", "")
	}
	for _, prefix := range []string{"*", "?", "[ab]", "[^a]", `\`, `\*`, "a", "b", "ab", "{x}", "é\x00"} {
		var names []string
		for name, err := range (&redisstore.Store{Client: c, Prefix: base + prefix + ":"}).Names(ctx) {
			require.NoError(t, err)
			names = append(names, name)
		}
		require.Equal(t, []string{prefix}, names)
	}
}

// TestMemoryOfAWalk measures, if asked, what a walk over a million names takes.
func TestMemoryOfAWalk(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("OAUTH2KEEP_REDIS_NAMES"))
	if n == 0 {
		t.Skip("set OAUTH2KEEP_REDIS_NAMES to a number of names")
	}
	c := client(t, start(t, "--save", "").addr)
	fill(t, c, redisstore.DefaultPrefix, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began, count := time.Now(), 0
	for _, err := range (&redisstore.Store{Client: c}).Names(ctx) {
		require.NoError(t, err)
		if count++; count == n {
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
	}
	t.Logf("%d names in %v, %d MB in use at the end", count, time.Since(began), (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>20)
	began = time.Now()
	for cursor, page := uint64(0), []string(nil); ; {
		var err error
		page, cursor, err = c.Scan(ctx, cursor, redisstore.DefaultPrefix+"*", 500).Result()
		require.NoError(t, err)
		if _ = page; cursor == 0 {
			break
		}
	}
	t.Logf("the bare SCAN: %v", time.Since(began))
}
