// Package config reads pgseal's configuration file.
//
// The file is the sum of the Config structs that the other packages own,
// default and validate; this package adds the YAML around them: it is decoded
// strictly, an unknown or repeated key, a second document or a value of the
// wrong kind is an error with its line, and ${NAME} in a value takes an
// environment variable.
//
// It opens no file but the configuration itself: certificates, passwords and
// users are read by whoever uses them.
package config
