package login

import (
	"strings"
	"testing"
	"time"
)

func TestAuthSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	ok(t, DefaultConfig().Validate())
	for want, c := range map[string]Config{
		"auth_delay":                   {AuthDelay: -1},
		"(0s .. ":                      {AuthDelay: time.Hour},
		"max_failed_logins_per_source": {MaxFailedPerSource: -1},
		"max_failed_logins_per_role":   {MaxFailedPerRole: 1 << 40},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
