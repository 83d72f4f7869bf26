package integration

import (
	"fmt"
	"slices"
	"testing"
)

// scenario is a dialogue of a kind of which some poolers have got one or the
// other wrong. It is played on connections of their own and through pgseal.
type scenario struct {
	name  string
	text  string
	modes []string // transaction only where empty
	pools []int    // of one and of two servers where empty
}

var allModes = []string{"transaction", "session"}

// scenarios are all of them.
var scenarios = slices.Concat(copyScenarios, batchScenarios, statementScenarios, startupScenarios, unseenScenarios,
	readingScenarios(), momentScenarios(), resetScenarios(), leavingScenarios(), cancelScenarios, attackScenarios, nameScenarios)

// stands are the pools that a scenario is played through, each under an entry
// of its own: none begins with the servers of another.
func (s scenario) stands(i int) map[string]settings {
	modes, pools := s.modes, s.pools
	if modes == nil {
		modes = []string{"transaction"}
	}
	if pools == nil {
		pools = []int{1, 2}
	}
	list := map[string]settings{}
	for _, mode := range modes {
		for _, servers := range pools {
			if mode == "session" {
				servers = 9 // each client has one
			}
			list[fmt.Sprintf("%s-%d-%d", mode, servers, i)] = settings{"pool_mode": mode, "pool_size": fmt.Sprint(servers)}
		}
	}
	return list
}

func TestEachClientReadsWhatItReadsOnAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	onAllVersions(t, func(t *testing.T, pg *postgres) {
		list := newJudges(t, pg, "scenarios")
		pgseals := map[*judge]*pgseal{}
		for _, j := range list {
			databases := map[string]settings{}
			for i, s := range scenarios {
				for entry, stand := range s.stands(i) {
					databases[entry] = stand.with(settings{"dbname": j.pooled.name})
				}
			}
			pgseals[j] = start(t, pg, options{users: map[string]string{"app": appSecret()}, databases: databases, pool: settings{"query_wait_notify": "0s"}})
		}
		shareOut(list, len(scenarios), func(j *judge, i int) bool {
			s := scenarios[i]
			t.Run(s.name, func(t *testing.T) {
				steps := parseDialogue(s.text).ended()
				answers := j.hears(t, steps)
				if pg.version == versions[0] { // two connections of their own read the same
					t.Run("direct", func(t *testing.T) { j.judges(t, steps, answers) })
				}
				for entry := range s.stands(i) {
					t.Run(entry, func(t *testing.T) { j.through(pgseals[j], entry, answerLimit).judges(t, steps, answers) })
				}
			})
			return true
		})
	})
}
