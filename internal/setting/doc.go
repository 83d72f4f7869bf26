// Package setting holds what the blocks of the configuration have in common:
// errors that name a key, the checks that many keys share, and sizes in bytes.
//
// Each package that has a block of the configuration validates it with these;
// package config adds the file and the line. It knows none of the keys, and
// imports nothing of ours.
package setting
