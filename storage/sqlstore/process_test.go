package sqlstore_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

const incrementsEach = 25

func increments(to target) error {
	s, err := to.store()
	if err != nil {
		return err
	}
	for range incrementsEach {
		for {
			value, v, err := s.Get(ctx, "counter")
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(value))
			if err != nil {
				return err
			}
			_, err = s.Put(ctx, "counter", []byte(strconv.Itoa(n+1)), v)
			if err == nil {
				break
			}
			if !errors.Is(err, storage.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

func TestNoUpdateOfSeveralProcessesIsLost(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		s := to.open(t)
		mustPut(t, s, "counter", "0", "")
		const processes = 4
		runAll(t, processes, "increment", to)
		value, _, err := s.Get(ctx, "counter")
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(processes*incrementsEach), string(value))
	})
}
