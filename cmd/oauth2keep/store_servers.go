package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite" // the driver that sqlstore.OpenSQLite looks for

	"github.com/oauth2keep/oauth2keep/storage/redisstore"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// connections is how many a database or Redis is asked for at a time.
const connections = 8

func (a *app) openSQLite(ctx context.Context, s address, mayMake bool) (*opened, error) {
	if !mayMake {
		if err := s.mustExist(); err != nil {
			return nil, err
		}
	}
	db, err := sqlstore.OpenSQLite(ctx, s.path)
	if err != nil {
		return nil, err
	}
	return a.openTable(db, sqlstore.SQLite, s)
}

func (a *app) openPostgres(s address) (*opened, error) {
	c, err := pgx.ParseConfig(s.url)
	if err != nil { // whose text has the URL in it, and may have a password
		return nil, usage("the address of the store isn't one that PostgreSQL's driver knows, such as postgres://user@host:5432/database?sslmode=verify-full")
	}
	return a.openTable(stdlib.OpenDB(*c), sqlstore.PostgreSQL, s)
}

func (a *app) openMySQL(s address) (*opened, error) {
	c, err := mysqlConfig(s.url)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return a.openTable(sql.OpenDB(connector), sqlstore.MySQL, s)
}

// mysqlConfig makes the driver's own form of a URL such as
// mysql://user:password@host:3306/database?tls=true.
func mysqlConfig(address string) (*mysql.Config, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, usage("the address of the store isn't a URL")
	}
	c := mysql.NewConfig()
	c.User, c.DBName = u.User.Username(), strings.TrimPrefix(u.Path, "/")
	c.Passwd, _ = u.User.Password()
	c.Net, c.Addr = "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "3306"))
	query := u.Query()
	if socket := query.Get("socket"); socket != "" {
		c.Net, c.Addr = "unix", socket
		query.Del("socket")
	}
	dsn := c.FormatDSN()
	if len(query) > 0 {
		dsn += map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")] + query.Encode()
	}
	if c, err = mysql.ParseDSN(dsn); err != nil {
		return nil, usage("the address of the store has a setting that MySQL's driver doesn't know")
	}
	return c, nil
}

func (a *app) openTable(db *sql.DB, d sqlstore.Dialect, s address) (*opened, error) {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	a.atEnd(db.Close)
	table, err := sqlstore.New(db, d, sqlstore.Options{Table: s.table})
	if err != nil {
		return nil, err
	}
	return &opened{Store: table, create: table.CreateTable, check: table.CreateTable}, nil
}

func (a *app) openRedis(s address) (*opened, error) {
	c, err := redisClient(s.url)
	if err != nil {
		return nil, usage("the address of the store isn't one that Redis's client knows, such as redis://user@host:6379/0, rediss://…, redis-cluster://… or redis-sentinel://…?master_name=…")
	}
	a.atEnd(c.Close)
	store := &redisstore.Store{Client: c, Prefix: s.table}
	return &opened{Store: store, check: func(ctx context.Context) error {
		if err := store.Check(ctx); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		return nil // what a managed server doesn't tell
	}}, nil
}

func redisClient(address string) (redis.UniversalClient, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	plain, way, _ := strings.Cut(scheme, "-")
	switch way {
	case "cluster":
		o, err := redis.ParseClusterURL(plain + ":" + rest)
		if err != nil {
			return nil, err
		}
		return redis.NewClusterClient(o), nil
	case "sentinel":
		o, err := redis.ParseFailoverURL(plain + ":" + rest)
		if err != nil {
			return nil, err
		}
		return redis.NewFailoverClient(o), nil
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, err
	}
	return redis.NewClient(o), nil
}
