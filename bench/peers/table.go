package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"
)

// line is a line of the table.
type line struct {
	row, library, figure, half, ratio, allocs, requests string
}

var heading = line{"", "", "figure", "half of the turns", "x/oauth2 = 1", "allocations", "token requests"}

func (l line) cells() []string {
	return []string{l.row, l.library, l.figure, l.half, l.ratio, l.allocs, l.requests}
}

// printTable prints the lines as Markdown.
func printTable(w io.Writer, lines []line) {
	lines = append([]line{heading}, lines...)
	widths := make([]int, len(heading.cells()))
	for _, l := range lines {
		for i, cell := range l.cells() {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	print := func(cells []string) {
		for i, cell := range cells {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < 2 {
				fmt.Fprintf(w, "| %s%s ", cell, space)
			} else {
				fmt.Fprintf(w, "| %s%s ", space, cell)
			}
		}
		fmt.Fprintln(w, "|")
	}
	for i, l := range lines {
		print(l.cells())
		if i > 0 {
			continue
		}
		for i, width := range widths {
			if i < 2 {
				fmt.Fprint(w, "|-", strings.Repeat("-", width), "-")
			} else {
				fmt.Fprint(w, "|-", strings.Repeat("-", width), ":")
			}
		}
		fmt.Fprintln(w, "|")
	}
}

// short returns nanoseconds as a duration with three digits.
func short(nanoseconds float64) string {
	switch {
	case nanoseconds < 999.5:
		return fmt.Sprintf("%.3g ns", nanoseconds)
	case nanoseconds < 999.5e3:
		return fmt.Sprintf("%.3g µs", nanoseconds/1e3)
	}
	return fmt.Sprintf("%.3g ms", nanoseconds/1e6)
}

// modules are those whose versions matter.
var modules = []string{
	"github.com/oauth2keep/oauth2keep",
	"golang.org/x/oauth2",
	"cloud.google.com/go/auth",
	"github.com/aws/aws-sdk-go-v2",
	"github.com/aws/smithy-go",
}

// versions returns a list of what was measured.
func versions() string {
	var b strings.Builder
	info, _ := debug.ReadBuildInfo()
	for _, path := range modules {
		version := ""
		if info != nil {
			for _, m := range info.Deps {
				if m.Path == path {
					version = m.Version
				}
			}
		}
		if strings.HasPrefix(path, "github.com/oauth2keep/") {
			version = cmp.Or(revision(info), version)
		}
		fmt.Fprintf(&b, "- %s %s\n", path, cmp.Or(version, "(unknown version)"))
	}
	return b.String()
}

// revision returns the commit of the checkout that this was built from, or "".
func revision(info *debug.BuildInfo) (commit string) {
	if info == nil {
		return ""
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value + commit
		case s.Key == "vcs.modified" && s.Value == "true":
			commit += ", modified"
		}
	}
	return commit
}

// machine says where this runs.
func machine() string {
	return fmt.Sprintf("%s: %s on %s/%s, %d cores of %s, %s",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		cmp.Or(field("/proc/cpuinfo", "model name"), "an unknown processor"), cmp.Or(field("/etc/os-release", "PRETTY_NAME"), "unknown system"))
}

// field returns the value of a name in a file of names and values, or "".
func field(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(strings.Replace(lines.Text(), "=", ":", 1), ":"); ok && strings.TrimSpace(k) == name {
			return strings.Trim(v, ` "`)
		}
	}
	return ""
}
