package loopback

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const ipv4, ipv6 = "127.0.0.1", "::1"

// tries is how often a free port of one address may be taken at the other.
const tries = 20

// listen takes the first of the ports that can be had, and returns the redirect URL with
// it. It listens at 127.0.0.1 and at [::1], where the machine has both, so that nobody
// else can be where a browser may take "localhost" to be.
func listen(registered *url.URL, ports []int) (*url.URL, []net.Listener, error) {
	hosts := slices.DeleteFunc([]string{ipv4, ipv6}, func(host string) bool {
		l, err := listenAt([]string{host}, 0)
		closeAll(l)
		return err != nil
	})
	return listenOn(hosts, registered, ports)
}

// listenOn is listen on a machine that has these loopback addresses.
func listenOn(hosts []string, registered *url.URL, ports []int) (*url.URL, []net.Listener, error) {
	if len(hosts) == 0 {
		return nil, nil, misconfigured("this machine lets the program listen neither on 127.0.0.1 nor on [::1]")
	}
	redirect := registered
	if redirect == nil {
		redirect = &url.URL{Scheme: "http", Host: withoutPort(hosts[0]), Path: defaultPath}
	}
	if name := strings.ToLower(redirect.Hostname()); name != "localhost" && !slices.Contains(hosts, name) {
		return nil, nil, misconfigured("this machine doesn't let the program listen on " + name + ", which the redirect URL of Login.Config names")
	}
	if len(ports) == 0 {
		port, _ := strconv.Atoi(redirect.Port()) // which url.Parse has checked, or there is none
		ports = []int{port}
	}
	var failed []string
	for _, port := range ports {
		listeners, err := listenAt(hosts, port)
		for i := 1; err != nil && port == 0 && i < tries; i++ {
			listeners, err = listenAt(hosts, port)
		}
		if err == nil {
			return withPort(redirect, listeners[0].Addr().(*net.TCPAddr).Port), listeners, nil
		}
		failed = append(failed, err.Error())
	}
	return nil, nil, misconfigured(fmt.Sprintf("can't listen for the callback, another program may do so: %s", strings.Join(failed, "; ")))
}

// listenAt listens at all hosts, at the same port, or at none.
func listenAt(hosts []string, port int) (listeners []net.Listener, err error) {
	for _, host := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			closeAll(listeners)
			return nil, err
		}
		listeners = append(listeners, l)
		port = l.Addr().(*net.TCPAddr).Port
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// withoutPort is host as it stands in a URL.
func withoutPort(host string) string {
	if host == ipv6 {
		return "[" + host + "]"
	}
	return host
}
