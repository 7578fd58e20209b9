package tokensourcetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// process is a process of the fleet, as its parent sees it.
type process struct{ *testenv.Process }

func (j *job) start(t *testing.T) process {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	return process{testenv.StartProcess(t, variable+"="+string(text))}
}

// over reports whether the process has ended.
func (p process) over() bool {
	select {
	case <-p.Ended():
		return true
	default:
		return false
	}
}

// finish tells the process to end, and waits for its report.
func (p process) finish() (r report, err error) {
	p.Stdin.Close()
	return p.report()
}

// report waits until the process has ended, and reads what it has told.
func (p process) report() (r report, err error) {
	out, err := io.ReadAll(p.Stdout)
	if err = errors.Join(err, p.Wait()); err != nil {
		return r, err
	}
	_, text, ok := bytes.Cut(out, []byte(reportMark))
	if !ok {
		return r, fmt.Errorf("a process made no report:\n%s", out)
	}
	return r, json.NewDecoder(bytes.NewReader(text)).Decode(&r)
}
