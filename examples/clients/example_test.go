package clients_test

import (
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// newManager returns a Manager that nobody has connected an account with yet.
func newManager() *tokensource.Manager {
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		panic(err)
	}
	return &tokensource.Manager{
		Config: &oauth2.Config{
			ClientID: "app",
			Endpoint: oauth2.Endpoint{TokenURL: "https://ledger.example/token", AuthStyle: oauth2.AuthStyleInParams},
		},
		Store:   storage.Encrypt(new(storage.Memory), keys),
		APIURLs: []string{"https://api.ledger.example"},
	}
}
