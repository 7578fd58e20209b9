package endpoints

import (
	"maps"
	"net/url"
	"slices"
)

// Params says in which parameters a request differs from the one in the RFC, as a
// JSON merge patch does (RFC 7396): a parameter that has values is sent with them,
// instead of what the RFC sends under that name, and one that has none is not sent.
//
//	Params{
//		"audience":   {"https://api.example"}, // is sent as well
//		"client_key": {"{client_id}"},         // is what the RFC calls client_id
//		"grant_type": nil,                     // is not sent
//		"resource":   {"urn:a", "urn:b"},      // is sent twice (RFC 8707)
//	}
//
// A name in braces stands for what the RFC sends under that name, or for a variable
// (Provider.Vars, Callback.Keep), and {random} for a UUID that is new each time, such as
// a nonce. A parameter of the RFC that is sent under another
// name, or in a header, is not sent under its own, unless Params has that too. A
// value is left out if it needs something that there isn't, as {redirect_uri} in an
// embedded flow.
//
// The options of a call come first: one of the same name replaces all values, and an
// empty one keeps the parameter out. A parameter without a value is never sent (RFC
// 6749, section 3.1).
//
// In JSON a single value may stand without brackets, and null is no value.
type Params map[string][]string

// patch is a Params that was read.
type patch struct {
	params []patchParam
	moved  []string // the names that its values use: those are not sent under their own
}

type patchParam struct {
	name   string
	values []template
}

func (ps Params) compile() patch {
	var p patch
	for _, name := range slices.Sorted(maps.Keys(ps)) {
		param := patchParam{name: name}
		for _, v := range ps[name] {
			t := parseTemplate(v)
			param.values = append(param.values, t)
			p.moved = append(p.moved, t.names()...)
		}
		p.params = append(p.params, param)
	}
	return p
}

// apply changes params as the patch says.
func (p patch) apply(params url.Values, value values) error {
	if len(p.params) == 0 {
		return nil
	}
	added := make(url.Values, len(p.params))
	for _, param := range p.params {
		for _, t := range param.values {
			v, known, err := t.fill(value)
			if err != nil {
				return err
			}
			if known {
				added[param.name] = append(added[param.name], v)
			}
		}
	}
	for _, param := range p.params {
		delete(params, param.name)
	}
	for _, name := range p.moved {
		delete(params, name)
	}
	maps.Copy(params, added)
	return nil
}

// finish gives the options of the call the last word, and takes out what is empty.
func finish(params, options url.Values) {
	maps.Copy(params, options)
	for name, values := range params {
		if slices.Contains(values, "") {
			values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
			params[name] = values
		}
		if len(values) == 0 {
			delete(params, name)
		}
	}
}

func (ps Params) clone() Params { return cloneLists(ps) }

func cloneLists(m map[string][]string) map[string][]string {
	if m == nil {
		return nil
	}
	clone := make(map[string][]string, len(m))
	for name, values := range m {
		clone[name] = slices.Clone(values)
	}
	return clone
}
