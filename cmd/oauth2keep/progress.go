package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// progress tells on standard error how far long work has come: on a terminal every half
// second on one line, and otherwise every ten seconds on a line of its own.
type progress struct {
	what    string
	n       atomic.Int64
	stopped func()
}

// progress begins to count. Nothing is told of work that is done at once.
func (a *app) progress(what string) *progress {
	p := &progress{what: what}
	terminal := isTerminal(a.err)
	every := 10 * time.Second
	if terminal {
		every = 500 * time.Millisecond
	}
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		shown := false
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				shown = true
				if terminal {
					fmt.Fprintf(a.err, "\r\x1b[K%s", p)
				} else {
					a.say("%s", p)
				}
			case <-done:
				if shown && terminal {
					fmt.Fprint(a.err, "\r\x1b[K")
				}
				return
			}
		}
	}()
	p.stopped = sync.OnceFunc(func() {
		close(done)
		<-over
	})
	return p
}

func (p *progress) count()         { p.n.Add(1) }
func (p *progress) stop()          { p.stopped() }
func (p *progress) String() string { return number(int(p.n.Load())) + " " + p.what }
