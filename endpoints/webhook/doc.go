/*
Package webhook receives the webhooks of Finch and Chart: it verifies that they are
genuine and new, and says what they mean for a connection.

	verifier, err := webhook.Finch(secret)
	if err != nil {
		return err
	}
	http.Handle("/webhooks/finch", &webhook.Handler{
		Verifier: verifier,
		Handle: func(ctx context.Context, e webhook.Event) error {
			if e.LoginRequired() {
				return askToReconnect(ctx, e.ConnectionID)
			}
			return nil
		},
	})

# What is verified

A [Verifier] accepts a request if one of the signatures in its header was made with one
of the secrets, over exactly this body, less than five minutes ago. Signatures are
compared in constant time, and as text: another spelling of the same bytes is refused.
While a secret is being replaced, give both.

# What is answered

	200  Handle returned nil, now or at an earlier try
	400  the request isn't like the provider's
	401  no signature is right, or it is too old
	405  not POST
	413  the body has more than 1 MiB
	500  Handle returned an error or panicked
	503  the same event is being handled, or Memory failed

Finch and Chart deliver an event again until they are answered 200: Chart up to 12 times
within three days. An event counts as handled when Handle has returned nil, and is then
kept in [Memory], so that another try, or a request that someone has recorded and sends
again, isn't handled twice. After an error or a panic it isn't kept, and the next try is
handled. A second try while the first is still being handled is answered 503, since
nobody knows yet how that will end.

Handle may still see an event twice: if the process dies before the event is kept, or if
two replicas get it at the same time. So it should be idempotent. It should also be
quick, as the providers hang up after some seconds; its context is done then.

# Login required

[Event.LoginRequired] is true when only the user, at the consent page, can restore the
connection that [Event.ConnectionID] names. Events can be late, by hours after an outage,
and Finch's don't say when what they tell of happened. The user may have connected
again meanwhile, so ask the provider about the connection's token, with Introspect of
endpoints.Config, before you record what the event says. With package tokensource:

	source := manager.Source(name)
	stored, err := source.Stored(ctx)
	if err != nil {
		return err
	}
	told, err := config.Introspect(ctx, stored)
	if err == nil && told.Kind == endpoints.KindLoginRequired {
		err = source.RequireLogin(ctx, stored, "reauth")
	}
	return err

# Several replicas

An event arrives at one of them. Give all the same Memory, in a database, so that
another try that arrives elsewhere isn't handled again. A [Waiter] knows what was fed to
it in its own process: send the Event, as JSON, to the replica that waits, by a queue of
yours, and feed it there.
*/
package webhook
