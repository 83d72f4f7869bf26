package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/pgseal/pgseal/internal/pgcluster"
)

// quickInitdb stands in for initdb. All clusters of the tests are made alike, so
// that those of one version are copies of the first: initdb takes a second of CPU.
const quickInitdb = `#!/bin/sh
set -eu
for argument; do
	case $argument in --pgdata=*) data=${argument#--pgdata=} ;; esac
done
model='%[1]s/model'
if [ ! -d "$model" ] && mkdir "$model.making" 2>/dev/null; then
	'%[2]s/initdb' "$@" --pgdata="$model.new" || { rmdir "$model.making"; exit 1; }
	mv "$model.new" "$model"
fi
until [ -d "$model" ]; do
	[ -d "$model.making" ] || exit 1
	sleep 0.1
done
cp -Rp "$model" "$data"
`

// programs are the directories of PostgreSQL's programs, with the quick initdb.
var programs = struct {
	mu        sync.Mutex
	root      string // of TestMain, for the models
	byVersion map[string]string
}{byVersion: map[string]string{}}

// findPrograms is pgcluster.Find for clusters whose superuser has superPassword.
func findPrograms(version string) (bindir string, err error) {
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if bindir = programs.byVersion[version]; bindir != "" {
		return bindir, nil
	}
	real, err := pgcluster.Find(version)
	if err != nil {
		return "", err
	}
	// initdb runs as another user where we are root.
	bindir = filepath.Join(programs.root, version)
	if err := os.Mkdir(bindir, 0o755); err != nil {
		return "", err
	}
	if err := os.Chmod(bindir, 0o777); err != nil {
		return "", err
	}
	if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(bindir, "postgres")); err != nil {
		return "", err
	}
	script := fmt.Sprintf(quickInitdb, bindir, real)
	if err := os.WriteFile(filepath.Join(bindir, "initdb"), []byte(script), 0o755); err != nil {
		return "", err
	}
	programs.byVersion[version] = bindir
	return bindir, nil
}
