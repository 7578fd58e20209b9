package keystore

import (
	"context"
	"errors"
	"fmt"

	gokeyring "github.com/zalando/go-keyring"
)

// entryUser is the user name of the entry; the service is the name of the App.
const entryUser = "oauth2keep keys"

// keyring is what is needed of the keyring of the operating system.
type keyring interface {
	get(service, user string) (string, error)
	set(service, user, text string) error
}

type osKeyring struct{}

func (osKeyring) get(service, user string) (string, error) {
	if err := reach(); err != nil {
		return "", err
	}
	return gokeyring.Get(service, user)
}

func (osKeyring) set(service, user, text string) error {
	if err := reach(); err != nil {
		return err
	}
	return gokeyring.Set(service, user, text)
}

// errNone is returned where there is no keyring, as opposed to one that is locked,
// refuses or doesn't answer.
var errNone = errors.New("there is no keyring")

func isNone(err error) bool {
	return errors.Is(err, errNone) || errors.Is(err, gokeyring.ErrUnsupportedPlatform) || isNoService(err)
}

// calls calls a keyring for one entry, and gives up waiting when ctx is done. A call
// that was given up goes on until the keyring answers, or the process ends. Its own
// methods aren't called concurrently.
type calls struct {
	ctx     context.Context
	keyring keyring
	name    string
	writing chan struct{} // closed at the end of the last write; nil before the first
}

// get returns the text of the entry, and false if there is no entry.
func (c *calls) get() (text string, found bool, err error) {
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		defer func() { answers <- a }()
		defer recovered(&a.err)
		a.text, a.err = c.keyring.get(c.name, entryUser)
	}()
	select {
	case a := <-answers:
		if errors.Is(a.err, gokeyring.ErrNotFound) {
			return "", false, nil
		}
		return a.text, a.err == nil, a.err
	case <-c.ctx.Done():
		return "", false, c.late()
	}
}

func (c *calls) set(text string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	writing, answer := make(chan struct{}), make(chan error, 1)
	c.writing = writing
	go func() {
		var err error
		defer func() {
			answer <- err
			close(writing)
		}()
		defer recovered(&err)
		err = c.keyring.set(c.name, entryUser, text)
	}()
	select {
	case <-writing:
		return <-answer
	case <-c.ctx.Done():
		return c.late()
	}
}

func (c *calls) late() error {
	return fmt.Errorf("it doesn't answer, perhaps because it waits for somebody to unlock it: %w", c.ctx.Err())
}

// recovered turns a panic into an error: go-keyring panics when the connection to
// the bus ends while it waits for the user.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = errors.New("the connection to the keyring ended")
	}
}

// whenIdle calls f when no write is under way, which can be later.
func (c *calls) whenIdle(f func()) {
	if c.writing == nil {
		f()
		return
	}
	select {
	case <-c.writing:
		f()
	default:
		go func() {
			<-c.writing
			f()
		}()
	}
}
