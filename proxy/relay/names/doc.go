// Package names knows a client's prepared statements by the names that it gives
// them: what each stands for, on this server or on any, what may change that when
// the server answers, and what each does to other names when it runs; and its
// portals, as far as they do. It counts the memory that the texts take. It sends
// nothing.
package names
