package endpointstest

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Approve is a user who opens start in a browser and presses Approve at the consent
// page. It returns where the page sends the browser: the application's redirect URL
// with code and state. That URL is not opened yet; client.Get does it.
//
// Start is the consent page's URL, or one of the application's that redirects
// there, such as the handler that calls pkce.Flow.Begin. Client is the browser: it
// needs a cookie jar if the application sets cookies. If nil, it is
// http.DefaultClient.
//
// In an embedded flow, where the page hands code and state to the application's
// JavaScript instead, the URL returned has nothing but a query with the two.
func Approve(ctx context.Context, client *http.Client, start string) (*url.URL, error) {
	return decide(ctx, client, start, "approve")
}

// Deny is [Approve]'s user pressing Deny. The URL returned has error, access_denied,
// in place of the code.
func Deny(ctx context.Context, client *http.Client, start string) (*url.URL, error) {
	return decide(ctx, client, start, "deny")
}

func decide(ctx context.Context, client *http.Client, start, decision string) (*url.URL, error) {
	if client == nil {
		client = http.DefaultClient
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, start, nil)
	if err != nil {
		return nil, fmt.Errorf("endpointstest: %w", err)
	}
	resp, page, err := fetch(client, r)
	if err != nil {
		return nil, err
	}
	at := resp.Request.URL
	if inFragment := parametersIn(at); inFragment != nil {
		// The page's script reads the fragment, which no server sees.
		at = inFragment
		if r, err = http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil); err != nil {
			return nil, fmt.Errorf("endpointstest: %w", err)
		}
		if resp, page, err = fetch(client, r); err != nil {
			return nil, err
		}
	}
	if !page.offers["decision="+decision] {
		return nil, fmt.Errorf("endpointstest: no consent page to %s at, but %s: %s", decision, resp.Status, page.problem())
	}

	// The form posts to the page's own URL.
	body := strings.NewReader(url.Values{"decision": {decision}}.Encode())
	r, err = http.NewRequestWithContext(ctx, http.MethodPost, at.String(), body)
	if err != nil {
		return nil, fmt.Errorf("endpointstest: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	patient := *client
	patient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, page, err = fetch(&patient, r)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusSeeOther:
		return resp.Location()
	case resp.StatusCode == http.StatusOK:
		reply := url.Values{}
		for _, name := range []string{"code", "state", "error", "error_description"} {
			if v, ok := page.texts[name]; ok {
				reply.Set(name, v)
			}
		}
		return &url.URL{RawQuery: reply.Encode()}, nil
	}
	return nil, fmt.Errorf("endpointstest: the consent page answered %s: %s", resp.Status, page.problem())
}

// parametersIn returns a URL that has its parameters in its fragment with them in its
// query, or nil.
func parametersIn(u *url.URL) *url.URL {
	_, query, found := strings.Cut(u.EscapedFragment(), "?")
	if !found {
		return nil
	}
	moved := *u
	moved.Fragment, moved.RawFragment, moved.RawQuery = "", "", query
	return &moved
}

// document is what a user sees of a page.
type document struct {
	offers map[string]bool   // buttons, as name=value
	texts  map[string]string // by the id of the element
}

func (d document) problem() string {
	if p := d.texts["problem"]; p != "" {
		return p
	}
	return "it isn't a page of this server"
}

// fetch sends r and reads the page that comes back.
func fetch(client *http.Client, r *http.Request) (*http.Response, document, error) {
	resp, err := client.Do(r)
	if err != nil {
		return nil, document{}, fmt.Errorf("endpointstest: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, document{}, fmt.Errorf("endpointstest: %w", err)
	}
	return resp, parsePage(body), nil
}

// parsePage reads one of this server's own pages, of which it takes no more than an
// XML parser that is told about HTML.
func parsePage(body []byte) document {
	d := document{make(map[string]bool), make(map[string]string)}
	dec := xml.NewDecoder(bytes.NewReader(body))
	dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var id string
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return d // what isn't our page has nothing to offer
		}
		switch t := token.(type) {
		case xml.StartElement:
			attrs := make(map[string]string)
			for _, a := range t.Attr {
				attrs[a.Name.Local] = a.Value
			}
			if t.Name.Local == "button" {
				d.offers[attrs["name"]+"="+attrs["value"]] = true
			}
			id = attrs["id"]
		case xml.EndElement:
			id = ""
		case xml.CharData:
			if id != "" {
				d.texts[id] += string(t)
			}
		}
	}
}
