package redisstore

import "context"

// discardSource deletes a Redis string that is no record of this format.
const discardSource = `
local head = redis.call('GETRANGE', KEYS[1], 0, 20)
if #head == 21 and string.sub(head, 1, 5) == 'o2kr\1' then
	return 0
end
redis.call('DEL', KEYS[1])
return 1`

// Discard implements [storage.Discarder]. It deletes a Redis string that isn't a record, or
// is one of a later release. Another type of value is an error, and stays: something else is
// stored under that key.
func (s *Store) Discard(ctx context.Context, name string) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	key := s.redisKey(name)
	return s.settle(ctx, name, func() (int64, error) { return s.process(ctx, newScript(ctx, discardSource, key), key) })
}
