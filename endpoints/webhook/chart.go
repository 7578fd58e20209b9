package webhook

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// Chart returns a [Verifier] for Chart's webhooks. The secrets are those of Chart's
// dashboard.
//
// Chart documents that a signature is an HMAC-SHA256, but not how it is written: it is
// taken in lower-case hexadecimal digits and in base64. Nor does it document whether a try
// after a failure has a timestamp of its own: if such tries are refused as too old, raise
// the Tolerance to the three days that they go on for.
//
// https://developer.trychart.com/developer/webhooks
func Chart(secrets ...string) (*Verifier, error) {
	return newVerifier(chart, secrets, func(s string) ([]byte, error) { return []byte(s), nil })
}

var chart = &scheme{
	provider: chartName,
	read:     readChart,
	texts: func(mac []byte) []string {
		return []string{hex.EncodeToString(mac), base64.StdEncoding.EncodeToString(mac)}
	},
	event: chartEvent,
}

// readChart reads Chart-Signature, such as "t=1712000000000,v1=…", in any order. The
// timestamp has milliseconds.
func readChart(h http.Header) (stamp, error) {
	header, err := only(h, "Chart-Signature")
	if err != nil {
		return stamp{}, err
	}
	var s stamp
	for item := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(strings.Trim(item, " "), "="); name {
		case "t":
			if s.prefix != "" {
				return stamp{}, malformed("Chart-Signature has two timestamps")
			}
			ms, err := number(value)
			if err != nil {
				return stamp{}, err
			}
			s.sent, s.prefix = time.UnixMilli(ms), value+"."
		case "v1":
			s.signatures = append(s.signatures, value)
		}
	}
	switch {
	case s.prefix == "":
		return stamp{}, malformed("Chart-Signature has no timestamp")
	case len(s.signatures) > maxSignatures:
		return stamp{}, malformed("Chart-Signature has too many signatures")
	}
	return s, nil
}

// chartEvent reads
//
//	{"event": "taxpayer.status_changed", "id": "ev_…", "data": {"taxpayer_id": "tx_…", "status": "COMPLETED",
//		"status_description": …, "provider_id": "turbotax"}, "created_at": "2021-08-17T03:29:59.397Z"}
//
// https://developer.trychart.com/developer/events
func chartEvent(s stamp, body []byte) (Event, error) {
	all, err := members(body)
	if err != nil {
		return Event{}, err
	}
	data := dataOf(all)
	e := Event{
		Provider:     chartName,
		ID:           text(all["id"]),
		Sent:         s.sent,
		Type:         text(all["event"]),
		ConnectionID: text(data["taxpayer_id"]),
		ProviderID:   text(data["provider_id"]),
		Data:         all["data"],
		Body:         body,
	}
	if e.ConnectionID == "" {
		e.ConnectionID = text(data["account_id"]) // as in Chart's older answers
	}
	if e.Type == "taxpayer_status" { // as the implementation guide has it
		e.Type = chartStatusChanged
	}
	if e.Type == chartStatusChanged {
		e.Status = text(data["status"])
	}
	e.Created, _ = time.Parse(time.RFC3339, text(all["created_at"]))
	return e, nil
}
