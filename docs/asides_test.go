package docs_test

// aside is how a command of a page is run, if not as it stands there. What is added to it, or
// run in its place, has a reason.
type aside struct {
	before  string // what the reader has done already
	with    string // what is added to the command
	instead string // what is run in its place
	why     string
	then    string // what succeeds if the command has worked
	serves  *site
}

// text returns what is run of a command.
func (a aside) text(command string) string {
	switch {
	case a.instead != "":
		return a.instead
	case a.with != "":
		return command + " " + a.with
	default:
		return command
	}
}

// site is what a command serves until it is interrupted.
type site struct {
	url       string // empty: the command prints it
	says      string // what is on the page
	button    string // the path that a button of the page posts to
	leads     string // what the URL begins with to which the button leads
	connected string // what is on the page after a user has approved there, if that is on this machine
}

// Before a command of oauth2keep needs a connection, a user connects an account, in a browser.
const (
	connected = `oauth2keep login github/me --client-id "$GITHUB_ID" --secret stdin <<<"$GITHUB_SECRET"`
	managed   = `for key in token next; do (umask 077 && openssl rand -base64 32 > $key.key); done
		export DATABASE_URL=sqlite:$PWD/app.db
		OAUTH2KEEP_STORE=env:DATABASE_URL OAUTH2KEEP_KEYS=file:token.key oauth2keep login finch/customer-42 \
			--scope company --client-id "$FINCH_ID" --secret stdin <<<"$FINCH_SECRET"`
)

const (
	long      = "it takes minutes, or hours"
	installed = ".ci/run installs it"
)

