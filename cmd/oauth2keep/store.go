package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/oauth2keep/oauth2keep/storage"
)

// address is where a store is.
type address struct {
	kind  string // dir, sqlite, postgres, mysql, redis
	url   string // the whole of it, which may have a password in it
	path  string // of a dir or sqlite
	table string // after the #: the table, or the prefix of Redis's keys
	shown string // without a password

	standard bool // the user's own, beside the configuration
}

// String returns the address without a password.
func (s address) String() string { return s.shown }

// kinds are the schemes by which stores are named.
var kinds = map[string]string{
	"dir": "dir", "sqlite": "sqlite",
	"postgres": "postgres", "postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql",
	"redis": "redis", "rediss": "redis", "redis-cluster": "redis", "rediss-cluster": "redis", "redis-sentinel": "redis", "rediss-sentinel": "redis", "unix": "redis",
}

// storeSpec returns where the store is.
func (a *app) storeSpec() (address, error) {
	if text := a.options.store; text != "" {
		return flagAddress(text)
	}
	if text := os.Getenv("OAUTH2KEEP_STORE"); text != "" {
		return parseAddress(text, "")
	}
	c, err := a.config()
	if err != nil {
		return address{}, err
	}
	if c.Store != "" {
		return parseAddress(c.Store, c.dir())
	}
	path := filepath.Join(c.dir(), "tokens")
	return address{kind: "dir", path: path, shown: "dir:" + path, standard: true}, nil
}

// flagAddress returns the address in an argument, which others on this machine can see.
func flagAddress(text string) (address, error) {
	s, err := parseAddress(text, "")
	if err != nil {
		return s, err
	}
	if hasPassword(text) {
		return s, usage("the password of a store must not be in an argument, which every user of this machine can read: put the address into an environment variable or a file, and say --store env:NAME or --store file:PATH")
	}
	return s, nil
}

func hasPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	if _, has := u.User.Password(); has {
		return true
	}
	for name := range u.Query() {
		if strings.Contains(strings.ToLower(name), "password") {
			return true
		}
	}
	return false
}

// parseAddress reads an address, or what names where one is. No error repeats it, since it
// may have a password in it.
func parseAddress(text, dir string) (address, error) {
	held, named, err := resolve(text, dir)
	if err != nil {
		return address{}, err
	}
	if named {
		if _, again, _ := resolve(held, dir); again {
			return address{}, usage("%s holds another env: or file:, and not the address of a store", text)
		}
		s, err := parseAddress(held, dir)
		s.shown += " (" + text + ")"
		return s, err
	}
	scheme, rest, ok := strings.Cut(text, ":")
	kind := kinds[scheme]
	if !ok || kind == "" {
		return address{}, usage("a store is named as dir:PATH, sqlite:PATH, postgres://…, mysql://…, redis://…, env:NAME or file:PATH")
	}
	s := address{kind: kind}
	if kind == "dir" || kind == "sqlite" {
		s.path = rest
		if kind == "sqlite" {
			s.path, s.table, _ = strings.Cut(rest, "#")
		}
		if s.path == "" {
			return address{}, usage("%s: needs a path", scheme)
		}
		if s.path, err = filepath.Abs(absolute(s.path, dir)); err != nil {
			return address{}, err
		}
		s.shown = scheme + ":" + s.path
	} else {
		s.url, s.table, _ = strings.Cut(text, "#")
		u, err := url.Parse(s.url)
		if err != nil || u.Host == "" && scheme != "unix" {
			return address{}, usage("the address of the store isn't a URL such as %s://user@host/database", scheme)
		}
		s.shown = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	}
	if s.table != "" {
		s.shown += "#" + s.table
	}
	return s, nil
}

// opened is a store that is open.
type opened struct {
	storage.Store
	at address

	// create makes what has to be there before the first record, and check returns what
	// is wrong with the settings of the server. Either may be nil.
	create, check func(context.Context) error
}

// openStore opens the store at an address. If it may not be made, it has to be there.
func (a *app) openStore(ctx context.Context, s address, mayMake bool) (*opened, error) {
	var o *opened
	var err error
	switch s.kind {
	case "dir":
		o, err = a.openDir(s, mayMake)
	case "sqlite":
		o, err = a.openSQLite(ctx, s, mayMake)
	case "postgres":
		o, err = a.openPostgres(s)
	case "mysql":
		o, err = a.openMySQL(s)
	case "redis":
		o, err = a.openRedis(s)
	}
	if err != nil {
		return nil, asStoreFailure(err, s)
	}
	o.at = s
	if mayMake && o.create != nil {
		if err := o.create(ctx); err != nil {
			return nil, asStoreFailure(err, s)
		}
	}
	return o, nil
}

// asStoreFailure says which store it is.
func asStoreFailure(err error, s address) error {
	if own := (*failure)(nil); errors.As(err, &own) || err == nil {
		return err
	}
	return storeFailure("the store %s: %w", s, err)
}

// ofStore says of an error that it is one of the store that the flags or the configuration name.
func (a *app) ofStore(err error) error {
	s, specErr := a.storeSpec()
	if specErr != nil || errors.Is(err, context.Canceled) {
		return err
	}
	return asStoreFailure(err, s)
}

func (a *app) openDir(s address, mayMake bool) (*opened, error) {
	if !mayMake {
		if err := s.mustExist(); err != nil {
			return nil, err
		}
	}
	d, err := storage.OpenDir(s.path)
	if err != nil {
		return nil, err
	}
	a.atEnd(d.Close)
	return &opened{Store: d}, nil
}

// mustExist returns an error if there is nothing at a path.
func (s address) mustExist() error {
	_, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return &failure{code: exitStore, err: errNoStore, do: cmp.Or(map[bool]string{true: "oauth2keep login CLIENT/ACCOUNT makes it"}[s.standard],
			"compare the path of --store, "+s.path+", with what the application uses")}
	}
	return err
}

var errNoStore = errors.New("there is no store yet")

// encrypted opens the store and its keys.
func (a *app) encrypted(ctx context.Context, mayMake bool) (*storage.Encrypted, error) {
	o, err := a.store(ctx, mayMake)
	if err != nil {
		return nil, err
	}
	keys, err := a.keys(ctx)
	if err != nil {
		return nil, err
	}
	return storage.Encrypt(o.Store, keys), nil
}

// store opens the store that the flags or the configuration name.
func (a *app) store(ctx context.Context, mayMake bool) (*opened, error) {
	s, err := a.storeSpec()
	if err != nil {
		return nil, err
	}
	return a.openStore(ctx, s, mayMake)
}

// lister returns a store that can list.
func (o *opened) lister() (storage.Lister, error) {
	l, ok := o.Store.(storage.Lister)
	if !ok {
		return nil, storeFailure("the store %s can't list its records", o.at)
	}
	return l, nil
}
