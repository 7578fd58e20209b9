//go:build race

package tokensource

// The race detector makes everything several times as slow.
const defaultSchedules = 20
