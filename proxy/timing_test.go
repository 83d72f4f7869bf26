package proxy

import (
	"crypto/rand"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/proxy/login"
)

// The test of timing asks for a difference between distributions, in the way of
// Mann and Whitney, over a fixed number of samples. By chance alone it finds one
// in a ten-thousandth of all comparisons.
const (
	timingRounds   = 2000 // samples of each kind
	timingStrength = 3.89 // of a normal distribution, two-sided: level 0.0001
	timingPlanted  = 20 * time.Microsecond
)

// mannWhitney returns how many standard deviations the rank sum of a is from
// what it would be if a and b were of the same distribution.
func mannWhitney(a, b []time.Duration) float64 {
	type sample struct {
		value time.Duration
		ofA   bool
	}
	var all []sample
	for _, v := range a {
		all = append(all, sample{v, true})
	}
	for _, v := range b {
		all = append(all, sample{v, false})
	}
	slices.SortFunc(all, func(x, y sample) int { return int(x.value - y.value) })
	n, m := float64(len(a)), float64(len(b))
	var sum, ties float64
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].value == all[i].value {
			j++
		}
		rank, tied := float64(i+j+1)/2, float64(j-i)
		for _, s := range all[i:j] {
			if s.ofA {
				sum += rank
			}
		}
		ties += tied*tied*tied - tied
		i = j
	}
	mean := n * (n + m + 1) / 2
	variance := n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1)))
	return (sum - mean) / math.Sqrt(variance)
}

func TestTheStatisticsFindsADifferenceAndNotItsAbsence(t *testing.T) {
	sequence := func(from, step, n int) (list []time.Duration) {
		for i := range n {
			list = append(list, time.Duration(from+i*step))
		}
		return list
	}
	// By hand: the ranks of a are 1, 2, 3 of 6; mean 10.5, variance 5.25.
	if z := mannWhitney(sequence(1, 1, 3), sequence(10, 1, 3)); math.Abs(z-(6-10.5)/math.Sqrt(5.25)) > 1e-9 {
		t.Errorf("z is %v", z)
	}
	if z := mannWhitney(sequence(0, 2, 1000), sequence(1, 2, 1000)); math.Abs(z) > 0.1 {
		t.Errorf("z of interleaved samples is %v", z)
	}
	if z := mannWhitney(sequence(5, 0, 1000), append(sequence(5, 0, 999), 6)); math.Abs(z) > 1.1 {
		t.Errorf("z of ties is %v", z)
	}
	if z := mannWhitney(sequence(0, 1, 1000), sequence(100, 1, 1000)); z > -timingStrength {
		t.Errorf("z of a tenth more is %v", z)
	}
}

// attemptTimes are what a stranger sees of a login that fails: from the startup
// packet to the request for SCRAM, from the first message to the salt, and from
// the proof to the refusal.
type attemptTimes [3]time.Duration

func (h *house) timed(user, database string, planted time.Duration) (took attemptTimes) {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.listener.Addr().String())
	ok(h.t, err)
	defer conn.Close()
	x := auth.NewClientExchangeFromKeys(make([]byte, 32), make([]byte, 32))
	first := string(x.First())
	send := packet(version3, "user", user, "database", database)
	for i := range took {
		began := time.Now()
		_, err := io.WriteString(conn, send)
		ok(h.t, err)
		typ, body, err := readMsg(conn)
		ok(h.t, err)
		for end := time.Now().Add(planted); planted > 0 && time.Now().Before(end); {
		}
		took[i] = time.Since(began)
		switch {
		case i == 0:
			send = msg('p', "SCRAM-SHA-256\x00", size(first), first)
		case i == 1:
			final, err := x.Respond([]byte(body[4:]))
			ok(h.t, err)
			send = msg('p', string(final))
		case typ != 'E' || !strings.Contains(body, "C28P01\x00"):
			h.t.Fatalf("the attempt ends in %q %q", typ, body)
		}
	}
	return took
}

func TestNoTimeOfALoginTellsAnUnknownRoleOrDatabaseFromAWrongPassword(t *testing.T) {
	h := open(t, func(p *plan) { p.mode = "disable" }) // TLS would only blur it
	random := func(n int) []byte { b := make([]byte, n); rand.Read(b); return b }
	var file strings.Builder
	for n := range timingRounds {
		secret := auth.Secret{Iterations: auth.DefaultIterations, Salt: random(16), StoredKey: random(32), ServerKey: random(32)}
		fmt.Fprintf(&file, "\"user%04d\" \"%s\"\n", n, secret.Encode())
	}
	users, err := auth.ParseUsers("users", []byte(file.String()), testMocker, nil)
	ok(t, err)
	settings := *h.proxy.settings.Load()
	settings.Users, settings.Auth = users, login.Config{AuthDelay: time.Millisecond}
	h.proxy.Configure(settings)

	kinds := []struct {
		name           string
		user, database string
		planted        time.Duration
	}{
		{"a wrong password", "user%04d", "app", 0},
		{"an unknown role", "nope%04d", "app", 0},
		{"an unknown database", "user%04d", "bad", 0},
		{"the control", "user%04d", "app", timingPlanted},
	}
	samples := make([]attemptTimesList, len(kinds))
	for n := range timingRounds { // each role comes once for each kind
		for _, k := range mathrand.Perm(len(kinds)) { // whom a kind comes after is left to chance
			who := (n + k*timingRounds/len(kinds)) % timingRounds
			samples[k].add(h.timed(fmt.Sprintf(kinds[k].user, who), kinds[k].database, kinds[k].planted))
		}
	}
	for step, what := range []string{"request for SCRAM", "salt", "refusal"} {
		for k, kind := range kinds[1:] {
			z := mannWhitney(samples[0][step], samples[k+1][step])
			t.Logf("time to the %s: %s %v, %s %v, z = %.2f", what, kinds[0].name, median(samples[0][step]), kind.name, median(samples[k+1][step]), z)
			if found := math.Abs(z) > timingStrength; found != (kind.planted > 0) {
				t.Errorf("time to the %s: %s differs from %s: %t", what, kind.name, kinds[0].name, found)
			}
		}
	}
}

type attemptTimesList [3][]time.Duration

func (l *attemptTimesList) add(took attemptTimes) {
	for i := range took {
		l[i] = append(l[i], took[i])
	}
}

func median(list []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}
