package endpoints

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"golang.org/x/oauth2"
)

// Metadata decodes what the provider sent beside the access and refresh token into
// v, as encoding/json would: into a *finch.Connection, a *chart.Connection, a pointer
// to a struct of your own, or to a map. Single members are there as
// t.Extra(name) too, and a map[string]any has them as Extra does.
func Metadata(t *oauth2.Token, v any) error {
	if t == nil {
		return errors.New("endpoints: no token to take metadata from")
	}
	members := make(map[string]any)
	// x/oauth2 can be asked for a member by its name, but not for the names.
	raw := reflect.ValueOf(t).Elem().FieldByName("raw")
	if !raw.IsValid() {
		return errors.New("endpoints: this version of x/oauth2 keeps what comes beside a token elsewhere; update oauth2keep")
	}
	if raw.Kind() == reflect.Interface && raw.Elem().Kind() == reflect.Map {
		for _, name := range raw.Elem().MapKeys() {
			members[name.String()] = t.Extra(name.String())
		}
	}
	for _, secret := range []string{"access_token", "refresh_token"} {
		delete(members, secret)
	}
	encoded, err := json.Marshal(members)
	if m, ok := v.(*map[string]any); ok && err == nil {
		*m, err = decodeMembers("", encoded, nil)
		n := numbers{decoded: true}
		n.exact(*m)
	} else if err == nil {
		err = json.Unmarshal(encoded, v)
	}
	if err != nil {
		return fmt.Errorf("endpoints: can't decode what came beside the token: %w", err)
	}
	return nil
}
