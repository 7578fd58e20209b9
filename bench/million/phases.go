package main

import (
	"context"
	"slices"
)

// ours is the side that is compared with all others of its phase.
const ours = "oauth2keep"

// step is one thing that is measured: one side of a phase.
type step struct {
	phase, side string
	what        string // in words
	times       int    // that it is done, if it isn't done for each record
	writes      bool   // it needs a table of its own
	run         func(context.Context, *job) error
}

var steps = []step{
	{"open", ours, "sql.Open, New, CreateTable where the table is, first Get", openings, false, openOurs},
	{"open", "driver", "connect, look at the columns, first SELECT", openings, false, openDriver},

	{"cold", ours, "Source(name).TokenContext of each name with a new Manager", 0, false, coldOurs},
	{"cold", "driver", "SELECT of each row", 0, false, coldDriver},

	{"sweep", ours, "one sweep of Manager.Run, with nothing to refresh", 0, false, sweepOurs},
	{"sweep", "driver", "keys in pages of 1000, SELECT of each row", 0, false, sweepDriver},

	{"rekey", ours, "Encrypted.Rekey", 0, true, rekeyOurs},
	{"rekey", "driver", "keys in pages of 1000, SELECT and UPDATE of each row", 0, true, rekeyDriver},
	{"rekey", "driver, scan", "the whole table read at once, UPDATE of each row", 0, true, rekeyScan},
	{"rekey", "driver, batches", "the whole table read at once, 1000 UPDATEs a transaction", 0, true, rekeyBatches},
}

func (s step) String() string { return s.phase + " " + s.side }

func phases() (names []string) {
	for _, s := range steps {
		if !slices.Contains(names, s.phase) {
			names = append(names, s.phase)
		}
	}
	return names
}

// order returns the numbers from 0 to n-1, each once and no two neighbours together,
// as the customers of an application come.
func order(n int) func(yield func(int) bool) {
	stride := max(int(float64(n)*0.618), 1)
	for gcd(stride, n) != 1 {
		stride++
	}
	return func(yield func(int) bool) {
		for i, at := 0, 0; i < n; i, at = i+1, (at+stride)%n {
			if !yield(at) {
				return
			}
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
