package login

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/pgseal/pgseal/proxy/guard"
)

func TestEachReasonHasANameThatTheDocumentationHasAndAnOutcome(t *testing.T) {
	doc, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	for reason := range Reason(numberOfReasons) {
		outcome := (&Refusal{Reason: reason}).Outcome()
		if name := reason.String(); name == "" || !strings.Contains(string(doc), "`"+name+"`") || outcome == "" {
			t.Errorf("reason %d is %q, counted as %q", reason, name, outcome)
		}
	}
}

func TestARefusedProofIsCountedAsOneOfItsKind(t *testing.T) {
	for _, c := range []struct {
		kind    Reason
		why     *guard.FailedProof
		reason  Reason
		outcome string
	}{
		{WrongPassword, &guard.FailedProof{Reason: guard.UnknownRole}, UnknownRole, OutcomePassword},
		{WrongPassword, guard.ErrSourceCapped, SourceCapped, OutcomePassword},
		{WrongCertificate, guard.ErrRoleCapped, RoleCapped, OutcomeRefused},
		{WrongPeer, &guard.FailedProof{Reason: guard.WrongPeer}, WrongPeer, OutcomeRefused},
		{LDAPRefused, &guard.FailedProof{Reason: guard.LDAPRefused}, LDAPRefused, OutcomeRefused},
	} {
		r := refuseProof(c.kind, c.why, nil)
		if r.Reason != c.reason || r.Outcome() != c.outcome || r.Cause != c.why || !r.OfProof() {
			t.Errorf("%v of kind %v is %v, counted as %s", c.why, c.kind, r.Reason, r.Outcome())
		}
	}
}

func TestTheConnectionOfALoginIslost(t *testing.T) {
	for err, want := range map[error]error{
		os.ErrDeadlineExceeded: ErrTimeout, io.EOF: ErrLeft, io.ErrUnexpectedEOF: ErrLeft, syscall.ECONNRESET: ErrLeft, syscall.EPIPE: ErrLeft,
	} {
		if got := lost(err); got != want {
			t.Errorf("%v is %v, want %v", err, got, want)
		}
	}
	cause := errors.New("no space")
	if r, ok := lost(cause).(*Refusal); !ok || r.Reason != Internal || r.Cause != cause || strings.Contains(r.Told.Message, "space") {
		t.Errorf("got %+v", r)
	}
}
