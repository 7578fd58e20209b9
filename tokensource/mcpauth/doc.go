// Package mcpauth TODO
package mcpauth
