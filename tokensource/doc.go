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

A connection is one account's grant, under a name that the application chooses. What is
stored for it is a record, and a login is one consent of the user, with all tokens that
descend from it. [Manager.Client] is an *http.Client that calls the provider's API for the
connection; [Manager.Source] is its oauth2.TokenSource, for code that takes one. Call
[Manager.Flush] before the program ends: it returns when no token is left that exists only
in memory.

Many providers replace the refresh token at each refresh, and end the grant if the old one
comes again. Some have a grace window: for some seconds or minutes, they still take the old
one. So a refresh token must be sent once, by one process, and the answer must be saved before
anything else happens. The next four sections say how that is done. The names in brackets are
those of the code.

# How a refresh works

A token is due when a quarter of its life is left, or five minutes if that is less. It is due
earlier by a random time of up to a tenth of its life, so that tokens issued together aren't
refreshed together. While it is still valid it is served, and the refresh goes on in the
background. A token that doesn't expire isn't refreshed, unless the API refuses it or
[Manager.Run] keeps its refresh token alive.

 1. One flight (Source.start). All callers in a process share one flight for each
    connection. It is a goroutine of its own, and goes on when its callers have gone.
 2. Look (flight.look). The flight reads the record, and compares it with what this process
    has in memory: see "Memory or store". A token that another process has saved is adopted.
 3. Decide (decide). The token is good; or a failure that is known says not to try yet;
    or only the user can help; or it is to be refreshed now. The function says which, and
    changes nothing.
 4. Lock (lease.lock; steps 4 to 6 are lease.acquire). If the store has a lock that dies with
    its holder, such as [storage.Dir], the flight takes it, and looks again. Everything below
    is safe without it. What the lock adds is that a process that died is replaced at once;
    but one that is only stopped keeps it, and nobody else refreshes until it goes on.
 5. Wait (lease.abandoned, observation.see). An attempt of another process is left alone until
    its lease is over: until this process has seen, for leaseTime by its own clock, that the
    record doesn't change. It looks again at least every half second. No two clocks are
    compared, and a process that can't look for a while begins to count anew. If the owner of
    the attempt had the lock, and this process has it now, the lease is over at once. An
    abandoned attempt is taken over even if the old token is still valid, since a grace window
    doesn't last.
 6. Attempt (lease.claim). The flight writes an attempt into the record, by
    compare-and-swap. Of several processes one succeeds, the owner; the others look again.
    The record itself is the lock, on any store that can swap. An owner that took over writes
    that the refresh token may be spent. An attempt that took longer than claimLimit to write
    isn't used.
 7. Renew (lease.keep). Each second, for as long as it waits for the provider, the owner
    writes its attempt again, also under the lock: another process may reach the same store
    without it. On a store that takes up to storeLimit for a call, the others see a write of
    a living owner before its lease is over: claimLimit + renewal + storeLimit < leaseTime, or
    3 s + 1 s + 3 s < 7.5 s.
 8. Send (flight.ask). The refresh token is sent. The answer may be lost, by a timeout or
    because the connection is cut; one that an *oauth2.Config can't read counts as lost
    too. Then the flight writes that into the record. If the attempt there is still its own,
    it sends the same request once more, at once, for a provider that has a grace window.
 9. Save (flight.save). The new token is saved before anyone is given it. Only a write that
    returned nil counts. If one hangs for longer than storeLimit, a second is begun beside
    it. Only if the store doesn't take the token, it is served from memory, by this process;
    it is saved as soon as the store is back, and not refreshed before.
 10. Or fail (flight.refreshFailed). A refresh ends a connection only by invalid_grant, or a
    code of the provider's that means the same, and only if the record still holds the
    token that was refused and the attempt that sent it; otherwise the flight goes on with
    step 2. Everything else is transient: the next try is recorded, so that other processes
    hold off too. It is a second away at first, and five minutes at most, unless the provider
    asks for more, up to an hour. A client secret that is refused, or a network that is down
    here, makes this process wait and no other.

# When a refresh token may be sent

A refresh token is sent only to the provider of the record's [Registration], and only after a
write to the record that took no longer than claimLimit and returned nil.

	sent by                        what it has written            in which function
	a flight                       its attempt                    flight.ask
	the same flight, once more,    its attempt again, and that    flight.ask
	if the answer was lost         an answer was lost
	Disconnect, to be revoked      its attempt                    Source.revoke

