package main

import (
	"fmt"
	"net/http"
)

// The libraries, as the table calls them.
const (
	ours    = "oauth2keep"
	xoauth2 = "x/oauth2"
	google  = "Google"
	aws     = "AWS"
	smithy  = "smithy"

	bare = "the bare copies" // of a request and its header
)

// rows returns all that is measured by the clock.
func (w *world) rows() ([]row, error) {
	k, err := w.keeper()
	if err != nil {
		return nil, err
	}
	noopGoogle, err := googleClient(noop{})
	if err != nil {
		return nil, err
	}
	loopbackGoogle, err := googleClient(newTransport())
	if err != nil {
		return nil, err
	}
	var rows []row
	add := func(name string, goroutines int, want string, sides ...side) {
		rows = append(rows, row{world: w, name: name, goroutines: goroutines, want: want, sides: sides})
	}
	for _, n := range []int{1, 2, 64} {
		add("cached token, "+goroutines(n), n, current, append([]side{k.cached()}, cachedTokens()...)...)
	}
	add("cached token that is kept", 1, current, k.cachedKept(), w.xCachedKept())
	add("cached token with extra fields", 1, current, k.cachedExtra(), w.xCachedExtra())
	for _, n := range []int{1, 2, 64} {
		add("round trip, "+goroutines(n), n, "Bearer "+current, k.roundTrip(),
			roundTrips(bare, newBareCopies(noop{}).RoundTrip),
			roundTrips(xoauth2, xTransport(noop{}).RoundTrip),
			roundTrips(google, noopGoogle.Transport.RoundTrip),
			roundTrips(smithy, smithySigned(noop{})))
	}
	add("round trip over loopback", 1, "Bearer "+current, k.loopback(),
		w.overLoopback(xoauth2, &http.Client{Transport: xTransport(newTransport())}),
		w.overLoopback(google, loopbackGoogle))
	add("exchange over loopback", 1, issued, k.exchange(), w.xExchange())
	add("refresh over loopback", 1, issued, k.refresh(ours+", saved in Memory", k.memory), k.refresh(ours+", saved in Dir", k.dir), w.xRefresh())
	add(fmt.Sprintf("herd of %d", w.options.herd), w.options.herd, issued, append([]side{k.herd()}, w.herds()...)...)
	rows[len(rows)-1].herd = true
	return rows, nil
}

func goroutines(n int) string {
	if n == 1 {
		return "1 goroutine"
	}
	return fmt.Sprintf("%d goroutines", n)
}

// failing is a side that couldn't be made ready.
func failing(library string, err error) side {
	return side{library, func(int, int) ([]op, error) { return nil, err }}
}
