package oauth2keep_test

import (
	"os"
	"runtime/debug"
	"testing"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // what is alive is so little that it would be marked again and again
	os.Exit(m.Run())
}
