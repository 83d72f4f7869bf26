//go:build !linux

package engine

import "go.uber.org/zap"

// New returns the portable engine: there are no event loops for this system.
func New(log *zap.Logger, _ int) (Engine, error) { return NewPortable(log), nil }
