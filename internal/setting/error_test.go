package setting

import (
	"errors"
	"io/fs"
	"testing"
)

func TestFaultsNameTheirKeysInOrder(t *testing.T) {
	var f Faults
	f.AddIf(true, "mode", "%q is no mode", "x")
	f.Between("low", 0, 1, 2)
	f.Between("high", 3, 1, 2)
	f.Positive("wait", 0)
	f.NotNegative("delay", -1)
	f.NoNUL("query", "SELECT\x00")
	f.AddErr("file", fs.ErrNotExist)
	f.Add("host", "is missing")
	const want = "mode: \"x\" is no mode\nlow: 0 is outside the valid range (1 .. 2)\nhigh: 3 is outside the valid range (1 .. 2)\n" +
		"wait: must be greater than zero\ndelay: must not be negative\nquery: contains a NUL byte\nfile: file does not exist\nhost: is missing"
	err := f.Err()
	if err == nil || err.Error() != want || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.Key != "mode" {
		t.Errorf("the first is %v", e)
	}
}

func TestGoodValuesAreNoFaults(t *testing.T) {
	var f Faults
	f.AddIf(false, "mode", "%q is no mode", "x")
	f.Between("low", 1, 1, 2)
	f.Between("high", 2, 1, 2)
	f.Positive("wait", 1)
	f.NotNegative("delay", 0)
	f.NoNUL("query", "")
	f.AddErr("file", nil)
	if err := f.Err(); err != nil {
		t.Error(err)
	}
}
