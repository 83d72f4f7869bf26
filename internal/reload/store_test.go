package reload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// number is a value for stores that tests make: the number in a file. A store
// refuses a smaller one than before.
type number int

func (n number) MaySucceed(old number) error {
	if n < old {
		return fmt.Errorf("%d is less than %d", n, old)
	}
	return nil
}

func newNumberStore(t testing.TB, content string) (s *Store[number], path string, builds *int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "number")
	write(t, path, []byte(content), 0o644)
	builds = new(int)
	s, err := NewStore("the number", []File{{Path: path}}, func(c Contents) (number, error) {
		*builds++
		n, err := strconv.Atoi(string(c[path]))
		if err != nil {
			return 0, errors.New("no number")
		}
		return number(n), nil
	})
	ok(t, err)
	return s, path, builds
}

// refused reloads and asserts an error; it returns whether that is news.
func refused(t testing.TB, s Reloadable) (news bool) {
	t.Helper()
	changed, err := s.Reload()
	reloadErr, isReloadErr := errors.AsType[*ReloadError](err)
	if changed || !isReloadErr || reloadErr.Name != s.Name() {
		t.Fatalf("Reload gave %v, %v, want a ReloadError of %s", changed, err, s.Name())
	}
	return !reloadErr.Repeated
}

// reloaded reloads without an error and asserts whether that was a change.
func reloaded(t testing.TB, s Reloadable, want bool) {
	t.Helper()
	if changed, err := s.Reload(); err != nil || changed != want {
		t.Fatalf("Reload gave %v, %v, want %v", changed, err, want)
	}
}

func TestAStoreThatCannotBeLoadedSaysWhichAndWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing")
	_, err := NewStore("the number", []File{{Path: path}}, func(Contents) (number, error) { return 1, nil })
	wantError(t, err, "the number", path)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost from %v", err)
	}
}

func TestAStoreTellsItsNameAndFiles(t *testing.T) {
	s, path, _ := newNumberStore(t, "1")
	if s.Name() != "the number" || !slices.Equal(s.Files(), []string{path}) {
		t.Errorf("name %q, files %q", s.Name(), s.Files())
	}
}

func TestTheSameBytesAreNoChangeHoweverOftenTheyAreWritten(t *testing.T) {
	s, path, builds := newNumberStore(t, "1")
	s.OnChange(func(number) { t.Error("called without a change") })
	for range 3 {
		ok(t, os.Remove(path))
		write(t, path, []byte("1"), 0o644)
		reloaded(t, s, false)
	}
	if *builds != 1 || s.Status().Reloads != 0 {
		t.Errorf("%d builds, %d reloads, want 1 and 0", *builds, s.Status().Reloads)
	}
}

func TestNewContentIsSwappedInAndToldInOrder(t *testing.T) {
	s, path, _ := newNumberStore(t, "1")
	var told []string
	s.OnChange(func(n number) { told = append(told, fmt.Sprintf("a%d in force %d", n, s.Load())) })
	s.OnChange(func(n number) { told = append(told, fmt.Sprintf("b%d", n)) })
	for _, content := range []string{"2", "3"} {
		write(t, path, []byte(content), 0o644)
		reloaded(t, s, true)
	}
	want := []string{"a2 in force 2", "b2", "a3 in force 3", "b3"}
	if !slices.Equal(told, want) || s.Load() != 3 {
		t.Errorf("told %q, want %q; in force %d", told, want, s.Load())
	}
}

func TestBrokenContentKeepsTheOldValueAndIsNewsOnce(t *testing.T) {
	s, path, _ := newNumberStore(t, "1")
	s.OnChange(func(number) { t.Error("called without a change") })
	write(t, path, []byte("x"), 0o644)
	if !refused(t, s) || refused(t, s) || refused(t, s) {
		t.Error("the same broken content was not told exactly once")
	}
	if status := s.Status(); s.Load() != 1 || status.Failures != 1 || status.LastError == nil {
		t.Errorf("value %d, status %+v", s.Load(), status)
	}
}

