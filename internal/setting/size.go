package setting

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written as in the file: 8KiB, 1MiB, or plain
// bytes with B.
type Size int64

// Units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
)

var errSize = errors.New("must be a size with a unit, such as 8KiB or 1MiB")

// UnmarshalText implements encoding.TextUnmarshaler. A number without a unit
// is refused: it could mean anything.
func (s *Size) UnmarshalText(text []byte) error {
	for _, unit := range []struct {
		name string
		size Size
	}{{"KiB", KiB}, {"MiB", MiB}, {"B", 1}} {
		digits, ok := strings.CutSuffix(string(text), unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || n > uint64(math.MaxInt64/unit.size) {
			return errSize
		}
		*s = Size(n) * unit.size
		return nil
	}
	return errSize
}

// String is the text that UnmarshalText reads, in the largest unit that
// divides it.
func (s Size) String() string {
	switch {
	case s != 0 && s%MiB == 0:
		return strconv.FormatInt(int64(s/MiB), 10) + "MiB"
	case s != 0 && s%KiB == 0:
		return strconv.FormatInt(int64(s/KiB), 10) + "KiB"
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
