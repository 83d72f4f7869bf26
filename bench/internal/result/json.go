package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
)

// maxFile bounds what ReadJSON takes, in bytes. A run of every scenario with a
// hundred rounds stays below a tenth of it.
const maxFile = 64 << 20

// ErrVersion says that a file was written for another layout.
var ErrVersion = errors.New("layout of another version")

// WriteJSON writes the run as results.json, indented, so that two of them can
// be told apart with diff. A figure that is not a finite number is left out:
// JSON has no word for it, and every reader treats it as missing. The run
// itself is not changed.
func WriteJSON(w io.Writer, run *Run) error {
	clean := *run
	clean.Version = Version
	clean.Cases = make([]Case, len(run.Cases))
	for i, c := range run.Cases {
		clean.Cases[i] = finiteCase(c)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&clean); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

func finiteCase(c Case) Case {
	rounds := make([]Round, len(c.Rounds))
	for i, round := range c.Rounds {
		samples := make([]Sample, len(round.Samples))
		for j, s := range round.Samples {
			s.Metrics = maps.Clone(s.Metrics)
			maps.DeleteFunc(s.Metrics, func(_ string, v float64) bool { return !finite(v) })
			samples[j] = s
		}
		rounds[i] = Round{Samples: samples}
	}
	c.Rounds = rounds
	return c
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// ReadJSON reads what WriteJSON wrote. It answers ErrVersion for another
// layout, and an error for anything larger than 64 MiB, anything that is not
// one JSON object, and a run without targets. Fields that it does not know are
// ignored, because a newer program of the same layout may write more.
func ReadJSON(r io.Reader) (*Run, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read results: more than %d MiB", maxFile>>20)
	}
	var run Run
	if err := json.Unmarshal(data, &run); err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	if run.Version != Version {
		return nil, fmt.Errorf("read results: %w: %d, this program reads %d", ErrVersion, run.Version, Version)
	}
	if len(run.Targets) == 0 {
		return nil, errors.New("read results: no targets in it")
	}
	return &run, nil
}
