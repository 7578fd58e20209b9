package webhook

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// Finch returns a [Verifier] for Finch's webhooks. The secrets are those of Finch's
// dashboard, which are base64.
//
// https://developer.tryfinch.com/developer-resources/Webhooks
func Finch(secrets ...string) (*Verifier, error) {
	return newVerifier(finch, secrets, base64.StdEncoding.Strict().DecodeString)
}

var finch = &scheme{
	provider: finchName,
	read:     readFinch,
	texts:    func(mac []byte) []string { return []string{base64.StdEncoding.EncodeToString(mac)} },
	event:    finchEvent,
}

// maxID bounds the ID of an event, in bytes.
const maxID = 256

// readFinch reads Finch-Event-Id, Finch-Timestamp, which has seconds, and Finch-Signature,
// which has a version and a signature, and again after a space, or in another header.
func readFinch(h http.Header) (stamp, error) {
	id, err := only(h, "Finch-Event-Id")
	if err != nil {
		return stamp{}, err
	}
	// A dot would let the ID end where the timestamp begins. See isPlain.
	if len(id) > maxID || !isPlain(id) || strings.Contains(id, ".") {
		return stamp{}, malformed("Finch-Event-Id isn't an ID")
	}
	timestamp, err := only(h, "Finch-Timestamp")
	if err != nil {
		return stamp{}, err
	}
	seconds, err := number(timestamp)
	if err != nil {
		return stamp{}, err
	}
	s := stamp{id: id, sent: time.Unix(seconds, 0), prefix: id + "." + timestamp + "."}
	header := strings.Join(h.Values("Finch-Signature"), " ")
	if header == "" || len(header) > maxHeader {
		return stamp{}, malformed("the request doesn't have a header Finch-Signature")
	}
	for versioned := range strings.SplitSeq(header, " ") {
		if version, signature, _ := strings.Cut(versioned, ","); version == "v1" {
			s.signatures = append(s.signatures, signature)
		}
	}
	if len(s.signatures) > maxSignatures {
		return stamp{}, malformed("Finch-Signature has too many signatures")
	}
	return s, nil
}

// finchEvent reads
//
//	{"connection_id": …, "entity_id": …, "event_type": "account.updated", "data": {"status": "reauth"}}
func finchEvent(s stamp, body []byte) (Event, error) {
	all, err := members(body)
	if err != nil {
		return Event{}, err
	}
	e := Event{
		Provider:     finchName,
		ID:           s.id,
		Sent:         s.sent,
		Type:         text(all["event_type"]),
		ConnectionID: text(all["connection_id"]),
		EntityID:     text(all["entity_id"]),
		Data:         all["data"],
		Body:         body,
	}
	if e.Type == finchAccountUpdated {
		e.Status = text(dataOf(all)["status"])
	}
	return e, nil
}