With one attempt, it is never sent a third time. After a failure that isn't final, or when the
attempt was taken over, it may be sent with a later one, after another look. A flight doesn't
send a refresh token if the record holds a later one, or a final failure, until a login is
saved; nor one that is only in memory yet, as in step 9.

# Who may write a record

Every write is a compare-and-swap (Manager.write). What it makes of the record is one of the
functions of lifecycle.go, or what is there already, if only a write that returns nil is
missing. The owner of an attempt is the flight, or the call of Disconnect or Move, that has
written it.

	function       called by                   allowed if the record
	replacedBy     Save                        is this registration's, or isn't there
	claimed        a flight, Disconnect, Move  has no attempt, its own, or one whose lease is
	                                           over; or isn't there yet, if it is two-legged
	renewed        the owner, each second      has its attempt
	advanced       the owner, with the next    holds an earlier token of the same login, with
	               token, however late; or     any attempt or failure; or that very token, by
	               a look that found an        a write that seemed to fail
	               earlier one
	failed         the owner                   has its attempt
	released       the owner, if no refresh    has its attempt
	               token left this process, or
	               Disconnect or Move failed
	sentTwiceWith  an owner whose lease was    is of the same login; a note about the refresh
	               taken over                  token is all that it adds
	ended          Client, RequireLogin,       holds the token that the API refused, or that
	               a flight                    expired and has no refresh token
	moved          the owner, if it is Move    has its attempt, and is of the registration
	                                           that Move was given

An attempt, and with it the lease, ends by replacedBy, advanced, failed, released or moved,
when the record is deleted, or when another process takes over, as in step 5.

A record is deleted by Disconnect, which holds an attempt and has revoked the grant, and by
Forget. Both compare the version as well, unless Forget can't read the record. Save wins over
everything: it is what the user did last. Encrypted.Rekey seals a record anew and changes
nothing in it.

# Memory or store

A process remembers what it has last read or written of a connection (view), for as long as
the program holds the connection's Source or a Client. If a look finds something else, the
login and the generation decide (Source.restored, Source.publish). The generation is the
number of the token in its login.

	the store has                           then
	a later token of the same login,        the store's is adopted
	or another of the same generation
	an earlier token of the same login,     the one in memory is written back, also if
	as after a restored backup              there was no record in between
	the same token                          its attempt and its failure are the store's
	another login, or no record             the store is right; but if this process has
	                                        learnt of another login since the look
	                                        began, it looks again

# Whose connection it is

A record holds the [Registration] that it was made for: the provider's issuer and the
client's id. A Manager of another registration doesn't use its token, and doesn't change or
delete it: its calls for that name have the error ReasonOtherClient, which says whose the
record is, and Run and [Manager.Connections] pass over it. So any number of Managers, for
any number of providers and clients, can share one store, as long as the names differ, by
a prefix such as "finch/". When the client's id or the provider's host changes,
[Manager.Move] takes connections along.

# How old a token can be

A process serves a token without asking the store again for [Manager.StaleAfter], a minute
unless it is set. After that, the next use begins a look at the record in the background;
after ten times that, the next use waits for the look, for up to 3 seconds. So a new login, or
a disconnect, in one process is noticed within about a minute by another one that uses the
connection. While the store doesn't answer, the token is served for as long as it is valid.
After that, a call waits for the store, which is given 10 seconds for an answer, and has the
error ReasonStore.

# What can't be prevented

A grant can be lost, and the connection then has [ReasonResponseLost], if

  - a process dies after the provider has taken the refresh token and before the answer is
    saved, unless another one takes over, as in step 5, while the provider's grace window is
    open, and saves its answer,
  - the answers to both requests of step 8 are lost, or
  - a living process is taken for a dead one, since between step 6 and step 9 it has slept, or
    couldn't reach the store that others reach, for longer than a lease: they send the token
    as well.

The record tells that from a revocation, by the attempt in it or by may_be_spent.

A store that takes longer than three seconds for a write is too slow: nothing is sent, and
the error, ReasonStore, says "the store takes more than 3s to write". A token is served
for as long as it is valid. A store that forgets a write that it has acknowledged, or
returns old values, breaks the contract of [storage.Store], and can cost grants.

# What to do about errors

