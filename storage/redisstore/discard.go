package redisstore

import "context"

// discardSource deletes what is no record of this format.
const discardSource = headSource + `
if head ~= '' and not foreign then
	return 0
end
redis.call('DEL', KEYS[1])
return 1`

// Discard implements [storage.Discarder]. It deletes whatever Get can't read: a record of a
// later release, a string that isn't a record, and a list or another type of value.
func (s *Store) Discard(ctx context.Context, name string) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	key := s.redisKey(name)
	return s.settle(ctx, name, func() (int64, error) { return s.process(ctx, newScript(ctx, discardSource, key), key) })
}
