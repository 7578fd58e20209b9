package webhook

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// signed is a genuine request.
type signed struct {
	verifier *Verifier
	header   http.Header
	body     []byte
}

func genuine(t testing.TB, now time.Time) []signed {
	twice := finchHeader(t, finchSecret, "msg_1", now, finchBody)
	twice.Set("Finch-Signature", "v1,"+strings.Repeat("A", 43)+"= "+twice.Get("Finch-Signature"))
	timestamp := strconv.FormatInt(now.UnixMilli(), 10)
	inBase64 := make(http.Header)
	inBase64.Set("Chart-Signature", "t="+timestamp+",v1="+chart.texts(macOf([]byte(chartSecret), timestamp+"."+chartBody))[1])
	all := []signed{
		{must(Finch(finchSecret)), finchHeader(t, finchSecret, "msg_1", now, finchBody), []byte(finchBody)},
		{must(Finch(finchSecret, "b2xkZXItc2VjcmV0")), twice, []byte(finchBody)},
		{must(Chart(chartSecret)), chartHeader(chartSecret, now, chartBody), []byte(chartBody)},
		{must(Chart(chartSecret)), inBase64, []byte(chartBody)},
	}
	for _, g := range all {
		g.verifier.Tolerance = 2 * max(time.Since(now), time.Hour)
		_, err := g.verifier.Verify(g.header, g.body)
		require.NoError(t, err)
	}
	return all
}

// same reports whether header and body say what g says: the same ID, timestamp and body,
// and the same signature, perhaps among others. This is how a request may be changed on
// its way.
func (g signed) same(header http.Header, body []byte) bool {
	if !bytes.Equal(g.body, body) {
		return false
	}
	if was := g.header.Get("Chart-Signature"); was != "" {
		is := strings.FieldsFunc(header.Get("Chart-Signature"), func(r rune) bool { return r == ',' || r == ' ' })
		timestamp, signature, _ := strings.Cut(was, ",")
		return slices.Contains(is, timestamp) && slices.Contains(is, signature)
	}
	was := strings.Fields(g.header.Get("Finch-Signature"))
	return header.Get("Finch-Event-Id") == g.header.Get("Finch-Event-Id") &&
		header.Get("Finch-Timestamp") == g.header.Get("Finch-Timestamp") &&
		slices.Contains(strings.Split(header.Get("Finch-Signature"), " "), was[len(was)-1])
}

// mutated returns s with one to three small changes, such as one digit of base64 for
// another, which are what a forger tries.
func mutated(r *rand.Rand, s string) string {
	const digits = "0123456789abcdefABCDEFGHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz+/-_= ,.\n\r\t\x00v1t{}\"\xff"
	b := []byte(s)
	for range 1 + r.IntN(3) {
		i, c := r.IntN(len(b)+1), digits[r.IntN(len(digits))]
		switch kind := r.IntN(6); {
		case kind == 0 || i == len(b):
			b = append(b[:i:i], append([]byte{c}, b[i:]...)...)
		case kind == 1:
			b = append(b[:i:i], b[i+1:]...)
		case kind == 2:
			b[i] ^= 1 << r.IntN(8)
		case kind == 3:
			b[i] ^= ' ' // another case
		case kind == 4:
			b = b[:i]
		default:
			b[i] = c
		}
	}
	return string(b)
}

var mutations = flag.Int("mutations", 10_000, "how many mutated requests are tried")

// A quarter of the changes are to the body, and the others to a header.
func TestMutatedRequestsAreRefused(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	all, refused, enough := genuine(t, time.Now()), 0, *mutations
	if testing.Short() {
		enough /= 10
	}
	for refused < enough {
		g := all[r.IntN(len(all))]
		header, body := g.header.Clone(), g.body
		if r.IntN(4) == 0 {
			body = []byte(mutated(r, string(body)))
		} else {
			names := []string{"Chart-Signature"}
			if header.Get("Finch-Signature") != "" {
				names = []string{"Finch-Event-Id", "Finch-Timestamp", "Finch-Signature", "Finch-Signature"}
			}
			name := names[r.IntN(len(names))]
			header.Set(name, mutated(r, header.Get(name)))
		}
		if g.same(header, body) {
			continue
		}
		if _, err := g.verifier.Verify(header, body); err == nil {
			t.Fatalf("seed %d, after %d: %q %q", seed, refused, header, body)
		}
		refused++
	}
}

// What is accepted was signed: FuzzVerify finds no other that is.
func FuzzVerify(f *testing.F) {
	all := genuine(f, time.Unix(1_700_000_000, 0)) // the same in every worker
	for i, g := range all {
		f.Add(uint(i), g.header.Get("Finch-Event-Id"), g.header.Get("Finch-Timestamp"),
			g.header.Get("Finch-Signature"), g.header.Get("Chart-Signature"), g.body)
	}
	f.Add(uint(0), "msg_1.1676312382", "1676312382", "v1,", "", []byte("{}"))
	f.Add(uint(2), "", "", "", "t=9999999999999999999,v1=,v1=,", []byte("null"))
	f.Fuzz(func(t *testing.T, i uint, id, timestamp, finch, chart string, body []byte) {
		g := all[i%uint(len(all))]
		h := http.Header{"Finch-Event-Id": {id}, "Finch-Timestamp": {timestamp}, "Finch-Signature": {finch}, "Chart-Signature": {chart}}
		e, err := g.verifier.Verify(h, body)
		switch {
		case err != nil && e.Body != nil:
			t.Fatal("an event beside an error")
		case err == nil && !g.same(h, body):
			t.Fatalf("accepted %q %q", h, body)
		}
	})
}
