// Package hba reads access rules in the format of PostgreSQL's pg_hba.conf, and
// user name maps in that of pg_ident.conf, and decides by them.
//
// It follows PostgreSQL 18 (documentation, "The pg_hba.conf File" and "User Name
// Maps"): the same tokens, inclusions, keywords, regular expressions and errors,
// and the first rule that fits decides. What differs on purpose is listed in
// docs/authentication.md.
//
// It opens no socket and asks nobody: names of hosts, members of groups and the
// addresses of this machine are asked of a [Lookups], only when a rule needs
// them. Package pgconf cuts files into tokens, and reads them through a [Source]
// while rules are parsed, and never afterwards.
//
// Ownership: [Rules], [Rule] and [Maps] never change once made and are shared
// freely.
package hba
