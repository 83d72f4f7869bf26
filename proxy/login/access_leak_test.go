package login

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/pgseal/pgseal/internal/reload"
)

// heap returns how many bytes are in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAThousandReloadsOfAccessRulesLeaveNothingBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pg_hba.conf")
	text := func(n int) string {
		list := fmt.Sprintf("# %d\n", n)
		for i := range 100 {
			list += fmt.Sprintf("hostssl db%d /^user_%d_[0-9]+$ 10.%d.0.0/16 scram-sha-256\n", i, n, i)
		}
		return list
	}
	write(t, path, text(0))
	store, err := reload.NewTreeStore("access rules", func(r *reload.Reader) (*Access, error) {
		return ParseAccess(r, "/config.yaml", Config{HBAFile: path})
	})
	ok(t, err)
	reload := func(n int) {
		write(t, path, text(n))
		changed, err := store.Reload()
		ok(t, err)
		if !changed {
			t.Fatal("the change was not seen")
		}
	}
	for n := range 10 {
		reload(n + 1)
	}
	before := heap()
	for n := range 1000 {
		reload(n + 100)
	}
	one := before / 2 // a leak of every version would be hundreds of times that
	if after := heap(); after > before+one+(1<<20) {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	runtime.KeepAlive(store)
}