An error about a connection is an [*Error], or that of a context that is done. Most pass:
the next call tries again when it is time to, and not before, so it costs nothing to call.
Those marked * are [ErrLoginRequired]: only the user, at the consent page, can restore the
connection, by a new login that is saved. They unwrap to an *oauth2.RetrieveError with the
code invalid_grant, whichever process was told so, because that is what programs and
libraries that know x/oauth2 look for.

	Reason                what it means                         what the application does
	not_connected *       never saved, or disconnected          offers to connect
	revoked_or_expired *  the provider has ended the grant      asks the user to connect again
	response_lost *       the answer to a refresh was lost      the same
	rejected *            the API refused the token, and        the same
	                      there is no refresh token
	expired *             the token has expired, and there      the same; the operator looks
	                      is no refresh token                   why the provider gives none
	other_client          it is another registration's record   chooses another name, or Move
	misconfigured         the client's id or secret is wrong,   alerts the operator
	                      or Manager.Config is
	rate_limited          the provider asks to slow down        nothing: it is tried later
	unavailable           the provider, or the way to it, has   nothing, or an alert if it
	                      trouble                               lasts
	store                 the record can't be read or written   alerts the operator; calls
	                                                            Forget if the error says so

The first call after the user has disconnected the account at the provider is special,
since nobody knows of it yet. The API answers 401, and Client refreshes the token and
repeats the request. If the refresh is refused, or there is no refresh token, the 401 is
handed through with a nil error, since its body may say more, and the next call has
ErrLoginRequired. [Manager.Status] says so at once, and [Manager.OnEvent] is told. Where
there is no refresh token, the API itself must have said so, as by the code invalid_token:
any other 401 may be a firewall's, and is handed through each time.

Code that calls the API without Client gives a token that was refused to [Source.Reject].
What the provider says elsewhere, by a webhook for instance, is recorded by
[Source.RequireLogin].

# Watching connections

[Manager.OnEvent] is told of everything that happens to a connection, and [Manager.Status]
tells how one is doing; neither holds a secret, and log/slog prints what they say.

	Kind              when                                                 worth
	saved             the application saved a login                        a line in the log
	disconnected      the application disconnected or forgot it            a line in the log
	no_refresh_token  a login has no refresh token, unlike the last one    a look at Config
	refreshed         this process refreshed the token, and saved it       a counter
	adopted           another process did                                  a counter
	taken_over        a process had died, or slept, within a refresh       a counter
	failed            a refresh or the store failed; it is tried again     a counter
	recovered         what had failed works again                          the end of an alert
	unsaved           a new token is only in memory yet                    an alert
	login_required    only the user can restore the connection             a message to the user

With OpenTelemetry, package otelmetrics, a module of its own, makes metrics of the events and
counts connections by state; docs/operate.md of the repository has alerts on them, and says
what to do about each reason. Elsewhere, don't count by the name of a connection, as there
are as many as connections; put it into a log or a span event. The examples of OnEvent and
Connections write to a slog.Logger, and serve a health page.

# Tokens without a user

[TwoLegged] makes a [Refresher] of a *clientcredentials.Config, a *jwt.Config or the like.
The first call for a name obtains the token, and Save isn't called: all processes share it,
by the steps above. There is no refresh token that could be lost, so an answer that was lost
is asked for again, and no error requires a login: invalid_grant is ReasonMisconfigured.

# Stored data and compatibility

A record is a JSON object, sealed by [storage.Encrypted]. Times are RFC 3339, in UTC.

	format                              1
	issuer, client_id, two_legged       the Registration
	login_id, generation                the login, and the number of the token in it
	id                                  names this token
	access_token, token_type,
	refresh_token, expiry, extra        the token, and what the provider sent beside it
	login, obtained, rotated            when the user consented, when this token was issued,
	                                    and when its refresh token was
	refresh_expiry                      when the refresh token ends, if that is known
	recovered                           when a refresh last succeeded after a failure
	no_refresh_token                    a login without one, though the last had one
	may_be_spent, sent_twice            what is known of the refresh token: see lifecycle.go
	attempt: id, started, renewed, locked
	failure: reason, code, at, count, next, final

Every release of this major version reads the records of earlier ones; one that has to
write another format raises the number, and a program that meets a higher number than it
knows returns an error and leaves the record alone. Members that a release doesn't know
are not kept when it writes a record, so run the same release everywhere before you rely
on what is new in it.
*/
package tokensource
