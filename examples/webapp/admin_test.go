package main

import (
	"flag"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

var connections = flag.Int("connections", 3*pageSize+1, "how many connections TestAdminPages has")

// Every connection is on exactly one page, and a page asks the store for its own alone.
func TestAdminPages(t *testing.T) {
	n := *connections
	if testing.Short() {
		n = min(n, pageSize+1)
	}
	app := start(t, nil)
	app.seed(t, n)
	b := app.user(t, "carol")
	seen, pages := make(map[string]int), 0
	var first, last time.Duration
	path := "/admin?group=working"
	for path != "" {
		reads, began := app.sandbox.store.reads.Load(), time.Now()
		p := b.get(path)
		if last = time.Since(began); pages == 0 {
			first = last
		}
		require.Equal(t, http.StatusOK, p.status)
		assert.LessOrEqual(t, app.sandbox.store.reads.Load()-reads, int64(pageSize))
		for _, m := range regexp.MustCompile(`data-name="([^"]*)"`).FindAllStringSubmatch(p.body, -1) {
			seen[m[1]]++
		}
		pages++
		path = ""
		if next := p.attribute("next-page", "href"); next != "" {
			path = "/admin" + strings.ReplaceAll(next, "&amp;", "&")
		}
	}
	assert.Len(t, seen, n)
	for name, times := range seen {
		assert.Equal(t, 1, times, name)
	}
	assert.Equal(t, (n+pageSize-1)/pageSize, pages)
	t.Logf("%d pages: the first took %v, the last %v", pages, first, last)
}

// seed makes connections of as many users.
func (app *running) seed(t *testing.T, n int) {
	t.Helper()
	_, err := app.database.Exec("PRAGMA synchronous=OFF") // of one of the pool's connections, which is enough
	require.NoError(t, err)
	for i := range n {
		token := &oauth2.Token{AccessToken: fmt.Sprint("token-", i)}
		require.NoError(t, app.provider("finch").manager.Save(t.Context(), fmt.Sprintf("finch/user-%06d", i), token))
	}
}

// The groups follow what happens to connections, and count them.
func TestAdminGroups(t *testing.T) {
	app := start(t, nil)
	alice, carol := app.user(t, "alice"), app.user(t, "carol")
	count := func(group string) string {
		p := carol.get("/admin?group=" + group)
		assert.Equal(t, http.StatusOK, p.status)
		m := regexp.MustCompile(`id="group-` + group + `".*?<span class="count">([^<]*)`).FindStringSubmatch(p.body)
		require.NotNil(t, m)
		assert.Equal(t, m[1], fmt.Sprint(strings.Count(p.body, "<tr data-name")), "the list has as many")
		return m[1]
	}
	counts := func() string {
		return count(groupWorking) + count(groupTrouble) + count(groupLogin) + count(groupUnreadable)
	}
	require.Equal(t, "0000", counts())
	alice.connect("finch")
	alice.connect("taxrock")
	require.Equal(t, "2000", counts())
	alice.post("/sandbox/try/revoked")
	require.Equal(t, "1010", counts())
	alice.post("/sandbox/try/damaged")
	require.Equal(t, "1011", counts())
	alice.post("/sandbox/try/renewal-busy")
	require.Equal(t, "1101", counts())
	alice.post("/disconnect/chart/alice")
	alice.post("/disconnect/taxrock/alice")
	require.Equal(t, "1000", counts())
	assert.Equal(t, http.StatusNotFound, alice.get("/admin").status, "for administrators alone")
	assert.Equal(t, http.StatusOK, carol.get("/admin?group=nonsense&after=nonsense").status)
}

// A row that is missing or wrong, because a process died before it was written, is mended.
func TestIndexIsMended(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	b.connect("finch")
	b.connect("taxrock")
	_, err := app.database.Exec("DELETE FROM webapp_sandbox_connections WHERE name = 'finch/alice'")
	require.NoError(t, err)
	_, err = app.database.Exec("UPDATE webapp_sandbox_connections SET grp = 'login' WHERE name = 'taxrock/alice'")
	require.NoError(t, err)
	_, err = app.database.Exec("INSERT INTO webapp_sandbox_connections (name, owner, grp) VALUES ('chart/alice', 'alice', 'working')")
	require.NoError(t, err)
	require.NotContains(t, b.get("/connections").body, `data-name="finch/alice"`, "or this test shows nothing")

	app.index.walk(t.Context(), app.store)
	p := b.get("/connections")
	assert.Contains(t, p.body, `data-name="finch/alice"`)
	assert.NotContains(t, p.body, `data-name="chart/alice"`)
	p = app.user(t, "carol").get("/admin?group=working")
	assert.Contains(t, p.body, `data-name="taxrock/alice"`)
	var rows int
	require.NoError(t, app.database.QueryRow("SELECT COUNT(*) FROM webapp_sandbox_connections").Scan(&rows))
	assert.Equal(t, 2, rows)
}

// While the store is down, pages say so, and what is known isn't lost.
func TestStoreDown(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	b.connect("finch")
	b.post("/sandbox/try/store")
	p := b.get("/connections")
	assert.Equal(t, http.StatusOK, p.status)
	assert.Contains(t, p.body, `data-name="finch/alice" data-state="unreadable"`)
	assert.True(t, p.says("This is our fault."))
	p = b.post("/disconnect/finch/alice")
	assert.Equal(t, "store", p.attribute("problem", "data-problem"))
	app.index.walk(t.Context(), app.store)
	b.post("/sandbox/end")
	p = b.get("/connections")
	assert.Contains(t, p.body, `data-name="finch/alice" data-state="healthy"`)
	assert.NotContains(t, p.body, "taxrock/alice", "it couldn't be saved")
	_, err := app.provider("taxrock").manager.Status(t.Context(), "taxrock/alice")
	assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
}
