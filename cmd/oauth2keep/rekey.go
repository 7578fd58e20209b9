package main

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/oauth2keep/oauth2keep/storage"
)

// rekeying is what the flags of rekey say.
type rekeying struct {
	newKey         bool
	unused, remove string
}

func (a *app) rekeyCommand() *cobra.Command {
	f := &rekeying{}
	c := &cobra.Command{
		Use:   "rekey",
		Short: "Seal every record with the primary key, or find out whether a key is still needed",
		Long: `Seals every record of the store with the primary key, the first --key. Programs may go on using the
store, once all of them have both keys and seal with the new one. It can be interrupted, and called again: it
goes on with what is left.

To replace a key that is in files or environment variables:

  1. Give every program the new key as an old one, and then as its primary key.
  2. oauth2keep rekey --key file:new.key --key file:old.key
  3. oauth2keep rekey --key file:new.key --key file:old.key --unused FINGERPRINT
     until it says that no record needs the old key. Then take it away, everywhere.

The command's own keys, in the keyring, are replaced by --new-key, and the old one is destroyed by --remove,
when no other oauth2keep is running that began before.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.newKey && (f.unused != "" || f.remove != "") || f.unused != "" && f.remove != "" {
				return usage("--new-key, --unused and --remove are one at a time")
			}
			for _, name := range []string{"unused", "remove"} { // of a variable that isn't set, say
				if flag := c.Flags().Lookup(name); flag.Changed && flag.Value.String() == "" {
					return usage("--%s needs a fingerprint", name)
				}
			}
			return a.rekey(c.Context(), f)
		},
	}
	c.Flags().BoolVar(&f.newKey, "new-key", false, "make a new key in the keyring first")
	c.Flags().StringVar(&f.unused, "unused", "", "only find out whether no record needs the key of this `fingerprint`")
	c.Flags().StringVar(&f.remove, "remove", "", "destroy the key of this `fingerprint` in the keyring, if no record needs it")
	return c
}

func (a *app) rekey(ctx context.Context, f *rekeying) error {
	own, ofStore := a.keystore()
	if (f.newKey || f.remove != "") && !ofStore {
		return usage("--new-key and --remove are for keys in the keyring; those in files and environment variables are yours to make and to destroy")
	}
	if f.newKey {
		fingerprint, err := own.Add(ctx)
		if err == nil {
			_, err = own.MakePrimary(ctx, fingerprint)
		}
		if err != nil {
			return storeFailure("%w", err)
		}
		a.say("key %s is made, and seals from now on", fingerprint)
	}
	stores, err := a.sealedStores(ctx)
	if err != nil {
		return err
	}
	if fingerprint := f.unused + f.remove; fingerprint != "" {
		for _, s := range stores {
			if err := a.checkUnused(ctx, s, fingerprint); err != nil {
				return err
			}
		}
		if f.remove == "" {
			a.say("no record needs key %s", fingerprint)
			return nil
		}
		if err := own.Remove(ctx, fingerprint); err != nil {
			return storeFailure("%w", err)
		}
		a.say("key %s is destroyed", fingerprint)
		return nil
	}
	for _, s := range stores {
		if err := a.rekeyStore(ctx, s); err != nil {
			return err
		}
	}
	if ofStore {
		a.tellOldKeys(ctx)
	}
	return nil
}

// tellOldKeys says how the command's old keys are destroyed, which it doesn't do at once:
// an oauth2keep that has begun before may still seal with one.
func (a *app) tellOldKeys(ctx context.Context) {
	keys, err := a.keys(ctx)
	if err != nil {
		return
	}
	for _, old := range keys.Fingerprints()[1:] {
		a.tell("  when no oauth2keep is running that began before now: oauth2keep rekey --remove %s", old)
	}
}

// sealed is a store whose records the keys have sealed.
type sealed struct {
	what  string
	store storage.Store
	keys  *storage.Keyset
}

// sealedStores returns the store of the connections, and if it has the command's own keys, that
// of the clients' secrets.
func (a *app) sealedStores(ctx context.Context) ([]sealed, error) {
	keys, err := a.keys(ctx)
	if err != nil {
		return nil, err
	}
	var all []sealed
	o, err := a.store(ctx, false)
	switch {
	case err == nil:
		all = append(all, sealed{"records", o.Store, keys})
	case !errors.Is(err, errNoStore) || !isStandard(a):
		return nil, err
	default: // no record is there yet
		all = append(all, sealed{"records", new(storage.Memory), keys})
	}
	if _, ofStore := a.keystore(); ofStore {
		path, err := a.secretsPath()
		if err != nil {
			return nil, err
		}
		secrets, err := a.openDir(address{path: path}, false)
		if err == nil {
			all = append(all, sealed{"clients' secrets", secrets.Store, keys})
		} else if !errors.Is(err, errNoStore) {
			return nil, err
		}
	}
	return all, nil
}

func isStandard(a *app) bool {
	s, err := a.storeSpec()
	return err == nil && s.standard
}

func (a *app) rekeyStore(ctx context.Context, s sealed) error {
	p := a.progress(s.what + " examined")
	report, err := storage.Encrypt(counting(s.store, p), s.keys).Rekey(ctx)
	p.stop()
	a.say("%s: %s examined, %s sealed anew", s.what, number(report.Examined), number(report.Moved))
	for _, fingerprint := range slices.SortedFunc(maps.Keys(report.ByKey), func(x, y string) int {
		return slices.Index(s.keys.Fingerprints(), x) - slices.Index(s.keys.Fingerprints(), y)
	}) {
		role := "old"
		if fingerprint == report.Primary {
			role = "primary"
		}
		a.tell("  key %s (%s) seals %s", fingerprint, role, number(report.ByKey[fingerprint]))
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		a.tell("  call it again to go on with what is left")
		return ctx.Err()
	}
	return storeFailure("%w", err)
}

func (a *app) checkUnused(ctx context.Context, s sealed, fingerprint string) error {
	p := a.progress(s.what + " examined")
	defer p.stop()
	err := storage.Encrypt(counting(s.store, p), s.keys).CheckUnused(ctx, fingerprint)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return storeFailure("%s: %w", s.what, err)
}
