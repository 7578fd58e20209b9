//go:build !race

package tokensource

const defaultSchedules = 150
