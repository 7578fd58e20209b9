package tokensourcetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// process is a process of the fleet, as its parent sees it.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // closed when what follows may be read
	err   error
	out   bytes.Buffer
}

func (j *job) start() (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), variable+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// over reports whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// finish tells the process to end, and waits for it.
func (p *process) finish() (report, error) {
	p.stdin.Close()
	<-p.ended
	return p.report()
}

// report reads what a process that has ended has told.
func (p *process) report() (r report, err error) {
	_, text, ok := bytes.Cut(p.out.Bytes(), []byte(reportMark))
	if err = p.err; err == nil && !ok {
		err = errors.New("it made no report")
	}
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(text)).Decode(&r)
	}
	if err != nil {
		return r, fmt.Errorf("a process ended with %w:\n%s", err, p.out.Bytes())
	}
	return r, nil
}
