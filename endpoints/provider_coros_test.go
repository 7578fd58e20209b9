package endpoints

import (
	"encoding/json"
	"maps"
	"testing"
)

func TestCOROSKeepsItsTokensAtARefresh(t *testing.T) {
	kept := map[string]string{"access_token": "made-up-access-token", "refresh_token": "made-up-refresh-token"}
	for _, test := range []struct {
		grant         string
		members, want map[string]any
	}{
		{
			"refresh_token",
			map[string]any{"result": "0000", "message": "OK"},
			map[string]any{
				"result": "0000", "message": "OK", "access_token": "made-up-access-token",
				"refresh_token": "made-up-refresh-token", "expires_in": json.Number("2592000"),
			},
		},
		{
			"refresh_token",
			map[string]any{"result": "0000", "access_token": "another"},
			map[string]any{"result": "0000", "access_token": "another"},
		},
		{"refresh_token", map[string]any{"result": "5001"}, map[string]any{"result": "5001"}},
		{"authorization_code", map[string]any{"result": "0000"}, map[string]any{"result": "0000"}},
		{"refresh_token", nil, nil},
	} {
		r := &Response{Grant: test.grant, Status: 200, Members: test.members, value: func(name string) (string, error) { return kept[name], nil }}
		if err := COROS.Response(r); err != nil || !maps.Equal(r.Members, test.want) {
			t.Errorf("%s: %v became %v, %v", test.grant, test.members, r.Members, err)
		}
	}
}
