package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

const (
	finchName = "Finch"
	chartName = "Chart"

	finchAccountUpdated = "account.updated"
	chartStatusChanged  = "taxpayer.status_changed"
	chartDisconnected   = "taxpayer.disconnected"
)

// Event is what a webhook tells. What the request doesn't have, or has of a type that it
// shouldn't have, is "" or zero. An Event can be marshaled as JSON and back.
type Event struct {
	Provider string    // Finch or Chart
	ID       string    // the same in every try to deliver the event
	Sent     time.Time // when this try was signed
	Created  time.Time // when it happened, of which only Chart tells

	// Type is the provider's name for what happened, such as account.updated,
	// directory.updated or job.data_sync_all.completed of Finch, and
	// taxpayer.status_changed, taxpayer.records_synced or taxpayer.disconnected of
	// Chart, which its guide also calls taxpayer_status. There can be others.
	Type string

	// ConnectionID names the connection: Finch's connection_id, or Chart's taxpayer_id.
	// A taxpayer can have a connection to each of several providers of Chart's, such
	// as turbotax, and ProviderID says which; it is "" of Finch.
	ConnectionID string
	ProviderID   string

	// EntityID is the one of several entities of a connection of Finch's that the event
	// is about. It is "" if it is about the connection.
	EntityID string

	// Status is how the connection is doing, in an account.updated of Finch:
	//
	//	pending processing connected reauth error_permissions error_no_account_setup
	//	disconnected
	//
	// and in a taxpayer.status_changed of Chart:
	//
	//	CREATED CONSENT_RECEIVED TAX_AUTHORIZATION_SUBMITTED AUTHORIZED REJECTED COMPLETED
	Status string

	Data json.RawMessage // the member data of Body; see Decode
	Body []byte          // the whole body of the request, as it was received
}

// LoginRequired reports whether only the user, at the consent page, can restore the
// connection: in Finch, because the provider doesn't let Finch in any more (reauth), and
// in both, because the connection has been disconnected.
//
// It is false for Finch's error_permissions and error_no_account_setup, where the employer
// has to change something at the payroll provider; and where only one of the entities of a
// connection is affected, as the token goes on working for the others.
func (e Event) LoginRequired() bool {
	switch e.Type {
	case finchAccountUpdated:
		return e.EntityID == "" && (e.Status == "reauth" || e.Status == "disconnected")
	case chartDisconnected:
		return true
	}
	return false
}

// Decode decodes Data into v. A number that goes into an any is a json.Number, and so
// keeps all its digits.
func (e Event) Decode(v any) error {
	d := json.NewDecoder(bytes.NewReader(e.Data))
	d.UseNumber()
	return d.Decode(v)
}

// key returns what Memory knows the event by.
func (e Event) key() string {
	id := e.ID
	if id == "" || len(id) > maxID || !isPlain(id) {
		sum := sha256.Sum256(e.Body) // every try has the same
		id = hex.EncodeToString(sum[:])
	}
	return e.Provider + "/" + id
}

// isPlain reports whether s has visible ASCII characters only.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// members returns the members of the object in body.
func members(body []byte) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil || all == nil {
		return nil, malformed("the body isn't a JSON object")
	}
	return all, nil
}

// dataOf returns the members of the member data, if it is an object.
func dataOf(all map[string]json.RawMessage) map[string]json.RawMessage {
	data, err := members(all["data"])
	if err != nil {
		return nil
	}
	return data
}

// text returns the string in raw, or "" if it is none.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
