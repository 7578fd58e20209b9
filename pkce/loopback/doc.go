// Package loopback logs users in to programs that run on their own machine: command-line
// tools and desktop programs, as RFC 8252 wants it done.
//
//	login := loopback.Login{Config: config, Program: "Tea Tool"}
//	token, err := login.Token(ctx)
//	if err != nil {
//		return err
//	}
//	if err := manager.Save(ctx, "me", token); err != nil {
//		return err
//	}
//	resp, err := manager.Client("me").Get("https://api.example.com/me")
//
// [Login.Token] opens the provider's consent page in the user's browser, waits for it to
// come back to a port of this machine, exchanges the code, and tells the user there how
// it went. Where there is no browser, as on a server, it shows a code that the user enters
// in a browser elsewhere (RFC 8628), if the provider knows that; [Login.Method] decides
// otherwise.
//
// What the provider has to know is the client, and a redirect URL: register
// http://127.0.0.1/callback, which stands for any port (RFC 8252, section 7.3). Login.Config
// says how to have another. A provider that takes only https redirect URLs can't be used
// like this.
//
// # What is checked
//
// State, PKCE, the issuer, the provider's errors, repeated callbacks and prefetches are
// the business of package pkce, whose Session.Callback does here what a pkce.Flow does in
// a web application. What comes in addition:
//
//   - The server listens on 127.0.0.1 and [::1] alone, at the same port, so that a
//     browser that takes "localhost" for either finds the program. A port that another
//     program has at one of them isn't used.
//   - A request whose Host isn't the redirect URL's is refused. A page elsewhere that has
//     its own name stand for 127.0.0.1 (DNS rebinding) gets nothing.
//   - Requests that don't know the state, from a page or a program that has found the
//     port, don't end the attempt, and there may be any number of them. A request has 10
//     seconds and 64 KiB.
//   - The browser is given an http or https URL, and no shell sees it. What a terminal is
//     shown has no control characters.
//
// # What binds a browser to an attempt
//
// Nothing but the state, which the program keeps in memory: there is no cookie, unlike in
// a web application. A cookie would have to be set by a page of this server that the
// browser sees first. Cookies don't know ports, so each server at 127.0.0.1, whoever runs
// it, would get it as well. And the user may open the URL that is shown in another browser
// than the one that was started, which has to work.
//
// It suffices, because in a program there is one user, who has begun the attempt: 256
// random bits that only the consent page's URL holds tell a callback of this attempt from
// any other (RFC 8252, section 8.9), and a code that another program of the machine gets
// hold of is worth nothing without the verifier (section 8.1). What remains: the URL is an
// argument of the program that opens the browser. Where other users of the machine can
// list arguments, one of them may read it there and come back with an account of their
// own, before the user does. Show the user whose account is connected if that matters, or
// mount /proc with hidepid.
package loopback
