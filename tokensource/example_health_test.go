package tokensource_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// health tells how the connections are doing. They are counted in the background, so that no
// request waits for a walk over the store, however many there are.
type health struct {
	last atomic.Pointer[count]
}

type count struct {
	at          time.Time
	connections map[tokensource.State]int
}

// run counts the connections again and again, until ctx is done.
func (h *health) run(ctx context.Context, m *tokensource.Manager, every time.Duration) {
	for ctx.Err() == nil {
		h.count(ctx, m)
		select {
		case <-time.After(every):
		case <-ctx.Done():
		}
	}
}

// count counts them once. If the store can't list them, the last count stands.
func (h *health) count(ctx context.Context, m *tokensource.Manager) {
	c := &count{connections: make(map[tokensource.State]int)}
	for status, err := range m.Connections(ctx) {
		if err != nil && status.Connection == "" {
			return
		}
		c.connections[status.State]++
	}
	c.at = time.Now()
	h.last.Store(c)
}

// ServeHTTP answers at once, and always with 200: that a grant was revoked, or that a provider
// is down, is no reason to restart this process.
func (h *health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	answer := map[string]any{"connections": nil}
	if c := h.last.Load(); c != nil {
		answer = map[string]any{"connections": c.connections, "seconds_ago": int(time.Since(c.at).Seconds())}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// A page for a health check, or an operator.
func ExampleManager_Connections_health() {
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	manager := &tokensource.Manager{
		Config:       offline{},
		Registration: tokensource.Registration{Issuer: "https://provider.example", ClientID: "app"},
		Store:        storage.Encrypt(new(storage.Memory), keys),
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range 3 {
		token := &oauth2.Token{AccessToken: "access", RefreshToken: "refresh", Expiry: time.Now().Add(time.Duration(i) * time.Hour)}
		if err := manager.Save(ctx, fmt.Sprint("customer-", i), token); err != nil {
			fmt.Println(err)
			return
		}
	}
	_, _ = manager.Source("customer-0").TokenContext(ctx) // the provider has revoked it

	page := new(health)
	show := func() {
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, httptest.NewRequest("GET", "/healthz", nil))
		fmt.Print(answer.Code, " ", answer.Body)
	}
	show()
	go page.run(ctx, manager, time.Minute)
	for page.last.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	show()
	// Output:
	// 200 {"connections":null}
	// 200 {"connections":{"healthy":2,"login_required":1},"seconds_ago":0}
}
