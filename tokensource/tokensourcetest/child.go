package tokensourcetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// variable is the environment variable that holds a process's job.
const variable = "OAUTH2KEEP_TOKENSOURCETEST_JOB"

// reportMark stands before a process's report, since the driver may print as well.
const reportMark = "tokensourcetest report: "

// patience is how long things may take that ought to happen soon.
const patience = time.Minute

// job is what a process is told.
type job struct {
	At                      string
	Keys                    [][]byte // the primary first
	TokenURL, APIURL        string
	ClientID, ClientSecret  string
	Goroutines, Connections int
	TokenLife               time.Duration

	// What follows is for a process that refreshes each connection once, when it is told to.
	Once    bool
	Locks   bool            // the store's Lock isn't hidden
	Latency []time.Duration // of the store, by connection
	AtATime int             // calls of the store, 0: any number

	begin   chan struct{} // closed when it is told to
	weather *weather
}

// report is what a process tells in the end.
type report struct {
	Calls         int64
	Failed        int64 // of them, but for the next two
	LoginRequired int64
	Late          int64 // refused because the machine stalled: see refusals
	Unopened      int64 // records that the keyset couldn't open
	First         string
}

func (r *report) add(of report) {
	r.Calls += of.Calls
	r.Failed += of.Failed
	r.LoginRequired += of.LoginRequired
	r.Late += of.Late
	r.Unopened += of.Unopened
	if r.First == "" {
		r.First = of.First
	}
}

// runChild returns if this process isn't one of a fleet.
func runChild() {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	j := job{begin: make(chan struct{}), weather: new(weather)}
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			j.told(lines.Text())
		}
		stop() // the parent says so, or is dead
		time.Sleep(2 * patience)
		fmt.Fprintln(os.Stderr, "tokensourcetest: the process was told to end, and didn't")
		os.Exit(1)
	}()
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		err = j.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tokensourcetest:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

const goOn = "go on"

// told does what the parent says: that the work begins, or for how long the store hangs.
func (j *job) told(line string) {
	if line == goOn {
		close(j.begin)
	} else if d, err := time.ParseDuration(line); err == nil {
		j.weather.hang(d)
	}
}

func (j *job) run(ctx context.Context) error {
	if len(j.Keys) == 0 {
		return errors.New("the job has no keys")
	}
	keys, err := storage.NewKeyset(j.Keys[0], j.Keys[1:]...)
	if err != nil {
		return err
	}
	s, err := opener(j.At)
	if err != nil {
		return fmt.Errorf("can't open the store: %w", err)
	}
	if c, ok := s.(io.Closer); ok {
		defer c.Close()
	}
	if j.Once {
		j.weather.Store, j.weather.locks = s, j.Locks
		j.weather.latency = make(map[string]time.Duration)
		for i, d := range j.Latency {
			j.weather.latency[connection(i)] = d
		}
		if j.AtATime > 0 {
			j.weather.slots = make(chan struct{}, j.AtATime)
		}
		s = j.weather
	}
	var r report
	p := endpoints.TaxRock
	p.Endpoint.TokenURL, p.APIURLs = j.TokenURL, []string{j.APIURL}
	m := &tokensource.Manager{
		Config: p.Config(oauth2.Config{ClientID: j.ClientID, ClientSecret: j.ClientSecret}),
		Store:  storage.Encrypt(s, &sealer{keys, &r.Unopened}),
	}
	if j.Once {
		j.refresh(ctx, m, &r)
	} else {
		j.work(ctx, m, &r)
	}
	wait := patience
	if j.Once {
		wait /= 6
	}
	flush, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := m.Flush(flush); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s%s\n", reportMark, text)
	return nil
}

// work calls the API until ctx is done. Each user of a connection, in any process,
// calls at the same moments by the clock on the wall: so they find together that its
// token is to be refreshed, and only the store keeps them from doing it together. The
// moments differ by connection, for the machine's sake.
func (j *job) work(ctx context.Context, m *tokensource.Manager, r *report) {
	var first sync.Once
	var refused refusals
	var wg sync.WaitGroup
	for i := range j.Goroutines {
		wg.Go(func() {
			n := i % j.Connections
			client := m.Client(connection(n))
			period := 500*time.Millisecond + time.Duration(n)*10*time.Millisecond
			for {
				now := time.Now()
				next := now.Truncate(period).Add(period * time.Duration(1+rand.IntN(3)))
				select {
				case <-ctx.Done():
					return
				case <-time.After(next.Sub(now)):
				}
				start := time.Now()
				err := call(client, j.APIURL+"/client-accounts")
				atomic.AddInt64(&r.Calls, 1)
				switch {
				case errors.Is(err, tokensource.ErrLoginRequired):
					atomic.AddInt64(&r.LoginRequired, 1)
				case errors.Is(err, errRefused):
					refused.add(n, start)
				case err != nil:
					atomic.AddInt64(&r.Failed, 1)
					first.Do(func() { r.First = err.Error() })
				}
			}
		})
	}
	wg.Wait()
	late, failed := refused.judge(j.TokenLife)
	r.Late = late
	if r.Failed += failed; failed > 0 && r.First == "" {
		r.First = errRefused.Error()
	}
}

// refresh waits until every connection has a token that has just been issued.
func (j *job) refresh(ctx context.Context, m *tokensource.Manager, r *report) {
	m.EarlyExpiry = time.Hour // when half of a token's life is over, or a little more
	<-j.begin
	ctx, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	var first sync.Once
	var wg sync.WaitGroup
	for i := range j.Connections {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 5 * time.Millisecond) // as requests come
			source := m.Source(connection(i))
			for {
				t, err := source.TokenContext(ctx)
				switch {
				case err == nil && time.Until(t.Expiry) > j.TokenLife/2:
					atomic.AddInt64(&r.Calls, 1)
					return
				case errors.Is(err, tokensource.ErrLoginRequired):
					atomic.AddInt64(&r.LoginRequired, 1)
					return
				case ctx.Err() != nil:
					atomic.AddInt64(&r.Failed, 1)
					first.Do(func() { r.First = fmt.Sprint("there is no new token: ", err) })
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

var errRefused = errors.New("the API refused the token")

func call(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		return errRefused
	default:
		return errors.New(resp.Status)
	}
}

// sealer counts what can't be opened: a call doesn't fail of it while the token that
// its process holds is valid.
type sealer struct {
	*storage.Keyset
	unopened *int64
}

func (s *sealer) Open(ctx context.Context, sealed, ad []byte) ([]byte, error) {
	plaintext, err := s.Keyset.Open(ctx, sealed, ad)
	if errors.Is(err, storage.ErrOpen) {
		atomic.AddInt64(s.unopened, 1)
	}
	return plaintext, err
}
