package natsstore

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeys(t *testing.T) {
	long := strings.Repeat("k", longest) + "é"
	for name, key := range map[string]string{
		"":                           "=",
		"customer/17":                "customer/17",
		"a-b_c":                      "a-b_c",
		"a.b":                        "a=2Eb",
		"=":                          "=3D",
		"é\x00>*":                    "=C3=A9=00=3E=2A",
		strings.Repeat("k", longest): strings.Repeat("k", longest),
		strings.Repeat("\x00", 4096): fmt.Sprintf("==%x", sha256.Sum256(make([]byte, 4096))),
		long:                         fmt.Sprintf("==%x", sha256.Sum256([]byte(long))),
	} {
		got, hashed := keyOf(name)
		require.Equal(t, key, got)
		header := ""
		if hashed {
			header = escape(name)
		}
		back, ok := nameOf(got, header)
		require.True(t, ok, key)
		require.Equal(t, name, back)
	}
}

// TestForeignKeysHaveNoName has keys that the Store doesn't write.
func TestForeignKeysHaveNoName(t *testing.T) {
	long := strings.Repeat("k", 2000)
	key, _ := keyOf(long)
	for _, c := range [][2]string{
		{"a.b"}, {"=2e"}, {"=41"}, {"=4"}, {"=4G"}, {"a="}, {"=="}, {"==2E"}, {""}, {key}, {long},
		{key, "another"}, {key, "=41"}, {"name", "name"}, {key, strings.Repeat("l", 2000)},
	} {
		name, ok := nameOf(c[0], c[1])
		require.False(t, ok, "%q has the name %q", c, name)
	}
}

func FuzzKeys(f *testing.F) {
	for _, seed := range []string{"", "=", "a", "a=2Eb", "==", "é", strings.Repeat("=00", 400)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		back, ok := unescape(escape(text))
		require.True(t, ok)
		require.Equal(t, text, back)
		if name, ok := unescape(text); ok {
			require.Equal(t, text, escape(name))
		}
	})
}
