package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// memoryTimeout is how long Memory may take to keep an event that was handled.
const memoryTimeout = 3 * time.Second

// Handler is an http.Handler for the webhooks of one provider. Its fields are set before
// the first request and then left alone. The package's documentation says what it answers.
type Handler struct {
	// Verifier tells which requests are genuine. It is required.
	Verifier *Verifier

	// Handle does what an event asks for. It is required. An error, or a panic, has the
	// provider deliver the event again. It is called concurrently, for different events.
	// Its context is the request's.
	Handle func(ctx context.Context, e Event) error

	// Memory keeps which events were handled. If nil, the Handler keeps the last
	// 10,000, for three days.
	Memory Memory

	// OnError, if not nil, is told why a request wasn't answered 200, or couldn't be
	// kept in Memory: that a signature was wrong, or what Handle returned. No error
	// holds a secret, unless one of Handle's or Memory's does.
	OnError func(ctx context.Context, err error)

	own memory

	mu       sync.Mutex // guards inFlight
	inFlight map[string]bool
}

// ServeHTTP verifies, decodes and handles one webhook.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h.serve(w, r)
	if err != nil && h.OnError != nil {
		h.OnError(r.Context(), err)
	}
	status := statusOf(err)
	switch status {
	case http.StatusOK:
		w.WriteHeader(status)
		return
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	http.Error(w, http.StatusText(status), status)
}

// answer is an error with the status of the answer.
type answer struct {
	status int
	error
}

func (a *answer) Unwrap() error { return a.error }

func statusOf(err error) int {
	var a *answer
	var r *refusal
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &a):
		return a.status
	case errors.As(err, &r):
		return r.status
	}
	return http.StatusInternalServerError
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	if h.Verifier == nil || h.Handle == nil {
		return errors.New("webhook: a Handler needs a Verifier and Handle")
	}
	if r.Method != http.MethodPost {
		return &refusal{http.StatusMethodNotAllowed, "a webhook is a POST"}
	}
	stamp, err := h.Verifier.stamp(r.Header) // before the body is read
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return &refusal{http.StatusRequestEntityTooLarge, "the body is too long"}
	}
	if err != nil {
		return &answer{http.StatusBadRequest, fmt.Errorf("webhook: read the body: %w", err)}
	}
	e, err := h.Verifier.event(stamp, body)
	if err != nil {
		return err
	}
	return h.once(r.Context(), e)
}

// once handles e unless that was done before.
func (h *Handler) once(ctx context.Context, e Event) error {
	key := e.key()
	if !h.begin(key) {
		return &answer{http.StatusServiceUnavailable, fmt.Errorf("webhook: event %s is being handled", key)}
	}
	defer h.end(key)
	memory := h.Memory
	if memory == nil {
		memory = &h.own
	}
	seen, err := memory.Seen(ctx, key)
	if err != nil {
		return &answer{http.StatusServiceUnavailable, fmt.Errorf("webhook: Memory: %w", err)}
	}
	if seen {
		return nil
	}
	if err := h.handle(ctx, e); err != nil {
		return &answer{http.StatusInternalServerError, fmt.Errorf("webhook: event %s: %w", key, err)}
	}
	// What is done is kept, also if the provider has hung up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), memoryTimeout)
	defer cancel()
	until := time.Now().Add(max(remembered, 2*h.Verifier.tolerance())) // when it can't be replayed any more
	if err := memory.Remember(ctx, key, until); err != nil {
		return &answer{http.StatusOK, fmt.Errorf("webhook: Memory: %w", err)} // it has been handled
	}
	return nil
}

// handle calls Handle, and makes an error of a panic.
func (h *Handler) handle(ctx context.Context, e Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h.Handle(ctx, e)
}

// begin reports whether nobody else handles the event now.
func (h *Handler) begin(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.inFlight[key] {
		return false
	}
	if h.inFlight == nil {
		h.inFlight = make(map[string]bool)
	}
	h.inFlight[key] = true
	return true
}

func (h *Handler) end(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.inFlight, key)
}
