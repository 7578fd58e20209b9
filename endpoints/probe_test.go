package endpoints_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// A plain Config that doesn't say its AuthStyle has x/oauth2 try two. The code is good
// for one use, so what the provider is sent is one request, as its definition says.
func TestACodeIsSentOnceWhateverTheAuthStyle(t *testing.T) {
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInParams, oauth2.AuthStyleInHeader} {
		for _, defined := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInParams, oauth2.AuthStyleInHeader} {
			sent := "POST a.example/token\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&grant_type=authorization_code"
			if defined == oauth2.AuthStyleInHeader {
				sent = "POST a.example/token\nAuthorization: Basic aWQ6czNjcmV0\n(form)\ncode=c0de&grant_type=authorization_code"
			}
			for _, status := range []int{200, 400, 500} {
				t.Run(strconv.Itoa(int(style))+strconv.Itoa(int(defined))+" "+strconv.Itoa(status), func(t *testing.T) {
					net := newInternet(t, answerJSON(status, `{"access_token":"a1","error":"`+map[int]string{400: "invalid_grant"}[status]+`"}`))
					p := waysBase()
					p.Endpoint.AuthStyle = defined
					conf := &oauth2.Config{ClientID: "id", ClientSecret: "s3cret", Endpoint: p.Endpoint}
					conf.Endpoint.AuthStyle = style
					_, err := conf.Exchange(p.Context(net.context()), "c0de")
					assert.Equal(t, sent, essence(net.only(t)))
					assert.Equal(t, map[int]endpoints.ErrorKind{400: endpoints.KindCodeRejected, 500: endpoints.KindProviderTrouble}[status], endpoints.KindOf(err))
				})
			}
		}
	}
}

func TestARefreshIsSentOnceWhateverHappens(t *testing.T) {
	lost := errors.New("lost")
	var sent int
	ctx := roundTripper(func(*http.Request) (*http.Response, error) { sent++; return nil, lost }).context()
	p := waysBase()
	conf := &oauth2.Config{ClientID: "id", ClientSecret: "s3cret", Endpoint: p.Endpoint}
	_, err := refresh(p.Context(ctx), conf, "r0")
	assert.ErrorIs(t, err, lost)
	assert.Equal(t, 1, sent)
}

// Over HTTP/2 net/http makes a request again that has a body to send again.
func TestARequestIsSentOnceOverHTTP2(t *testing.T) {
	ctx := roundTripper(func(r *http.Request) (*http.Response, error) {
		if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
			trace.WroteHeaderField(":method", nil)
		}
		_, err := r.GetBody()
		return nil, err
	}).context()
	for _, way := range ways {
		ctx, conf := way.use(ctx, waysBase(), oauth2.Config{ClientID: "id", ClientSecret: "s3cret"})
		_, exchangeErr := conf.Exchange(ctx, "c0de")
		_, refreshErr := refresh(ctx, conf, "r0")
		for _, err := range []error{exchangeErr, refreshErr} {
			assert.ErrorContains(t, err, "it isn't sent again", way.name)
			assert.Equal(t, endpoints.KindProviderTrouble, endpoints.KindOf(err))
		}
	}
	token := &oauth2.Token{AccessToken: "a0", RefreshToken: "r0"}
	assert.ErrorContains(t, waysBase().Config(oauth2.Config{ClientID: "id"}).Revoke(ctx, token), "it isn't sent again")
}

// A later request is another one, though it has the same parameters.
func TestALaterRequestIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent int
		base := answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent++
			answerJSON(503, `{}`)(w, r)
		}))
		p := waysBase()
		ctx := p.Context(base.context())
		probing := &oauth2.Config{ClientID: "id", ClientSecret: "s3cret", Endpoint: p.Endpoint}
		for range 3 {
			_, err := refresh(ctx, probing, "r0")
			require.Error(t, err)
		}
		assert.Equal(t, 3, sent)

		inHeader := *probing
		inHeader.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
		_, err := refresh(ctx, &inHeader, "r0") // nobody asks for its answer again
		require.Error(t, err)
		time.Sleep(2 * time.Minute)
		inParams := *probing
		inParams.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		_, err = refresh(ctx, &inParams, "r0")
		require.Error(t, err)
		assert.Equal(t, 5, sent)
	})
}

func TestManyRequestsThatFailAtOnceAreSentOnce(t *testing.T) {
	var mu sync.Mutex
	sent := make(map[string]int)
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		sent[r.PostForm.Get("refresh_token")]++
		return nil, context.DeadlineExceeded
	})
	p := waysBase()
	ctx := p.Context(base.context())
	conf := &oauth2.Config{ClientID: "id", ClientSecret: "s3cret", Endpoint: p.Endpoint}
	inHeader := *conf
	inHeader.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	each := 150 // with which what is remembered is full
	if testing.Short() {
		each = 10
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range each {
				_, _ = refresh(ctx, &inHeader, "kept"+strconv.Itoa(i*1000+n))
				_, _ = refresh(ctx, conf, "r"+strconv.Itoa(i*1000+n))
			}
		})
	}
	group.Wait()
	assert.Len(t, sent, 8*each*2)
	for name, n := range sent {
		assert.Equal(t, 1, n, name)
	}
}