var asides = map[string]aside{
	// Keys and modules.
	"(umask 077 && set -C && openssl rand -base64 32 > token.key)": {
		then: `test "$(stat -c %a token.key)" = 600 && test "$(base64 -d token.key | wc -c)" = 32`,
	},
	"go doc github.com/oauth2keep/oauth2keep/endpoints":      {before: "go get github.com/oauth2keep/oauth2keep"},
	"apt-get install -y postgresql pgbouncer mariadb-server": {with: "--simulate", why: installed},
	"apt-get install dbus-daemon gnome-keyring":              {with: "--simulate", why: installed},
	"apt-get install etcd-server":                            {with: "--simulate", why: installed},
	"apt-get install redis-server":                           {with: "--simulate", why: installed},

	// Programs that serve.
	"go run ./examples/webapp": {serves: &site{says: "Carol"}},
	"go run ./examples/connect": {serves: &site{
		url: "http://localhost:8080", says: "<button>Connect</button>", button: "/connect",
		leads: "http://127.0.0.1:", connected: "Connected. The API answers 200 OK",
	}},
	"CLIENT_ID=… CLIENT_SECRET=… go run ./examples/connect": {
		instead: "CLIENT_ID=id CLIENT_SECRET=secret go run ./examples/connect", why: "it needs a client at GitHub",
		serves: &site{
			url: "http://localhost:8080", says: "<button>Connect</button>", button: "/connect",
			leads: "https://github.com/login/oauth/authorize?client_id=id&",
		},
	},

	// The command.
	"TOKEN=$(oauth2keep token github/me)": {before: connected, then: `test -n "$TOKEN"`},
	`git config --global credential.https://github.com.helper   '!f() { test "$1" = get && echo username=x-access-token && echo "password=$(oauth2keep token github/me)"; }; f'`: {
		then: `printf 'protocol=https\nhost=github.com\n\n' | git credential fill | grep -xF "password=$TOKEN"`,
	},
	"export OAUTH2KEEP_STORE=env:DATABASE_URL OAUTH2KEEP_KEYS=file:/etc/myapp/token.key": {
		before:  managed,
		instead: "export OAUTH2KEEP_STORE=env:DATABASE_URL OAUTH2KEEP_KEYS=file:token.key", why: "/etc belongs to the machine",
	},
	"oauth2keep copy --to postgres://tokens@db/app": {instead: "oauth2keep copy --to sqlite:copy.db", why: "there is no such host"},
	"source <(oauth2keep completion bash)":          {then: "complete -p oauth2keep"},
	"oauth2keep completion fish >~/.config/fish/completions/oauth2keep.fish": {
		before: "mkdir -p ~/.config/fish/completions", then: "grep -q oauth2keep ~/.config/fish/completions/oauth2keep.fish",
	},
	"oauth2keep providers check": {before: "oauth2keep providers show gitlab >gitlab.json", with: "gitlab.json", why: "the text leaves the file out"},
	"oauth2keep rekey":           {before: connected},
	"oauth2keep copy":            {before: connected, with: "--to dir:$PWD/copy", why: "the text leaves the store out"},
	"oauth2keep status --store 'sqlite:DIR/webapp.db#webapp_sandbox_tokens' --key file:DIR/token.key": {
		before: `go -C "$CHECKOUT" build -o "$PWD/webapp" ./examples/webapp
			./webapp -data DIR -listen 127.0.0.1:0 >url & until grep -q http url; do sleep 0.05; done`,
		then: "kill -INT $! && wait $!",
	},
	"commandline -device": {instead: "go test ./examples/commandline -run 'TestDevice|TestPageShowsWhatIsPrinted'", why: "it needs a client at GitLab"},

	// Tests.
	"go test ./pkce -run 'TestName$'":                                      {instead: "go test ./pkce -run 'TestCallbackState$'", why: "the name stands for one"},
	"go test ./tokensource -run TestSimulation -timeout 0 -schedules 5000": {with: "-schedules 1", why: long},
	"go test ./tokensource -run TestProcesses -tokensourcetest.adverse":    {with: "-run TestProcesses/one_process_hides -tokensourcetest.expiries 2", why: long},
	"go test -run AdminPages -v . -connections 100000":                     {with: "-connections 1000", why: long},
	"go test -run '^$' -bench RoundTrip ./tokensource":                     {with: "-benchtime 1x", why: long},
	"go test -short ./...":                                                 {with: "-run 'TestREADME|Example'", why: "it is a part of go test work, and of the part race"},
	"go test -v . -soak":                                                   {with: "-run TestREADME", why: long},
	"go test -soak":                                                        {with: "-run TestREADME", why: long},
	"go test -soak -run Contract -storagetest.kills 50 -v":                 {with: "-run Contract/SQLite -storagetest.kills 1", why: long},

	// Measurements.
	"cd bench/peers && go run . -run '^cached'":      {with: "-rounds 3", why: long},
	"cd bench/peers && go run . -run '^round trip,'": {with: "-rounds 3", why: long},
	"cd bench/peers && go run . -run '^exchange'":    {with: "-rounds 3", why: long},
	"cd bench/peers && go run . -run '^herd'":        {with: "-rounds 3 -herd 100", why: long},
	"cd bench/peers && go run . -run '^idle'":        {with: "-rounds 3 -idle 1000", why: long},
	"cd bench && go run ./million -only rekey":       {with: "-n 2000", why: long},
	"go run .":                                    {with: "-rounds 2 -herd 100 -idle 1000", why: long},
	"go run . -run '^(cached|round trip,)'":       {with: "-rounds 2", why: long},
	"go test -bench .":                            {with: "-benchtime 1x -run '^$'", why: long},
	"go run ./million -engine sqlite":             {with: "-n 2000", why: long},
	"go run ./million -engine postgres":           {with: "-n 2000", why: long},
	"go run ./million -n 20000 -only sweep,rekey": {with: "-n 2000", why: long},

	// Servers.
	"etcdctl role grant-permission myapp readwrite oauth2keep/ --prefix": {instead: "go test -run TestREADMEAccess .", why: "that test runs it, on its server"},
	"nats kv add oauth2keep --replicas 3":                                {instead: "go test -run TestREADME .", why: "the program takes minutes to compile: the test makes a bucket with the library"},
	"ssh -L 8765:127.0.0.1:8765":                                         {with: "-G server", why: "there is no such host"},
}
