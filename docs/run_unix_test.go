//go:build unix

package docs_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var runThem = flag.Bool("commands", false, "run the commands of all pages: minutes, on Debian with what .ci/run installs")

// TestCommands runs the commands of all pages as readers would: in a checkout, or in a module of
// their own that gets a release of it, with a home that is empty.
func TestCommands(t *testing.T) {
	if !*runThem {
		t.Skip("takes minutes: runs with -commands")
	}
	w := newWorld(t)
	t.Run("pages", func(t *testing.T) {
		for i, page := range files(t, ".md") {
			t.Run(page, func(t *testing.T) {
				t.Parallel()
				r := w.newReader(t, page, i)
				for _, script := range scripts(read(t, page)) {
					r.follow(t, script)
				}
			})
		}
	})
}

// world is what all readers share.
type world struct {
	scratch string // has the repository, and the proxy with its release
	sandbox []string
	serving sync.Mutex // is held by who uses port 8080
}

func newWorld(t *testing.T) *world {
	scratch, err := os.MkdirTemp("", "docs")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(scratch) })
	w := &world{scratch: scratch, sandbox: newSandbox(t, scratch)}
	output, err := exec.CommandContext(t.Context(), "../.ci/proxy", scratch).CombinedOutput()
	require.NoError(t, err, "%s", output)
	// The command is there for pages that don't install it themselves.
	install := exec.CommandContext(t.Context(), "go", "install", "github.com/oauth2keep/oauth2keep/cmd/oauth2keep@latest")
	install.Dir = scratch
	install.Env = append(append(os.Environ(), w.modules()...), "GOBIN="+filepath.Join(scratch, "bin"))
	output, err = install.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return w
}

// modules is the environment of who gets a release. What was downloaded before is a proxy too.
func (w *world) modules() []string {
	cache := goEnv("GOMODCACHE")
	return []string{
		"GOPROXY=file://" + w.scratch + "/proxy/cache/download,file://" + cache + "/cache/download," + goEnv("GOPROXY"),
		"GOMODCACHE=" + w.scratch + "/modules", // ours must not get into one that is kept
		"GOFLAGS=-mod=mod -modcacherw -trimpath", "GOWORK=off",
		"GONOSUMDB=github.com/oauth2keep/oauth2keep,github.com/oauth2keep/oauth2keep/*",
	}
}

func goEnv(name string) string {
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(value))
}

// reader follows a page.
type reader struct {
	*world
	page string
	home string
	env  []string
}

func (w *world) newReader(t *testing.T, page string, number int) *reader {
	r := &reader{world: w, page: page, home: filepath.Join(w.scratch, fmt.Sprint(number))}
	require.NoError(t, os.MkdirAll(r.home+"/app", 0o700))
	require.NoError(t, os.WriteFile(r.home+"/app/go.mod", []byte("module example.com/app\n\ngo 1.26\n"), 0o600))
	r.env = append(os.Environ(), "HOME="+r.home, "XDG_CONFIG_HOME="+r.home+"/.config", "GOPATH="+r.home+"/go",
		"GOCACHE="+goEnv("GOCACHE"), "GOMODCACHE="+goEnv("GOMODCACHE"), "GOFLAGS=-trimpath", "GIT_CONFIG_NOSYSTEM=1",
		"PATH="+r.home+"/go/bin:"+w.scratch+"/bin:"+os.Getenv("PATH"), "CHECKOUT="+w.scratch+"/repository")
	return r
}

var (
	inCheckout = regexp.MustCompile(`(?m)^(.* )?go (run|test) |^cd `)
	ofModules  = regexp.MustCompile(`(?m)^go (get|install|doc) `)
)

// follow runs commands in one shell, or one that serves until its page was seen.
func (r *reader) follow(t *testing.T, commands []string) {
	var texts, script []string
	var serves *site
	for _, command := range commands {
		if isPart(t, command) {
			continue
		}
		a := asides[command]
		texts = append(texts, a.text(command))
		for _, each := range []string{a.before, a.text(command), a.then} {
			if each != "" {
				script = append(script, each)
			}
		}
		serves = a.serves
	}
	if len(script) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := r.shell(ctx, strings.Join(texts, "\n"), strings.Join(script, "\n"))
	began := time.Now()
	if serves != nil {
		require.Len(t, commands, 1, "a command that serves stands alone")
		r.serving.Lock()
		defer r.serving.Unlock()
		serves.visit(t, cmd)
	} else {
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		require.NoError(t, cmd.Start())
		err := cmd.Wait()
		cmd.Cancel() // what it has left in the background
		require.NoError(t, err, "%s", &said)
	}
	t.Logf("%.1f s: %s", time.Since(began).Seconds(), strings.Join(texts, "; "))
}

// shell returns a shell where the commands belong: in the checkout, in a module that gets the
// release, or at a user of the command.
func (r *reader) shell(ctx context.Context, commands, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-exo", "pipefail", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	switch {
	case inCheckout.MatchString(commands):
		cmd.Dir, cmd.Env = filepath.Join(r.scratch, "repository", place(r.page, commands)), r.env
	case ofModules.MatchString(commands):
		cmd.Dir, cmd.Env = r.home+"/app", append(r.env, r.modules()...)
	default:
		cmd.Dir, cmd.Env = r.home+"/app", append(r.env, r.sandbox...)
	}
	return cmd
}
