package testenv

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Tests take ports from blocks, each of which one process has to itself: between a look at
// whether a port is free and the start of its server, and while a server is dead, another
// test's could take it. All blocks are below the ports that connections get.
const (
	firstPort = 10000
	lastPort  = 30000
	blockSize = 100
)

var block struct {
	sync.Mutex
	next, end int
	guards    []net.Listener // at the first port of each block that this process has, until it ends
}

// Addr returns an address of loopback whose port is free, and is nobody else's while this
// process lives.
func Addr(t testing.TB) string {
	t.Helper()
	port, err := Port()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// Port returns the port of such an address.
func Port() (int, error) {
	block.Lock()
	defer block.Unlock()
	for {
		for block.next < block.end {
			port := block.next
			block.next++
			if l, err := listen(port); err == nil {
				l.Close()
				return port, nil
			}
		}
		if !takeBlock(firstPort, min(lastPort, lowestOfConnections())) {
			return 0, errors.New("no port is free")
		}
	}
}

// takeBlock takes a block that no process has, from a range of ports.
func takeBlock(from, below int) bool {
	for _, i := range rand.Perm((below - from) / blockSize) {
		first := from + i*blockSize
		if guard, err := listen(first); err == nil {
			block.guards = append(block.guards, guard)
			block.next, block.end = first+1, first+blockSize
			return true
		}
	}
	return false
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// lowestOfConnections returns the first port that connections get, as far as the system
// tells it.
func lowestOfConnections() int {
	content, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if fields := strings.Fields(string(content)); len(fields) == 2 {
		if port, err := strconv.Atoi(fields[0]); err == nil && port >= firstPort+10*blockSize {
			return port
		}
	}
	return lastPort
}
