package report

import (
	"flag"
	"os"
	"testing"

	"github.com/pgseal/pgseal/bench/internal/resulttest"
)

var look = flag.String("look", "", "write the sample's page to this file, for a look at it in a browser")

func TestThePageIsWritten(t *testing.T) {
	path := *look
	if path == "" {
		path = t.TempDir() + "/report.html"
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteHTML(f, resulttest.Run(7, 5)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() < 10_000 {
		t.Errorf("got %v, %v", info, err)
	}
}
