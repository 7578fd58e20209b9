package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAddresses(t *testing.T) {
	t.Setenv("TOKENS", " postgres://app:hunter2@db.example/app?sslmode=require#myapp.tokens\n")
	t.Setenv("LOOP", "env:TOKENS")
	for _, tt := range []struct{ text, kind, table, shown string }{
		{"dir:/var/lib/tokens", "dir", "", "dir:/var/lib/tokens"},
		{"sqlite:/var/lib/tokens.db#t", "sqlite", "t", "sqlite:/var/lib/tokens.db#t"},
		{"postgres://app@db.example/app", "postgres", "", "postgres://db.example/app"},
		{"postgresql://app:hunter2@db.example:5433/app?password=hunter2", "postgres", "", "postgresql://db.example:5433/app"},
		{"mariadb://root@db.example/app#t", "mysql", "t", "mariadb://db.example/app#t"},
		{"rediss://:hunter2@cache.example:6380/1#app:", "redis", "app:", "rediss://cache.example:6380/1#app:"},
		{"redis-sentinel://:hunter2@a.example:26379/0?master_name=m", "redis", "", "redis-sentinel://a.example:26379/0"},
		{"unix:///run/redis.sock?db=1", "redis", "", "unix:///run/redis.sock"},
		{"env:TOKENS", "postgres", "myapp.tokens", "postgres://db.example/app#myapp.tokens (env:TOKENS)"},
	} {
		s, err := parseAddress(tt.text, "/etc")
		require.NoError(t, err, tt.text)
		assert.Equal(t, []string{tt.kind, tt.table, tt.shown}, []string{s.kind, s.table, s.String()}, tt.text)
	}
	for _, text := range []string{"", "tokens", "dir:", "sqlite:#t", "postgres:", "postgres:app:hunter2@db", "ftp://hunter2@x", "env:LOOP", "env:NOT_SET", "file:/not/there"} {
		_, err := parseAddress(text, "/etc")
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestAPasswordInAnArgumentIsRefused(t *testing.T) {
	for _, text := range []string{
		"postgres://app:hunter2@db.example/app", "postgres://db.example/app?user=app&password=hunter2",
		"redis://:hunter2@cache.example", "redis-sentinel://a.example?sentinel_password=hunter2", "mysql://root:hunter2@db.example/app",
	} {
		_, err := flagAddress(text)
		require.Error(t, err, text)
		code, _ := exitCode(err)
		assert.Equal(t, exitUsage, code)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	_, err := flagAddress("postgres://app@db.example/app")
	assert.NoError(t, err)
}

func TestMySQLAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"mysql://app:p%40ss@db.example/tokens":                     "app:p@ss@tcp(db.example:3306)/tokens",
		"mysql://app@[::1]:3307/tokens?tls=true":                   "app@tcp([::1]:3307)/tokens?tls=true",
		"mysql://app@localhost/tokens?socket=/run/my.sock":         "app@unix(/run/my.sock)/tokens",
		"mysql://app@db.example/tokens?timeout=5s&readTimeout=10s": "app@tcp(db.example:3306)/tokens?readTimeout=10s&timeout=5s",
	} {
		c, err := mysqlConfig(address)
		require.NoError(t, err, address)
		assert.Equal(t, want, c.FormatDSN())
	}
	_, err := mysqlConfig("mysql://app:hunter2@db.example/tokens?nonsense")
	require.NoError(t, err) // a session variable, for the server to refuse
	_, err = mysqlConfig("mysql://app:hunter2@db.example/tokens?timeout=hunter2")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestNamesArePrintedSafely(t *testing.T) {
	for name, want := range map[string]string{
		"github/me": "github/me", "finch/Käse": "finch/Käse", "": `""`, "a b": `"a b"`, "a\nb": `"a\nb"`,
		"a\x1b[31m": `"a\x1b[31m"`, "a\u202eb": `"a\u202eb"`, "a\xff": `"a\xff"`, `a"b`: `"a\"b"`, "a\u00a0b": `"a\u00a0b"`,
	} {
		assert.Equal(t, want, printable(name))
	}
	for name, want := range map[string]string{"github/me": "github/me", "a b": "'a b'", "$(rm)": "'$(rm)'", "it's": `'it'\''s'`} {
		assert.Equal(t, want, quoted(name))
	}
	assert.Equal(t, `one`+"\n"+`\x1b[2J two`, escaped("one\n\x1b[2J two"))
}
