package parser

// Kind says what a statement does.
type Kind int

const (
	Unknown Kind = iota // not in the list

	Begin
	Commit
	Rollback
	Savepoint
	RollbackTo
	Release

	Select       // of constants and functions: one row
	SelectTable  // SELECT a FROM t
	SelectSeries // SELECT g FROM generate_series(1, n) g
	Insert

	Set
	Reset
	ResetAll
	Show
	Prepare
	Execute
	Deallocate
	DeallocateAll
	DiscardAll
	DiscardPlans
	DiscardTemp
	DiscardSequences
	Listen
	Unlisten
	Notify
	Declare
	Fetch
	Close
	CopyIn
	CopyOut
	Create
	Drop
	Alter
	Truncate
	Do
)

// Stmt is a parsed statement. It does not change once it is parsed, so that
// sessions share it.
type Stmt struct {
	Kind  Kind
	Text  string
	Tag   string
	Name  string // of a table, setting, savepoint, cursor, statement or channel
	Value string // of SET, payload of NOTIFY
	Items []Expr // of a SELECT
	Inner *Stmt  // of PREPARE, DECLARE, DO
	Args  []Expr // of EXECUTE, INSERT
	N     int    // rows, or the argument of FETCH; -1 for ALL
	Bad   int    // the row that divides by zero
	Type  string // that ALTER TABLE sets

	Params                               int // $1 to $Params
	Local, IsDefault, Temp, DropAtCommit bool
	IfExists, Hold, Returning, Count     bool
	All, Chain                           bool
}

// IsTransaction is IsA(stmt, TransactionStmt). Like IsTransactionExit it may be
// called on nil, which stands for an empty text.
func (s *Stmt) IsTransaction() bool { return s != nil && s.Kind >= Begin && s.Kind <= Release }

// IsTransactionExit reports whether a failed transaction takes the statement.
func (s *Stmt) IsTransactionExit() bool {
	return s != nil && (s.Kind == Commit || s.Kind == Rollback || s.Kind == RollbackTo)
}

// IsUtility reports whether a statement is run by ProcessUtility.
func (s *Stmt) IsUtility() bool {
	switch s.Kind {
	case Select, SelectTable, SelectSeries, Insert, Unknown:
		return false
	}
	return true
}

// Expr is an item of a SELECT, or an argument.
type Expr struct {
	Kind  ExprKind
	Value string   // of a literal
	Param int      // its number, 0 where it is none
	Func  string   // of a Call
	Args  []string // of a Call: literals
}

// ExprKind says what an Expr is.
type ExprKind byte

const (
	Number ExprKind = iota
	String
	Boolean
	Param
	Call
)

// Parse is pg_parse_query. What is not in the list comes as Unknown, with its
// text and the number of its parameters. An empty text holds no statement.
func Parse(text string) (list []*Stmt) {
	for _, piece := range split(text) {
		tokens := tokenize(piece)
		if len(tokens) == 0 {
			continue
		}
		s := (&parser{tokens: tokens}).statement()
		if s == nil {
			s = &Stmt{Params: countParams(tokens)}
		}
		s.Text = piece
		list = append(list, s)
	}
	return list
}

func countParams(tokens []token) int {
	n := 0
	for _, t := range tokens {
		if t.kind == tokenParam {
			n = max(n, t.number())
		}
	}
	return n
}

// TruncateIdentifier cuts a name to NAMEDATALEN-1 bytes, all that count of it.
func TruncateIdentifier(name string) string { return name[:min(len(name), 63)] }
