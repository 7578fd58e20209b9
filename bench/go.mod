module github.com/oauth2keep/oauth2keep/bench

go 1.26.0

require (
	github.com/jackc/pgx/v5 v5.12.0
	github.com/oauth2keep/oauth2keep v0.1.0
	github.com/oauth2keep/oauth2keep/storage/sqlstore v0.1.0
	github.com/stretchr/testify v1.12.1
	golang.org/x/oauth2 v0.37.0
	modernc.org/sqlite v1.61.1
)

require (
	github.com/dustin/go-humanize v1.1.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/ncruces/go-strftime v1.1.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	modernc.org/libc v1.79.0 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
)

replace (
	github.com/oauth2keep/oauth2keep => ..
	github.com/oauth2keep/oauth2keep/storage/sqlstore => ../storage/sqlstore
)

// What cmd/oauth2keep requires in a checkout: go install takes no command whose own go.mod
// has a replace.
replace (
	github.com/oauth2keep/oauth2keep/storage/keystore => ../storage/keystore
	github.com/oauth2keep/oauth2keep/storage/redisstore => ../storage/redisstore
)
