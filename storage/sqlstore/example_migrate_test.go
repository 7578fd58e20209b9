package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/oauth2"
	_ "modernc.org/sqlite"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// account is a row of the application's own table.
type account struct {
	customer string
	token    oauth2.Token
}

// accounts reads the table.
func accounts(ctx context.Context, db *sql.DB) ([]account, error) {
	rows, err := db.QueryContext(ctx, "SELECT customer, COALESCE(access_token, ''), COALESCE(refresh_token, ''), expiry FROM accounts")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []account
	for rows.Next() {
		var a account
		var expiry sql.NullTime
		if err := rows.Scan(&a.customer, &a.token.AccessToken, &a.token.RefreshToken, &expiry); err != nil {
			return nil, err
		}
		a.token.Expiry = expiry.Time
		all = append(all, a)
	}
	return all, rows.Err()
}

// migrate saves the tokens of accounts that have no connection yet.
func migrate(ctx context.Context, manager *tokensource.Manager, all []account) (moved int, err error) {
	for _, a := range all {
		name := "taxrock/" + a.customer
		_, err := manager.Status(ctx, name)
		switch {
		case err == nil:
			continue // it is here already, and the token may be a later one
		case !errors.Is(err, tokensource.ErrLoginRequired):
			return moved, err
		}
		if err := manager.Save(ctx, name, &a.token); err != nil {
			return moved, err
		}
		moved++
	}
	return moved, nil
}

// An application that has a table of tokens moves them, and no user has to connect again.
// One of these tokens has expired, one is valid and has no refresh token, of one the expiry
// isn't known, and of one there is nothing but the refresh token. What isn't there is NULL.
func Example_migrate() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "migrate-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlstore.OpenSQLite(ctx, filepath.Join(dir, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	server, err := endpointstest.Start(endpoints.TaxRock)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	if err := fill(ctx, db, server); err != nil {
		log.Fatal(err)
	}

	table, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := table.CreateTable(ctx); err != nil {
		log.Fatal(err)
	}
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		log.Fatal(err)
	}
	provider := server.Provider(endpoints.TaxRock)
	conf := provider.Config(server.Config(endpoints.TaxRock, "https://example.com/callback"))
	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(table, keys)}
	for range 2 {
		all, err := accounts(ctx, db)
		if err != nil {
			log.Fatal(err)
		}
		moved, err := migrate(ctx, manager, all)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("moved", moved, "of", len(all))
		for _, a := range all {
			resp, err := manager.Client("taxrock/" + a.customer).Get(provider.APIURLs[0] + "/client-accounts")
			if err != nil {
				log.Fatal(err)
			}
			resp.Body.Close()
			fmt.Println(a.customer, resp.Status)
		}
	}
	if err := manager.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// moved 4 of 4
	// expired 200 OK
	// valid 200 OK
	// unknown 200 OK
	// refresh-token-only 200 OK
	// moved 0 of 4
	// expired 200 OK
	// valid 200 OK
	// unknown 200 OK
	// refresh-token-only 200 OK
}

// fill makes the table that the application has had so far.
func fill(ctx context.Context, db *sql.DB, server *endpointstest.Server) error {
	// A provider that takes each refresh token once.
	policy := server.Policy(endpoints.TaxRock)
	policy.Rotate = true
	server.SetPolicy(endpoints.TaxRock, policy)
	if _, err := db.ExecContext(ctx, "CREATE TABLE accounts (customer TEXT, access_token TEXT, refresh_token TEXT, expiry TIMESTAMP)"); err != nil {
		return err
	}
	for _, customer := range []string{"expired", "valid", "unknown", "refresh-token-only"} {
		t := server.Connect(endpoints.TaxRock)
		expiry := sql.NullTime{Time: t.Expiry, Valid: true}
		switch customer {
		case "expired":
			expiry.Time = time.Now().Add(-time.Hour)
		case "valid":
			t.RefreshToken = ""
		case "unknown":
			t.AccessToken, expiry.Valid = "too-old", false
		case "refresh-token-only":
			t.AccessToken, expiry.Valid = "", false
		}
		_, err := db.ExecContext(ctx, "INSERT INTO accounts VALUES (?, NULLIF(?, ''), NULLIF(?, ''), ?)", customer, t.AccessToken, t.RefreshToken, expiry)
		if err != nil {
			return err
		}
	}
	return nil
}
