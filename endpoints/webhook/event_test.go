package webhook

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func finchOf(t *testing.T, body string) Event {
	t.Helper()
	e, err := must(Finch(finchSecret)).Verify(finchHeader(t, finchSecret, "msg_1", time.Now(), body), []byte(body))
	require.NoError(t, err)
	return e
}

func chartOf(t *testing.T, body string) Event {
	t.Helper()
	e, err := must(Chart(chartSecret)).Verify(chartHeader(chartSecret, time.Now(), body), []byte(body))
	require.NoError(t, err)
	return e
}

func TestFinchEvents(t *testing.T) {
	e := finchOf(t, finchBody)
	e.Sent = time.Time{}
	assert.Equal(t, Event{
		Provider: "Finch", ID: "msg_1", Type: "account.updated", ConnectionID: "conn-1", Status: "reauth",
		Data: json.RawMessage(`{"status":"reauth","authentication_method":"assisted"}`), Body: []byte(finchBody),
	}, e)

	e = finchOf(t, `{"connection_id":"conn-1","entity_id":"e-1","event_type":"directory.created","data":{"individual_id":"i-1","status":"reauth"}}`)
	assert.Equal(t, "directory.created", e.Type)
	assert.Equal(t, "e-1", e.EntityID)
	assert.Empty(t, e.Status, "a status of something else")
	var data struct {
		IndividualID string `json:"individual_id"`
	}
	require.NoError(t, e.Decode(&data))
	assert.Equal(t, "i-1", data.IndividualID)
}

func TestChartEvents(t *testing.T) {
	e := chartOf(t, chartBody)
	data := e.Data
	e.Sent, e.Data, e.Body = time.Time{}, nil, nil
	assert.Equal(t, Event{
		Provider: "Chart", ID: "ev_1bxJqfif_-EJjbl9DNwilJCt5D2tC5Q5", Type: "taxpayer.status_changed",
		ConnectionID: "tx_1bxJqfif_-EJjbl9DNwilJCt5D2tC5Q5", ProviderID: "turbotax", Status: "COMPLETED",
		Created: time.Date(2021, 8, 17, 3, 29, 59, 397_000_000, time.UTC),
	}, e)
	assert.Contains(t, string(data), "Taxpayer completed the onboarding process")

	older := chartOf(t, strings.Replace(chartBody, "taxpayer.status_changed", "taxpayer_status", 1))
	assert.Equal(t, "taxpayer.status_changed", older.Type)
	assert.Equal(t, "COMPLETED", older.Status)
	assert.Equal(t, "acc-1", chartOf(t, `{"event":"taxpayer.disconnected","data":{"account_id":"acc-1"}}`).ConnectionID)
}

func TestLoginRequired(t *testing.T) {
	account := func(status, entity string) string {
		return `{"connection_id":"c","entity_id":` + entity + `,"event_type":"account.updated","data":{"status":"` + status + `"}}`
	}
	for status, want := range map[string]bool{
		"reauth": true, "disconnected": true,
		"pending": false, "processing": false, "connected": false, "error_permissions": false, "error_no_account_setup": false, "": false,
	} {
		assert.Equal(t, want, finchOf(t, account(status, "null")).LoginRequired(), status)
		assert.False(t, finchOf(t, account(status, `"e-1"`)).LoginRequired(), "%s of one entity", status)
	}
	assert.False(t, finchOf(t, `{"event_type":"directory.updated","data":{"status":"reauth"}}`).LoginRequired())
	assert.False(t, finchOf(t, `{"event_type":"taxpayer_disconnected","data":null}`).LoginRequired())
	assert.True(t, chartOf(t, `{"event":"taxpayer.disconnected","id":"ev_1","data":{"taxpayer_id":"tx_1"}}`).LoginRequired())
	for _, status := range []string{"CREATED", "REJECTED", "COMPLETED", "reauth"} {
		assert.False(t, chartOf(t, `{"event":"taxpayer.status_changed","data":{"status":"`+status+`"}}`).LoginRequired(), status)
	}
}

// Whatever the provider sends beside what is documented, the event arrives.
func TestOddMembersAreTolerated(t *testing.T) {
	for _, body := range []string{
		`{}`,
		`{"event_type":1,"connection_id":{"a":1},"entity_id":[],"data":"text","new":[{"x":1e999}]}`,
		`{"event":null,"id":12,"data":[1,2],"created_at":5}`,
		`{"event":"taxpayer.status_changed","data":{"status":7,"taxpayer_id":null,"provider_id":false},"created_at":"yesterday"}`,
		`{"event_type":"account.updated","data":null}`,
		`{"EVENT_TYPE":"account.updated","Data":{"Status":"reauth"}}`,
	} {
		for _, e := range []Event{finchOf(t, body), chartOf(t, body)} {
			assert.Empty(t, e.ConnectionID+e.ProviderID+e.EntityID+e.Status, body)
			assert.True(t, e.Created.IsZero(), body)
			assert.False(t, e.LoginRequired(), body)
			assert.Equal(t, body, string(e.Body))
		}
	}
}

func TestNumbersKeepTheirDigits(t *testing.T) {
	e := chartOf(t, `{"event":"x","data":{"id":123456789012345678901,"amount":0.10}}`)
	var data map[string]any
	require.NoError(t, e.Decode(&data))
	assert.Equal(t, map[string]any{"id": json.Number("123456789012345678901"), "amount": json.Number("0.10")}, data)
	assert.Error(t, finchOf(t, `{}`).Decode(&data), "there is no data")
}

func TestEventGoesThroughJSON(t *testing.T) {
	for _, e := range []Event{chartOf(t, chartBody), finchOf(t, finchBody), finchOf(t, `{"data":{"id":123456789012345678901}}`)} {
		text, err := json.Marshal(e)
		require.NoError(t, err)
		var again Event
		require.NoError(t, json.Unmarshal(text, &again))
		assert.True(t, e.Sent.Equal(again.Sent) && e.Created.Equal(again.Created))
		e.Sent, e.Created, again.Sent, again.Created = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		assert.Equal(t, e, again)
	}
}

func TestKeyOfAnEvent(t *testing.T) {
	assert.Equal(t, "Finch/msg_1", finchOf(t, finchBody).key())
	assert.Equal(t, "Chart/ev_1", chartOf(t, `{"id":"ev_1"}`).key())
	seen := make(map[string]bool)
	for _, id := range []string{"", " ", "a b", "a\n", "ü", strings.Repeat("x", 257), "\x00"} {
		key := chartOf(t, `{"id":`+string(must(json.Marshal(id)))+`}`).key()
		assert.Len(t, key, len("Chart/")+64, "%q", id)
		seen[key] = true
	}
	assert.Len(t, seen, 7)
	assert.Equal(t, chartOf(t, `{"a":1}`).key(), chartOf(t, `{"a":1}`).key(), "another try has the same")
}
