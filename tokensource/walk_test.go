package tokensource

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

// planted is part of every secret that these tests plant.
const planted = "s3cr3t"

// plantedForms are in lower case.
var plantedForms = []string{planted, hex.EncodeToString([]byte(planted)), strings.ToLower(base64.StdEncoding.EncodeToString([]byte(planted + "-a"))[:8])}

// walker looks for secrets in everything that a value leads to: through pointers,
// interfaces, maps, slices and fields, exported or not, and what its methods return.
// It looks at each of them once.
type walker struct {
	seen   map[visit]bool
	called map[any]bool // what the methods were called of: a visit, or the value of a struct
	found  []string
}

func newWalker() *walker { return &walker{seen: make(map[visit]bool), called: make(map[any]bool)} }

type visit struct {
	at unsafe.Pointer // keeps what was seen from being collected, and another value from standing there
	of reflect.Type
}

// assertNoSecret checks that v leads to no planted secret.
func assertNoSecret(t assert.TestingT, v any, what string) { newWalker().assertNoSecret(t, v, what) }

func (w *walker) assertNoSecret(t assert.TestingT, v any, what string) {
	w.value(reflect.ValueOf(v), "value")
	assert.Empty(t, w.found, what)
	w.found = nil
	assert.Less(t, len(w.seen), 5_000, "%s leads to half of the program", what)
}

func (w *walker) text(s, path string) {
	lower := strings.ToLower(s)
	for _, form := range plantedForms {
		if strings.Contains(lower, form) {
			w.found = append(w.found, fmt.Sprintf("%s: %.200s", path, s))
			return
		}
	}
}

// value looks at v, which was reached by path.
func (w *walker) value(v reflect.Value, path string) {
	if !v.IsValid() || len(w.found) > 10 || len(path) > 2_000 {
		return
	}
	c := reflect.New(v.Type()) // addressable, so that what isn't exported can be looked at
	c.Elem().Set(v)
	w.place(c.Elem(), path)
}

// place is value of what is addressable and doesn't come from an unexported field.
func (w *walker) place(v reflect.Value, path string) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		return // which has no place for a secret
	}
	w.methods(v, path)
	switch v.Kind() {
	case reflect.String:
		w.text(v.String(), path)
	case reflect.Pointer:
		if at := (visit{v.UnsafePointer(), v.Type()}); !v.IsNil() && !w.seen[at] {
			w.seen[at] = true
			w.place(v.Elem(), path+"*")
		}
	case reflect.Interface:
		if !v.IsNil() {
			w.value(v.Elem(), path+"("+v.Elem().Type().String()+")")
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Field(i)
			field = reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
			w.place(field, path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			w.text(string(v.Bytes()), path)
			return
		}
		for i := range min(v.Len(), 1000) {
			w.place(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		if at := (visit{v.UnsafePointer(), v.Type()}); w.seen[at] {
			return
		} else if !v.IsNil() {
			w.seen[at] = true
		}
		for name, member := range v.Seq2() {
			w.value(name, path+"[key]")
			w.value(member, fmt.Sprintf("%s[%v]", path, name))
		}
	case reflect.Func:
		if getBody, ok := v.Interface().(func() (io.ReadCloser, error)); ok && getBody != nil {
			if body, err := getBody(); err == nil {
				w.value(reflect.ValueOf(body), path+"()")
			}
		}
	}
}

// methods looks at what the methods of v return that people and programs call.
func (w *walker) methods(v reflect.Value, path string) {
	if v.Kind() == reflect.Interface || !v.Type().Implements(reflect.TypeFor[any]()) {
		return
	}
	if v.Kind() != reflect.Pointer {
		v = v.Addr() // which has the methods of v, too
	}
	if v.IsNil() || w.known(visit{v.UnsafePointer(), v.Type()}) {
		return
	}
	if s := v.Elem(); s.Kind() == reflect.Struct && s.Comparable() && w.known(s.Interface()) {
		return
	}
	w.call(v.Interface(), path)
}

// known reports whether the methods of what is or stands at x were called, and notes that
// they are.
func (w *walker) known(x any) bool {
	before := w.called[x]
	w.called[x] = true
	return before
}

func (w *walker) call(x any, path string) {
	defer func() { _ = recover() }() // a method of what holds a nil pointer
	switch x := x.(type) {
	case interface{ Unwrap() error }:
		w.value(reflect.ValueOf(x.Unwrap()), path+".Unwrap()")
	case interface{ Unwrap() []error }:
		for i, err := range x.Unwrap() {
			w.value(reflect.ValueOf(err), fmt.Sprintf("%s.Unwrap()[%d]", path, i))
		}
	case io.Reader:
		data, _ := io.ReadAll(io.LimitReader(x, 1<<20))
		w.text(string(data), path+".Read")
	}
	_, isError := x.(error)
	_, isStringer := x.(fmt.Stringer)
	if isError || isStringer {
		for how, text := range printed(x, allVerbs) {
			w.text(text, path+", "+how)
		}
	}
}
