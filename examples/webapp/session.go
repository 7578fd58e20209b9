package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"time"
)

// user is who can log in. The login is a demonstration: anyone may be anyone. In real life
// it is the application's own, with passwords or passkeys or single sign-on; what stands
// below it, a session on the server under a cookie, is the same.
type user struct {
	ID, Name string
	Admin    bool
}

var users = []user{{ID: "alice", Name: "Alice"}, {ID: "bob", Name: "Bob"}, {ID: "carol", Name: "Carol", Admin: true}}

func findUser(id string) *user {
	if i := slices.IndexFunc(users, func(u user) bool { return u.ID == id }); i >= 0 {
		return &users[i]
	}
	return nil
}

// sessionLife is how long a login lasts.
const sessionLife = 12 * time.Hour

// sessions are the logins, in a table that has the hash of each cookie: who reads the table
// can't log in with it.
type sessions struct {
	db     *database
	secure bool
}

// cookie returns the cookie of a session, or with "" the one that deletes it.
func (s *sessions) cookie(id string) *http.Cookie {
	c := &http.Cookie{
		Name: "session", Value: id, Path: "/", MaxAge: int(sessionLife.Seconds()), HttpOnly: true,
		// Not Strict: a provider's redirect to the callback is a click on another site's page,
		// and the callback has to know who comes back.
		SameSite: http.SameSiteLaxMode,
	}
	if s.secure {
		c.Name, c.Secure = "__Host-session", true // no subdomain and no http can plant it
	}
	if id == "" {
		c.MaxAge = -1
	}
	return c
}

func hash(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// begin logs u in. The session has a new id, whatever the browser sent: one that someone
// else has planted there before is worth nothing (session fixation).
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, u *user) error {
	if err := s.delete(r); err != nil {
		return err
	}
	now := time.Now()
	if _, err := s.db.ExecContext(r.Context(), "DELETE FROM "+s.db.prefix+"sessions WHERE expires < $1", now.Unix()); err != nil {
		return err
	}
	id := rand.Text()
	_, err := s.db.ExecContext(r.Context(), "INSERT INTO "+s.db.prefix+"sessions (id_hash, user_id, expires) VALUES ($1, $2, $3)",
		hash(id), u.ID, now.Add(sessionLife).Unix())
	if err == nil {
		http.SetCookie(w, s.cookie(id))
	}
	return err
}

// end logs the browser's user out, on the server too.
func (s *sessions) end(w http.ResponseWriter, r *http.Request) error {
	err := s.delete(r)
	if err == nil {
		http.SetCookie(w, s.cookie(""))
	}
	return err
}

// delete ends the browser's session, if it has one.
func (s *sessions) delete(r *http.Request) error {
	c, err := r.Cookie(s.cookie("").Name)
	if err != nil {
		return nil
	}
	_, err = s.db.ExecContext(r.Context(), "DELETE FROM "+s.db.prefix+"sessions WHERE id_hash = $1", hash(c.Value))
	return err
}

// user returns who is logged in, or nil.
func (s *sessions) user(r *http.Request) (*user, error) {
	c, err := r.Cookie(s.cookie("").Name)
	if err != nil {
		return nil, nil
	}
	var id string
	err = s.db.QueryRowContext(r.Context(), "SELECT user_id FROM "+s.db.prefix+"sessions WHERE id_hash = $1 AND expires > $2",
		hash(c.Value), time.Now().Unix()).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return findUser(id), err
}

type userKey struct{}

// userOf returns the user whom forUser has found.
func userOf(r *http.Request) *user {
	u, _ := r.Context().Value(userKey{}).(*user)
	return u
}

// forUser sends who isn't logged in to the login page.
func (a *application) forUser(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := a.sessions.user(r)
		switch {
		case err != nil:
			a.fail(w, r, "store", err)
		case u == nil:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		default:
			h(w, r.WithContext(context.WithValue(r.Context(), userKey{}, u)))
		}
	})
}

func (a *application) loginPage(w http.ResponseWriter, r *http.Request) {
	a.render(w, r, "login", page{Title: "Log in", Data: users})
}

func (a *application) login(w http.ResponseWriter, r *http.Request) {
	u := findUser(r.PostFormValue("user"))
	if u == nil {
		a.fail(w, r, "not_found", nil)
		return
	}
	if err := a.sessions.begin(w, r, u); err != nil {
		a.fail(w, r, "store", err)
		return
	}
	a.log.Info("logged in", "user", u.ID)
	http.Redirect(w, r, "/connections", http.StatusSeeOther)
}

func (a *application) logout(w http.ResponseWriter, r *http.Request) {
	if err := a.sessions.end(w, r); err != nil {
		a.fail(w, r, "store", err)
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
