package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/oauth2keep/oauth2keep/storage"
)

func (a *app) copyCommand() *cobra.Command {
	var from, to string
	c := &cobra.Command{
		Use:   "copy --to STORE",
		Short: "Copy every record to another store",
		Long: `Copies every record to another store, as it is sealed: no key is needed, and both stores have the same keys
afterwards. Then it reads all of them back and compares. A table that isn't there is made.

Stop the programs that use the stores before. No record is replaced: one that is in the other store already is
right if it is the same, and an error if it isn't. A copy that was interrupted can be started again.`,
		Example: `  oauth2keep copy --to sqlite:/var/lib/myapp/tokens.db
  oauth2keep copy --from dir:/var/lib/myapp/tokens --to env:DATABASE_URL`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if to == "" {
				return usage("--to says where the copy goes")
			}
			a.options.store = cmp.Or(from, a.options.store)
			return a.copy(c.Context(), to)
		},
	}
	c.Flags().StringVar(&from, "from", "", "the `store` to copy from (default that of --store or the configuration)")
	c.Flags().StringVar(&to, "to", "", "the `store` to copy to")
	return c
}

// copy copies the store that the flags or the configuration name.
func (a *app) copy(ctx context.Context, to string) error {
	src, err := a.store(ctx, false)
	if err != nil {
		return err
	}
	at, err := flagAddress(to)
	if err != nil {
		return err
	}
	if at.shown == src.at.shown {
		return usage("both stores are %s", at)
	}
	dst, err := a.openStore(ctx, at, true)
	if err != nil {
		return err
	}
	p := a.progress("reads, of two for each record")
	n, err := storage.Copy(ctx, dst.Store, counting(src.Store, p))
	p.stop()
	switch {
	case ctx.Err() != nil:
		a.say("call it again to go on with what is left")
		return ctx.Err()
	case err != nil:
		return storeFailure("from %s to %s: %w", src.at, at, err)
	}
	a.say("records copied from %s to %s, and compared: %s", src.at, at, number(n))
	return nil
}
