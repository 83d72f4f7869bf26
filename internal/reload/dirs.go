package reload

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"
)

const (
	// maxLinks bounds the symlinks on the way to one file, as in Linux.
	maxLinks = 40
	// followRounds bounds how often the way is walked again when it changed
	// while its directories were added.
	followRounds = 3
)

// watchDirs returns the directories in which a change can make path lead to
// something else: that of each symlink on the way and that of the file itself.
// If the way breaks off it is the last directory that exists, since what is
// missing will appear there.
func watchDirs(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	var dirs []string
	root := filepath.VolumeName(path) + string(filepath.Separator)
	dir, rest, links := root, split(path), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			dir = filepath.Dir(dir)
			continue
		}
		next := filepath.Join(dir, name)
		info, err := os.Lstat(next)
		if err != nil {
			return append(dirs, dir)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if len(rest) == 0 {
				dirs = append(dirs, dir)
			}
			dir = next
			continue
		}
		dirs = append(dirs, dir)
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return dirs
		}
		if filepath.IsAbs(target) {
			dir = root
		}
		rest = append(split(target), rest...)
	}
	return dirs
}

// split returns the names in a path. Not filepath.Clean: it would resolve ".."
// behind a symlink in the wrong place.
func split(path string) []string {
	path = strings.TrimPrefix(path, filepath.VolumeName(path))
	return slices.DeleteFunc(strings.Split(path, string(filepath.Separator)),
		func(name string) bool { return name == "" || name == "." })
}

// dirWatch keeps a source watching the directories that matter. Its owner is
// the goroutine of Run.
type dirWatch struct {
	log    *zap.Logger
	source eventSource
	// watched holds each directory as it was when it was added, so that
	// another one of the same name is noticed.
	watched map[string]fs.FileInfo
	// refused holds the directories that could not be added, to say it once.
	refused map[string]bool
}

func newDirWatch(log *zap.Logger, source eventSource) *dirWatch {
	return &dirWatch{
		log:     log,
		source:  source,
		watched: make(map[string]fs.FileInfo),
		refused: make(map[string]bool),
	}
}

// follow makes the source watch the directories of files as they are now.
func (d *dirWatch) follow(files []string) {
	var before []string
	for range followRounds {
		var dirs []string
		for _, file := range files {
			dirs = append(dirs, watchDirs(file)...)
		}
		slices.Sort(dirs)
		dirs = slices.Compact(dirs)
		if before != nil && slices.Equal(dirs, before) {
			return
		}
		d.watch(dirs)
		before = dirs
	}
}

// watch removes first and adds afterwards: two names can be one directory to
// the source, and removing one of them ends the watch of both.
func (d *dirWatch) watch(dirs []string) {
	infos := make(map[string]fs.FileInfo, len(dirs))
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil {
			infos[dir] = info
		}
	}
	for dir, was := range d.watched {
		if now := infos[dir]; now == nil || !os.SameFile(was, now) {
			// It may be gone, and its watch with it: nothing to tell.
			_ = d.source.Remove(dir)
		}
	}
	clear(d.watched)
	for _, dir := range dirs {
		// Again for those watched already: a directory that was moved away and
		// back is the same one, but its watch has ended.
		if err := d.source.Add(dir); err != nil {
			if !d.refused[dir] {
				d.log.Warn("directory not watched, polling only", zap.String("dir", dir), zap.Error(err))
			}
			d.refused[dir] = true
			continue
		}
		delete(d.refused, dir)
		d.watched[dir] = infos[dir]
	}
}
