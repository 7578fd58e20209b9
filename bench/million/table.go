package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// print prints the figures.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n%d records of %d bytes; the disk takes %v to sync 8 kB\n\n",
		r.settings, r.n, r.contents.Bytes/r.n, r.sync.Round(time.Microsecond))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\t\ttime\teach\tof that CPU\toauth2keep is\thalf of the turns\theap up to 10 %\t50 %\t100 %\tRSS\t")
	var legend []step
	for _, s := range steps {
		got, ok := r.results[s.String()]
		if !ok {
			continue
		}
		legend = append(legend, s)
		whole, half := "", ""
		if s.side != ours {
			whole, half = compare(r.results[step{phase: s.phase, side: ours}.String()].Turns, got.Turns)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", s.phase, s.side,
			short(sum(got.Turns)), short(each(sum(got.Turns), got)), short(each(got.CPU, got)), whole, half,
			megabytes(got.Heap[0]), megabytes(got.Heap[1]), megabytes(got.Heap[2]), megabytes(got.RSS))
	}
	t.Flush()
	fmt.Fprintln(w)
	for _, s := range legend {
		fmt.Fprintf(w, "%-5s  %-15s  %s\n", s.phase, s.side, s.what)
	}
}

// compare says how many times as long as the other's ours took, in all and in the
// turns: half of them are between the two numbers, a quarter below and a quarter above.
func compare(ours, other []time.Duration) (whole, half string) {
	whole = fmt.Sprintf("%.2f ×", sum(ours).Seconds()/sum(other).Seconds())
	var ratios []float64
	for i := range min(len(ours), len(other)) {
		ratios = append(ratios, ours[i].Seconds()/other[i].Seconds())
	}
	slices.Sort(ratios)
	if n := len(ratios); n >= 4 {
		half = fmt.Sprintf("%.2f to %.2f", ratios[n/4], ratios[n-1-n/4])
	}
	return whole, half
}

func sum(turns []time.Duration) (all time.Duration) {
	for _, d := range turns {
		all += d
	}
	return all
}

func each(d time.Duration, r result) time.Duration { return d / time.Duration(max(r.Records, 1)) }

// short returns a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

func megabytes(bytes uint64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
