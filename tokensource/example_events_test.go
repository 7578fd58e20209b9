package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// logEvents returns an OnEvent that writes to a slog.Logger. Everything in an Event
// is fit for a log.
func logEvents(l *slog.Logger) func(context.Context, tokensource.Event) {
	return func(ctx context.Context, e tokensource.Event) {
		level := slog.LevelInfo
		switch e.Kind {
		case tokensource.EventFailed, tokensource.EventTakenOver:
			level = slog.LevelWarn
		case tokensource.EventUnsaved, tokensource.EventLoginRequired:
			level = slog.LevelError
		}
		attrs := []slog.Attr{slog.String("connection", e.Connection)}
		if e.Reason != "" {
			attrs = append(attrs, slog.String("reason", string(e.Reason)))
		}
		l.LogAttrs(ctx, level, "token "+string(e.Kind), attrs...)
	}
}

// offline is a provider for examples. It answers every refresh with invalid_grant.
type offline struct{}

func (offline) TokenSource(context.Context, *oauth2.Token) oauth2.TokenSource { return offline{} }

func (offline) Token() (*oauth2.Token, error) {
	return nil, &oauth2.RetrieveError{ErrorCode: "invalid_grant"}
}

// Events go to a log, and a connection's status to a page or an alert.
func ExampleManager_OnEvent() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		panic(err)
	}
	manager := &tokensource.Manager{
		Config:       offline{},
		Registration: tokensource.Registration{Issuer: "https://provider.example", ClientID: "app"},
		Store:        storage.Encrypt(new(storage.Memory), keys),
		OnEvent:      logEvents(logger),
	}
	ctx := context.Background()
	err = manager.Save(ctx, "customer-42", &oauth2.Token{
		AccessToken:  "access",
		RefreshToken: "refresh",
		Expiry:       time.Now().Add(-time.Minute),
	})
	if err != nil {
		panic(err)
	}
	_, err = manager.Source("customer-42").TokenContext(ctx)
	fmt.Println(errors.Is(err, tokensource.ErrLoginRequired))
	status, err := manager.Status(ctx, "customer-42")
	fmt.Println(status.State, status.Reason, status.ErrorCode, err)
	// Output:
	// level=INFO msg="token saved" connection=customer-42
	// level=ERROR msg="token login_required" connection=customer-42 reason=revoked_or_expired
	// true
	// login_required revoked_or_expired invalid_grant <nil>
}
