package setting

import "testing"

func TestASizeIsANumberWithItsUnit(t *testing.T) {
	for text, want := range map[string]Size{"512B": 512, "8KiB": 8 << 10, "1MiB": 1 << 20, "0B": 0} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want || s.String() != text {
			t.Errorf("%s is %v (%v)", text, s, err)
		}
	}
	for _, text := range []string{"", "8192", "8", "KiB", "-1KiB", "+1KiB", "8 KiB", "8kB", "8K", "1.5KiB", "9223372036854775808B", "9007199254740992KiB"} {
		s := Size(7)
		if err := s.UnmarshalText([]byte(text)); err == nil || s != 7 {
			t.Errorf("%q was taken for %d", text, s)
		}
	}
}
