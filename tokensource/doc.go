/*
Package tokensource keeps OAuth 2.0 tokens: saved, encrypted, fresh and never lost,
across goroutines, processes and machines.

	manager := &tokensource.Manager{
		Config: conf,                        // *endpoints.Config or *oauth2.Config
		Store:  storage.Encrypt(dir, keys),
	}
	err := manager.Save(ctx, "customer-42", token) // once, after the consent page
	…
	client := manager.Client("customer-42")        // from then on, in any process

A connection is one account's grant, stored under a key that the application
chooses. [Manager.Client] is an *http.Client that calls the provider's API for it;
[Manager.Source] is its oauth2.TokenSource, for whatever takes one.

# What to do about errors

When an error is [ErrLoginRequired], only the user can mend the connection: send them
to the consent page, and Save the new token. [Manager.Status] says why, and
[Manager.OnEvent] says so at once. All other errors pass: the next call tries again
when it is time to, and not before, so it costs nothing to call.

Call [Manager.Flush] before the program ends. It returns when no token is left that
exists only in memory.

# How a refresh works

Many providers replace the refresh token at each refresh, and end the grant if the
old one is used again. So a refresh token must be spent once, by one process, and
what comes back must be saved before anything else happens. What keeps it so:

  - All callers in a process share one flight for each connection. It doesn't end
    when a caller's context does.
  - A refresh begins by writing an attempt into the record, by compare-and-swap: of
    several processes one succeeds, and the others wait for what comes of it. The
    record itself is the lock, on any store that can swap. Where the store has a
    lock that dies with its holder, such as storage.Dir, that is held as well.
  - While the answer is awaited the attempt is renewed every two seconds. An attempt
    that nobody has renewed for six is taken over: its process has died. Each
    process measures that on its own clock; no two clocks are compared.
  - If the answer is lost, the same request is sent again at once. Providers that
    have a grace window then answer it.
  - The new token is saved before anyone is given it. It wins over attempts and
    failures that others recorded about the old one, and loses to a newer token or
    a new login. If the store doesn't take it, it is kept in memory, served, and
    saved as soon as the store is back.
  - Only invalid_grant ends a connection, and only if the record still holds the
    token that was refused. The reason that is recorded tells a revocation from a
    lost answer: an attempt that nobody finished stands in the record.
  - Everything else is transient: the old token is served while it is valid, and
    the next try is recorded, so that other processes hold off too.

What can't be prevented: a process that dies, or sleeps for longer than the lease,
between the provider's answer and the save. With a provider that has no grace window
that loses the grant, and it is reported as [ReasonResponseLost].

# When a token is refreshed

When a quarter of its life is left, five minutes at most, and a random tenth of its
life earlier, so that tokens issued together aren't refreshed together. The old one
is served meanwhile. A token that doesn't expire is never refreshed, unless the API
refuses it.

# Watching connections

[Manager.OnEvent] hears of everything that happens to a connection, and
[Manager.Status] tells how one is doing; neither holds a secret. The example of
OnEvent writes to a slog.Logger. With OpenTelemetry, count the events:

	events, err := otel.Meter("tokens").Int64Counter("oauth2keep.events")
	manager.OnEvent = func(ctx context.Context, e tokensource.Event) {
		events.Add(ctx, 1, metric.WithAttributes(
			attribute.String("kind", string(e.Kind)),
			attribute.String("reason", string(e.Reason)),
		))
	}

and alert on the kinds unsaved and login_required. The key of a connection is no
attribute for a counter, as there are as many as connections; put it into a log or a
span event.

# Stored data and compatibility

A record is a JSON object, sealed by storage.Encrypted. It holds the token, what the
provider sent beside it, when the user consented and when the tokens were issued,
and, if there are, an attempt and a failure. Its member "format" is 1. Every release
of this major version reads the records of earlier ones; one that has to write
another format raises the number, and a program that meets a higher number than it
knows returns an error and leaves the record alone. Members that a release doesn't
know are not kept when it writes a record, so run the same release everywhere before
you rely on what is new in it.
*/
package tokensource
