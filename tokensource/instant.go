package tokensource

import (
	"encoding/json"
	"time"
)

// instant is a time in a record that nothing but Status shows: Unix time in milliseconds, zero
// for none. It is written as a time.Time is, and takes a third of the memory of one.
type instant int64

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(t.UnixMilli())
}

func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

// MarshalJSON implements json.Marshaler.
func (i instant) MarshalJSON() ([]byte, error) { return json.Marshal(i.time()) }

// UnmarshalJSON implements json.Unmarshaler.
func (i *instant) UnmarshalJSON(data []byte) error {
	var t time.Time
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	*i = instantOf(t)
	return nil
}
