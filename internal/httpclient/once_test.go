package httpclient

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// frame is one of HTTP/2 (RFC 9113, section 4.1).
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	frameGoAway   = 7

	endStream, ack = 1, 1
)

func (f frame) write(w io.Writer) {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(f.payload))<<8|uint32(f.kind))
	head = binary.BigEndian.AppendUint32(append(head, f.flags), f.stream)
	_, _ = w.Write(append(head, f.payload...))
}

func readFrame(r io.Reader) (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:])}
	f.payload = make([]byte, binary.BigEndian.Uint32(head[:])>>8)
	_, err := io.ReadFull(r, f.payload)
	return f, err
}

// server answers every whole request over HTTP/2 with a frame.
type server struct {
	client   *http.Client
	url      string
	requests atomic.Int64
	answer   func(stream uint32) frame
}

// newServer starts one without TLS, which would take most of the time.
func newServer(t *testing.T, answer func(stream uint32) frame) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() { l.Close(); transport.CloseIdleConnections() })
	s := &server{client: &http.Client{Transport: transport}, url: "http://" + l.Addr().String(), answer: answer}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	_, _ = io.CopyN(io.Discard, conn, int64(len(preface)))
	frame{kind: frameSettings}.write(conn)
	for {
		f, err := readFrame(conn)
		switch {
		case err != nil:
			return
		case f.kind == frameSettings && f.flags&ack == 0:
			frame{kind: frameSettings, flags: ack}.write(conn)
		case (f.kind == frameHeaders || f.kind == frameData) && f.flags&endStream != 0:
			if s.requests.Add(1) > 1 {
				return // that is enough to see, and the client would never stop
			}
			answer := s.answer(f.stream)
			answer.write(conn)
			if answer.kind == frameGoAway {
				return
			}
		}
	}
}

func reset(code byte) func(uint32) frame {
	return func(stream uint32) frame {
		return frame{kind: frameReset, stream: stream, payload: []byte{0, 0, 0, code}}
	}
}

func TestNothingIsSentTwiceOverHTTP2(t *testing.T) {
	for name, answer := range map[string]func(uint32) frame{
		"PROTOCOL_ERROR": reset(1),
		"REFUSED_STREAM": reset(7),
		"GOAWAY":         func(uint32) frame { return frame{kind: frameGoAway, payload: make([]byte, 8)} },
	} {
		t.Run(name, func(t *testing.T) {
			for _, body := range []io.Reader{strings.NewReader("spent"), http.NoBody, nil} {
				for _, once := range []bool{true, false} {
					s := newServer(t, answer)
					if once {
						s.client.Transport = OnceTransport{s.client.Transport}
					}
					_, err := s.client.Post(s.url, "text/plain", body)
					assert.Error(t, err)
					assert.Equal(t, once, s.requests.Load() == 1, "%d requests", s.requests.Load())
					if once {
						assert.ErrorIs(t, err, errSent)
					}
				}
			}
		})
	}
}

func TestWhatWasNotWrittenCanBeSent(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer s.Close()
	r, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader("text"))
	require.NoError(t, err)
	once, _ := sentOnce(r)
	resp, err := http.DefaultTransport.RoundTrip(once) // HTTP/1, which knows what was written
	require.NoError(t, err)
	resp.Body.Close()
	body, err := once.GetBody()
	require.NoError(t, err)
	text, err := io.ReadAll(body)
	require.NoError(t, err)
	assert.Equal(t, "text", string(text))

	r.GetBody = nil
	once, _ = sentOnce(r)
	assert.Same(t, r, once)
}

func TestAnswerLeadsToTheRequestAsItWas(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	r, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader("text"))
	require.NoError(t, err)
	resp, err := RoundTripOnce(s.Client().Transport, r)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 2, resp.ProtoMajor)
	require.Same(t, r, resp.Request)
	body, err := resp.Request.GetBody()
	require.NoError(t, err)
	body.Close()
}

func TestAnswerOnAnotherProtocolIsNotRead(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: endless\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn) // until the client ends it
	}))
	defer s.Close()
	client := &http.Client{Transport: OnceTransport{}}
	_, err := client.Post(s.URL, "text/plain", strings.NewReader("text"))
	assert.ErrorIs(t, err, errSwitched)
}
