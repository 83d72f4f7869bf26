// Package resulttest makes runs for tests: every scenario, every target, a
// little noise from a fixed seed. The figures are made up and mean nothing;
// nothing outside of tests may import it, and nothing in it may be quoted.
package resulttest
