// Package run makes a benchmark run: it starts what is to be measured, lets
// the targets take turns for several rounds (A B C A B C …), keeps what went
// wrong beside the figures, and puts everything into one result.Run.
//
// An error in a sample never ends the run; a cancelled context does, and what
// was measured until then is kept. It writes no file and parses no flags.
package run
