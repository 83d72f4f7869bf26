package console

import (
	"os"
	"testing"
)

// PGSEAL_TEST_UPDATE=1 writes the manual anew.
func TestTheManualIsWrittenFromTheTableOfCommands(t *testing.T) {
	const path = "../../docs/console.md"
	if os.Getenv("PGSEAL_TEST_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(Manual()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Manual() {
		t.Error("docs/console.md is not what the table of commands says: run PGSEAL_TEST_UPDATE=1 go test ./internal/console")
	}
}
