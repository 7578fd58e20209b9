package redisstore_test

import "testing"

func (s *server) pause(t testing.TB) { t.Skip("a process can't be stopped here") }

func (s *server) goOn() {}
