package config

import (
	"errors"
	"strconv"
	"strings"
)

// maxSize is more than anybody means, and far from overflowing.
const maxSize = 1 << 36

// A Size is a number of bytes as people write it: 512, 64KiB, 1MiB or 2GiB.
type Size int64

var sizeUnits = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"", 1}}

var errSize = errors.New("write a number of bytes, or one with KiB, MiB or GiB, such as 64KiB")

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n <= 0 || digits[0] == '+' || n > maxSize/u.factor {
			return errSize
		}
		*s = Size(n * u.factor)
		return nil
	}
	return errSize
}
