package etcdstore_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/oauth2keep/oauth2keep/internal/accounttest"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/etcdstore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// What README.md shows keeps a token on a server.
func TestREADME(t *testing.T) {
	t.Parallel()
	account := accounttest.New(t)
	conf := account.Config
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	compaction := regexp.MustCompile("`(--auto-compaction-mode [^`]+)`").FindStringSubmatch(readme(t))
	require.NotNil(t, compaction)
	endpoints := []string{start(t, strings.Fields(compaction[1])...).addr}

	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialKeepAliveTime: 10 * time.Second})
	require.NoError(t, err)
	defer client.Close()
	store := &etcdstore.Store{Client: client}
	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(store, keys)}

	account.RequireKept(t, manager, &tokensource.Manager{Config: conf, Store: manager.Store})
}

// A user whom README's command grants access has enough.
func TestREADMEAccess(t *testing.T) {
	t.Parallel()
	testenv.FindProgram(t, "etcdctl", "apt-get install etcd-client")
	addr := start(t, "--bcrypt-cost", "4").addr
	root := client(t, addr)
	require.NoError(t, second(root.RoleAdd(ctx, "myapp")))
	grant := regexp.MustCompile("`(etcdctl role [^`]+)`").FindStringSubmatch(readme(t))
	require.NotNil(t, grant)
	words := strings.Fields(grant[1])
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3", "ETCDCTL_ENDPOINTS="+addr)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	for _, err := range []error{
		second(root.UserAdd(ctx, "myapp", "pw")), second(root.UserGrantRole(ctx, "myapp", "myapp")),
		second(root.UserAdd(ctx, "root", "pw")), second(root.UserGrantRole(ctx, "root", "root")),
		second(root.AuthEnable(ctx)),
	} {
		require.NoError(t, err)
	}
	options := config(addr)
	options.Username, options.Password = "myapp", "pw"
	c, err := clientv3.New(options)
	require.NoError(t, err)
	defer c.Close()
	s := &etcdstore.Store{Client: c}
	requireValue(t, s, "name", "value", mustPut(t, s, "name", "value", ""))
}

func readme(t *testing.T) string {
	data, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(data)
}
