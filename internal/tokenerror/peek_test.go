package tokenerror

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPeekLeavesTheBody(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		body, head string
		err        error
	}{
		{"", "", nil}, {"abc", "abc", nil}, {"abcde", "abcd", nil}, {"abc", "abc", broken},
	} {
		body := io.Reader(strings.NewReader(test.body))
		if test.err != nil {
			body = io.MultiReader(body, iotest.ErrReader(test.err))
		}
		resp := &http.Response{Body: io.NopCloser(body)}
		assert.Equal(t, test.head, string(Peek(resp, 4, time.Minute)))
		all, err := io.ReadAll(resp.Body)
		assert.Equal(t, test.body, string(all))
		assert.Equal(t, test.err, err)
	}
	assert.Empty(t, Peek(&http.Response{}, 4, time.Minute))
}

func TestPeekOfABodyWithoutEndIsOverInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, _ := io.Pipe()
		resp := &http.Response{Body: body}
		start := time.Now()
		assert.Empty(t, Peek(resp, 4, time.Second))
		assert.Equal(t, time.Second, time.Since(start))
		assert.NoError(t, resp.Body.Close())
		_, err := resp.Body.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.ErrClosedPipe, "closing it has ended the read that went on")
	})
}

// An answer that is a stream is late by patience once, and not held back until there is
// as much of it as Peek wanted.
func TestPeekHandsOnWhatHasComeOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, server := io.Pipe()
		resp := &http.Response{Body: body}
		go io.WriteString(server, "one")
		assert.Empty(t, Peek(resp, 100, time.Second))
		b := make([]byte, 10)
		for _, event := range []string{"one", "two", "three"} {
			if event != "one" {
				go io.WriteString(server, event)
			}
			n, err := resp.Body.Read(b)
			assert.NoError(t, err)
			assert.Equal(t, event, string(b[:n]))
		}
		server.Close()
		_, err := resp.Body.Read(b)
		assert.Equal(t, io.EOF, err)
	})
}

// A body is what a program's own http.RoundTripper makes of it.
func TestPeekOfABodyThatDoesNotReturnIsAnErrorOfTheBody(t *testing.T) {
	for name, fault := range map[string]func(){"panic": func() { panic("a secret") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			resp := &http.Response{Body: io.NopCloser(io.MultiReader(strings.NewReader("abc"), readerFunc(fault)))}
			assert.Equal(t, "abc", string(Peek(resp, 4, time.Minute)))
			all, err := io.ReadAll(resp.Body)
			assert.Equal(t, "abc", string(all))
			assert.ErrorContains(t, err, name)
			assert.NotContains(t, err.Error(), "a secret")
		})
	}
}

type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) { f(); return 0, io.EOF }
