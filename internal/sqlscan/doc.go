// Package sqlscan tells from the text of SQL statements what they may leave
// in the session: parameters, temporary objects, locks and whatever else
// outlives the transaction. It is a lexer with a little sense of which word
// begins a statement, not a parser: it never refuses a text and never
// allocates.
//
// It errs on the side of reporting. PostgreSQL can be asked afterwards what a
// session really holds, so a false alarm costs a round trip, while a miss hands
// one client's state to the next. If PostgreSQL's lexer could read the text
// in two ways (standard_conforming_strings off, a client encoding whose
// characters end in a backslash) the result has the bit [Ambiguous].
//
// A second group of effects tells what has to be known to pass a text on,
// prepare it elsewhere or put something beside it: whether it is one statement,
// ends the transaction, asks for COPY data, changes what parse analysis reads or
// depends on when that is done. [NameRefs] finds the names of prepared
// statements in it. The scan knows where a word means that, so that names of
// columns, strings and comments raise no alarm; where a text is [Ambiguous] or
// [Hidden], only [CopyIn] is reported on suspicion.
//
// [Calls] comes of any function that is not on a list of PostgreSQL's own, where
// a name and a parenthesis are a call rather than a table with columns, an alias
// or a type. Functions behind operators, casts, views, triggers and defaults are
// not seen, nor one that a schema of the user's has under the name of a built-in
// one with arguments that fit better.
//
// It relies on PostgreSQL parsing a whole query string before it runs any of
// it: a text with a syntax error has no effect, so it does not matter what the
// scan makes of one.
//
// Not seen is what a function, trigger or rule does inside, except that DO,
// CALL and the functions of PostgreSQL which run a text as SQL are reported as
// [Opaque]; nor a CREATE that makes a temporary object only because search_path
// begins with pg_temp.
//
// It knows neither protocol nor sockets and imports none of our packages.
package sqlscan
