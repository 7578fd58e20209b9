// Package testenv has what tests need around them: a directory in memory, the test program
// as a process of its own, and servers, as processes that a test kills and stops. The test
// kits and the tests of all modules share it, so it imports the standard library only.
package testenv