func TestEachKindOfTroubleIsNewsAgain(t *testing.T) {
	s, path, _ := newNumberStore(t, "5")
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"broken", func() { write(t, path, []byte("x"), 0o644) }},
		{"broken in another way, with the same words", func() { write(t, path, []byte("y"), 0o644) }},
		{"missing", func() { ok(t, os.Remove(path)) }},
		{"empty", func() { write(t, path, nil, 0o644) }},
		{"refused by the value itself", func() { write(t, path, []byte("4"), 0o644) }},
		{"good, then broken as at first", func() {
			write(t, path, []byte("5"), 0o644)
			reloaded(t, s, false)
			write(t, path, []byte("x"), 0o644)
		}},
	} {
		step.do()
		if !refused(t, s) {
			t.Errorf("%s: told as a repetition", step.name)
		}
		if refused(t, s) {
			t.Errorf("%s: told twice", step.name)
		}
	}
	if s.Load() != 5 || s.Status().Failures != 6 {
		t.Errorf("value %d, %d failures, want 5 and 6", s.Load(), s.Status().Failures)
	}
}

func TestReturningToTheContentInForceEndsTheTrouble(t *testing.T) {
	s, path, _ := newNumberStore(t, "1")
	write(t, path, []byte("x"), 0o644)
	refused(t, s)
	write(t, path, []byte("1"), 0o644)
	reloaded(t, s, false)
	if status := s.Status(); status.LastError != nil || status.LastErrorAt.IsZero() {
		t.Errorf("status %+v, want no error and the time of the last one", status)
	}
}

func TestRefusedContentIsTriedAgainSinceTimeCanHealIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, []byte("1"), 0o644)
		start := time.Now()
		s, err := NewStore("s", []File{{Path: path}}, func(c Contents) (string, error) {
			if string(c[path]) == "2" && time.Since(start) < time.Hour {
				return "", errors.New("too early")
			}
			return string(c[path]), nil
		})
		ok(t, err)
		write(t, path, []byte("2"), 0o644)
		refused(t, s)
		<-time.After(time.Hour)
		reloaded(t, s, true)
		if s.Load() != "2" {
			t.Errorf("in force %q", s.Load())
		}
	})
}

func TestTheStatusSaysWhenAndHowOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loaded := time.Now()
		s, path, _ := newNumberStore(t, "1")
		<-time.After(time.Minute)
		write(t, path, []byte("x"), 0o644)
		broken := time.Now()
		refused(t, s)
		<-time.After(time.Minute)
		refused(t, s)
		got := s.Status()
		if !got.LoadedAt.Equal(loaded) || !got.LastErrorAt.Equal(broken) || got.Failures != 1 {
			t.Errorf("status %+v, want loaded at %v, broken at %v", got, loaded, broken)
		}
		write(t, path, []byte("2"), 0o644)
		reloaded(t, s, true)
		if got = s.Status(); !got.LoadedAt.Equal(time.Now()) || got.Reloads != 1 || got.LastError != nil {
			t.Errorf("status %+v after the reload at %v", got, time.Now())
		}
	})
}

func TestAReloadErrorHasTheCauseInIt(t *testing.T) {
	cause := errors.New("cause")
	err := error(&ReloadError{Name: "listener a", Err: cause})
	if !errors.Is(err, cause) || err.Error() != "listener a: cause" {
		t.Errorf("%v", err)
	}
}

func TestLoadRacesWithReloadAndSeesWholeValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, []byte("0 0"), 0o644)
	type pair struct{ a, b int }
	s, err := NewStore("pair", []File{{Path: path}}, func(c Contents) (*pair, error) {
		p := &pair{}
		_, err := fmt.Sscan(string(c[path]), &p.a, &p.b)
		return p, err
	})
	ok(t, err)
	var running, readers sync.WaitGroup
	done := make(chan struct{})
	swaps := 0
	s.OnChange(func(*pair) { swaps++ }) // Safe only if reloads take turns.
	for range 3 {
		readers.Go(func() {
			for last := 0; ; {
				if p := s.Load(); p.a != p.b || p.a < last {
					t.Errorf("half a value or an old one: %v after %d", *p, last)
				} else {
					last = p.a
				}
				_ = s.Status()
				select {
				case <-done:
					return
				default:
				}
			}
		})
		running.Go(func() {
			for range 100 {
				_, _ = s.Reload()
			}
		})
	}
	for i := 1; i <= 100; i++ {
		temp := path + ".new"
		write(t, temp, fmt.Appendf(nil, "%d %d", i, i), 0o644)
		ok(t, os.Rename(temp, path))
		_, _ = s.Reload()
	}
	running.Wait()
	_, err = s.Reload()
	ok(t, err)
	close(done)
	readers.Wait()
	if s.Load().a != 100 || uint64(swaps) != s.Status().Reloads {
		t.Errorf("ended at %v with %d swaps told of %d", *s.Load(), swaps, s.Status().Reloads)
	}
}
