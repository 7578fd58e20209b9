package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
)

var update = flag.Bool("update", false, "write what the command prints into the scripts and the README")

// waiting are tests that wait more than they compute.
type waiting struct{ *testing.M }

func (w waiting) Run() int {
	flag.Parse()
	flag.Set("test.parallel", "8")
	return w.M.Run()
}

func TestMain(m *testing.M) {
	testscript.Main(waiting{m}, map[string]func(){"oauth2keep": main, "browser": browser, "refusing": refusing, "idle": idle})
}

// acme is a provider that follows the RFCs, and plain one that can't revoke a grant.
var (
	acme = endpoints.Provider{
		Name: "Acme",
		Endpoint: oauth2.Endpoint{
			AuthURL:       "https://login.acme.example/authorize",
			TokenURL:      "https://login.acme.example/token",
			DeviceAuthURL: "https://login.acme.example/device",
		},
		RevokeURL: "https://login.acme.example/revoke",
		APIURLs:   []string{"https://api.acme.example/v1"},
	}
	plain = endpoints.Provider{
		Name:     "Plain",
		Endpoint: oauth2.Endpoint{AuthURL: "https://plain.example/authorize", TokenURL: "https://plain.example/token"},
		APIURLs:  []string{"https://api.plain.example"},
	}
)

var played = map[string]endpoints.Provider{"acme": acme, "plain": plain, "finch": endpoints.Finch, "taxrock": endpoints.TaxRock}

const redirectURL = "https://app.example/callback"

// TestScripts runs the scripts, each against a server of its own that acts as the providers.
// What they write is as people see it. With -short, one runs: a command is a process, and they
// are some two hundred.
func TestScripts(t *testing.T) {
	t.Parallel()
	params := scripts("testdata/script")
	if testing.Short() {
		params.Dir, params.Files = "", []string{"testdata/script/connect.txtar"}
	}
	testscript.Run(t, params)
}

func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		Setup:               setUp,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "shows": shows, "login": login, "elsewhere": elsewhere, "provider": provider, "tamper": tamper, "genkey": genkey, "wrongclock": wrongClock,
			"plant": plant, "genpem": genPEM, "removeold": removeOld, "interrupted": interrupted, "unread": unread,
		},
	}
}

type serverKey struct{}

// setUp starts the server, and writes the definitions that lead to it.
func setUp(env *testscript.Env) error {
	var all []endpoints.Provider
	for _, p := range played {
		all = append(all, p)
	}
	server, err := endpointstest.Start(all...)
	if err != nil {
		return err
	}
	env.Defer(server.Close)
	env.Values[serverKey{}] = server
	for name, p := range played {
		data, err := json.Marshal(server.Provider(p))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(env.WorkDir, name+".json"), data, 0o600); err != nil {
			return err
		}
		server.Config(p, redirectURL)
		policy := server.Policy(p)
		policy.DeviceInterval = time.Second
		server.SetPolicy(p, policy)
		c := server.Config(p, "http://127.0.0.1/callback")
		prefix := strings.ToUpper(name)
		env.Setenv(prefix+"_ID", c.ClientID)
		env.Setenv(prefix+"_SECRET", c.ClientSecret)
		if err := os.WriteFile(filepath.Join(env.WorkDir, name+".secret"), []byte(c.ClientSecret+"\n"), 0o600); err != nil {
			return err
		}
		env.Setenv(prefix+"_API", server.Provider(p).APIURLs[0])
	}
	home := filepath.Join(env.WorkDir, "home")
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "AppData"} {
		env.Setenv(name, home)
	}
	env.Setenv("OAUTH2KEEP_KEYS", "no-keyring")
	env.Setenv("TZ", "UTC")
	env.Setenv("BROWSER", "browser")
	return os.Mkdir(home, 0o700)
}

func serverOf(ts *testscript.TestScript) *endpointstest.Server {
	return ts.Value(serverKey{}).(*endpointstest.Server)
}

// exits runs a program that has to end with an exit code: exits CODE PROGRAM ARGUMENT...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program argument...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got, ended := 0, (*exec.ExitError)(nil)
	if errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("the exit code is %d, not %d", got, want)
	}
	tellsNoSecret(ts)
}

