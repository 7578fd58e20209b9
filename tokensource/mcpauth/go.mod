module github.com/oauth2keep/oauth2keep/tokensource/mcpauth

go 1.26.0

require (
	github.com/modelcontextprotocol/go-sdk v1.8.0
	github.com/oauth2keep/oauth2keep v0.1.0
	golang.org/x/oauth2 v0.37.0
)

require (
	github.com/segmentio/asm v1.1.3 // indirect
	github.com/segmentio/encoding v0.5.4 // indirect
	golang.org/x/sys v0.41.0 // indirect
)

replace github.com/oauth2keep/oauth2keep => ../..
