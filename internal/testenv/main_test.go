package testenv

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
)

// What this program does instead of running tests.
const (
	processVariable = "OAUTH2KEEP_TESTENV_PROCESS" // "echo" or "fail"
	addrVariable    = "OAUTH2KEEP_TESTENV_ADDR"    // it is a server, with this address
)

func TestMain(m *testing.M) {
	switch os.Getenv(processVariable) {
	case "echo":
		fmt.Println("ready")
		io.Copy(os.Stdout, os.Stdin)
		os.Exit(0)
	case "fail":
		fmt.Println("some output")
		fmt.Fprintln(os.Stderr, "the reason")
		os.Exit(3)
	}
	if addr := os.Getenv(addrVariable); addr != "" {
		if l, err := net.Listen("tcp", addr); err == nil {
			for {
				l.Accept()
			}
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}