// tellsNoSecret looks for the clients' secrets in what was printed, and in the configuration.
func tellsNoSecret(ts *testscript.TestScript) {
	printed := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	if c, err := os.ReadFile(filepath.Join(ts.Getenv("HOME"), "oauth2keep", "config.json")); err == nil {
		printed += string(c)
	}
	for name := range played {
		secret, err := os.ReadFile(ts.MkAbs(name + ".secret"))
		if err == nil && strings.Contains(printed, strings.TrimSpace(string(secret))) {
			ts.Fatalf("the secret of %s was printed, or is in the configuration", name)
		}
	}
}

var (
	clockTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	moments   = regexp.MustCompile(`\((now|\d+s ago)\)`)

	almost = strings.NewReplacer("in 59m ", "in 1h  ", "in 59m", "in 1h") // with a slow machine's minute gone
)

// shows compares the output with a file, but for the time: shows FILE.
func shows(ts *testscript.TestScript, neg bool, args []string) {
	got, want := ts.ReadFile("stdout"), ts.ReadFile(args[0])
	got = almost.Replace(moments.ReplaceAllString(clockTime.ReplaceAllString(got, "DATE TIME"), "(now)"))
	if got != want {
		ts.Fatalf("the output isn't that of %s, but\n%s", args[0], got)
	}
}

// provider is what happens at the provider's side: provider NAME revoke|down|up|short|slow|advance.
func provider(ts *testscript.TestScript, neg bool, args []string) {
	server, p := serverOf(ts), played[args[0]]
	switch args[1] {
	case "revoke":
		server.RevokeAll(p)
	case "down":
		server.Fail(p, endpointstest.Fault{Trouble: endpointstest.Unavailable, RetryAfter: 2 * time.Minute})
	case "api":
		trouble := map[string]endpointstest.Trouble{"unavailable": endpointstest.Unavailable, "firewall": endpointstest.Firewall}[args[2]]
		server.Fail(p, endpointstest.Fault{On: endpointstest.API, Trouble: trouble, Times: 1})
	case "up":
		server.Clear(p)
	case "slow":
		server.Fail(p, endpointstest.Fault{AnswerDelay: 500 * time.Millisecond, Times: 1})
	case "rotate": // and have access tokens live for so long
		d, err := time.ParseDuration(args[2])
		ts.Check(err)
		policy := server.Policy(p)
		policy.AccessLifetime, policy.Rotate = d, true
		server.SetPolicy(p, policy)
	case "refreshed":
		if got := strconv.Itoa(server.Stats(p).Refreshed); got != args[2] {
			ts.Fatalf("the token was refreshed %s times", got)
		}
	default:
		ts.Fatalf("provider %s", args[1])
	}
}

// tamper changes a byte in the last record of a directory, or of all that match a text.
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), strings.Repeat("[0-9a-f]", 64)))
	ts.Check(err)
	for _, path := range files {
		data, err := os.ReadFile(path)
		ts.Check(err)
		if !strings.Contains(string(data), args[1]) {
			continue
		}
		data[len(data)-40] ^= 1
		ts.Check(os.WriteFile(path, data, 0o600))
		return
	}
	ts.Fatalf("there is no record %s in %s", args[1], args[0])
}

// genkey makes the key file NAME.key, and sets NAME_KEY to the key's fingerprint.
func genkey(ts *testscript.TestScript, neg bool, args []string) {
	key := storage.NewKey()
	ts.Check(storage.WriteKeyFile(ts.MkAbs(args[0]), key))
	keys, err := storage.NewKeyset(key)
	ts.Check(err)
	ts.Setenv(strings.ToUpper(strings.TrimSuffix(args[0], ".key"))+"_KEY", keys.Fingerprints()[0])
}

// wrongClock writes the definition of a provider whose clock is two hours late.
func wrongClock(ts *testscript.TestScript, neg bool, args []string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-2*time.Hour).UTC().Format(http.TimeFormat))
	}))
	ts.Defer(s.Close)
	data, err := json.Marshal(endpoints.Provider{Name: "Late", Endpoint: oauth2.Endpoint{AuthURL: s.URL + "/a", TokenURL: s.URL + "/t"}, APIURLs: []string{s.URL}})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// removeOld does what rekey says about the old key: it destroys that, and then there is none.
func removeOld(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("oauth2keep", "rekey"))
	_, old, found := strings.Cut(ts.ReadFile("stderr"), "rekey --remove ")
	if !found {
		ts.Fatalf("rekey names no old key")
	}
	ts.Check(ts.Exec("oauth2keep", "rekey", "--remove", strings.TrimSpace(old)))
	ts.Check(ts.Exec("oauth2keep", "rekey"))
	if strings.Contains(ts.ReadFile("stderr"), "--remove") {
		ts.Fatalf("the old key is still there")
	}
}

