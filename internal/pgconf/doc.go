// Package pgconf cuts the configuration files that PostgreSQL has beside
// postgresql.conf into lines, fields and tokens: pg_hba.conf and pg_ident.conf.
// They share their comments, quotes, continued lines, lists and
// inclusions (documentation, "The pg_hba.conf File").
//
// What the fields mean is for its callers to say. It opens no file itself: files
// come from a [Source], only while Read or ReadText runs.
//
// Ownership: lines and tokens belong to the caller.
package pgconf
