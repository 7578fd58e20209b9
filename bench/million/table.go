package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// print prints the figures.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n%d records of %d bytes\n\n", r.settings, r.n, r.bytes)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\t\teach\tof that CPU\toauth2keep is\theap up to 10 %\t50 %\t100 %\t")
	var reference time.Duration // ours, which is the first of its phase
	for _, j := range r.jobs {
		compared := ""
		if j.side == ours {
			reference = j.each()
		} else {
			compared = fmt.Sprintf("%.2f ×", reference.Seconds()/j.each().Seconds())
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", j.phase, j.side, short(j.each()), short(j.cpu/time.Duration(j.total)), compared,
			megabytes(j.heap[0]), megabytes(j.heap[1]), megabytes(j.heap[2]))
	}
	t.Flush()
	fmt.Fprintln(w)
	for _, j := range r.jobs {
		fmt.Fprintf(w, "%-5s  %-15s  %s\n", j.phase, j.side, j.what)
	}
}

// each returns the time that a record took.
func (j *job) each() (all time.Duration) {
	for _, d := range j.turns {
		all += d
	}
	return all / time.Duration(j.total)
}

// short returns a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

func megabytes(bytes uint64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