// genPEM makes a private key for private_key_jwt, or one that is of no use: genpem FILE [useless].
func genPEM(ts *testscript.TestScript, neg bool, args []string) {
	var key crypto.Signer
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if len(args) > 1 {
		key, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	}
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}

// plant puts what is no record under a name with control characters: plant DIR.
func plant(ts *testscript.TestScript, neg bool, args []string) {
	dir, err := storage.OpenDir(ts.MkAbs(args[0]))
	ts.Check(err)
	defer dir.Close()
	_, err = dir.Put(context.Background(), "acme/\x1b[31mred\u202e", []byte("no record"), "")
	ts.Check(err)
}

// interrupted presses Ctrl-C when the provider is about to answer a refresh: interrupted PROVIDER PROGRAM
// ARGUMENT...
func interrupted(ts *testscript.TestScript, neg bool, args []string) {
	server, p := serverOf(ts), played[args[0]]
	before := server.Stats(p).RefreshRequests
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	ts.Check(cmd.Start())
	for range 400 {
		if server.Stats(p).RefreshRequests > before {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != exitInterrupted {
		ts.Fatalf("the program ended with %v, not %d", err, exitInterrupted)
	}
}

// unread runs a program whose output nobody reads: unread PROGRAM ARGUMENT...
func unread(ts *testscript.TestScript, neg bool, args []string) {
	r, w, err := os.Pipe()
	ts.Check(err)
	ts.Check(r.Close())
	var said strings.Builder
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), environment(ts), w, &said
	err = cmd.Run()
	w.Close()
	if err != nil || said.Len() > 0 {
		ts.Fatalf("the program ended with %v: %s", err, &said)
	}
}

// login is a user who connects an account and approves: login CONNECTION FLAG... The command
// opens the page in the browser that $BROWSER names.
func login(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("oauth2keep", append([]string{"login"}, args...)...)
	if (err != nil) != neg {
		ts.Fatalf("login: %v", err)
	}
	tellsNoSecret(ts)
}

var (
	pageURL  = regexp.MustCompile(`https?://\S+`)
	userCode = regexp.MustCompile(`enter the code (\S+)`)
)

// elsewhere is a user who opens the page that a login shows, in a browser elsewhere, and pastes the URL
// that it ends up at, or enters the code of a device, if the login asks for that: elsewhere CONNECTION FLAG...
func elsewhere(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command("oauth2keep", append([]string{"login"}, args...)...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	in, err := cmd.StdinPipe()
	ts.Check(err)
	said, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	var all strings.Builder
	lines := bufio.NewScanner(io.TeeReader(said, &all))
	var opened string
	for lines.Scan() {
		if code := userCode.FindStringSubmatch(lines.Text()); code != nil {
			ts.Check(endpointstest.ApproveDevice(context.Background(), nil, opened, code[1]))
		} else if page := pageURL.FindString(lines.Text()); strings.HasPrefix(strings.TrimSpace(lines.Text()), "http") {
			if opened = page; slices.Contains(args, "--device") {
				continue
			}
			end, err := endpointstest.Approve(context.Background(), nil, page)
			ts.Check(err)
			if end.Hostname() == "127.0.0.1" {
				resp, err := http.Get(end.String())
				ts.Check(err)
				resp.Body.Close()
				continue
			}
			fmt.Fprintln(in, "https://app.example/\n"+end.String())
		}
	}
	err = cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("said"), []byte(all.String()), 0o600))
	if (err != nil) != neg {
		ts.Fatalf("login: %v: %s", err, &all)
	}
}

// environment returns that of the script.
func environment(ts *testscript.TestScript) (env []string) {
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "AppData", "OAUTH2KEEP_KEYS", "OAUTH2KEEP_STORE", "OAUTH2KEEP_CONFIG", "PATH", "ACME_SECRET", "BROWSER"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return append(env, "GOCOVERDIR="+ts.Getenv("TMPDIR")) // a program that is covered says so if it is missing
}

// browser is a user's browser, as $BROWSER names one: the user approves, and is sent back. In
// refusing they say no, and in idle nothing.
func browser()  { use(endpointstest.Approve) }
func refusing() { use(endpointstest.Deny) }
func idle()     {}

func use(decide func(context.Context, *http.Client, string) (*url.URL, error)) {
	end, err := decide(context.Background(), nil, os.Args[1])
	if err == nil {
		_, err = http.Get(end.String())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
