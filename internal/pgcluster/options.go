package pgcluster

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Options say what cluster to start.
type Options struct {
	// BinDir holds initdb and postgres; "" stands for Find("").
	BinDir string
	// Dir is where the cluster's directory is made; the user that runs
	// PostgreSQL must be able to enter it. "" picks a temporary directory.
	Dir string

	// ServerCert and ServerKey are a PEM pair. Without one the server has no
	// TLS.
	ServerCert, ServerKey []byte
	// RootCA is PEM for ssl_ca_file: the authorities of client certificates.
	RootCA []byte

	// Password is that of the superuser "postgres", kept as a SCRAM-SHA-256
	// secret. It may not be empty.
	Password string
	// HBA are the lines of pg_hba.conf. nil stands for password logins by
	// SCRAM over TLS only, or over plain TCP where the server has no TLS.
	HBA []string
	// Settings go to postgresql.conf, values unquoted. They can change any
	// setting but those that this package depends on: where the server
	// listens and where it logs.
	Settings map[string]string

	// Log receives the server's log as it is written. It must not block:
	// the server waits for it.
	Log io.Writer
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

func (o Options) tls() bool { return len(o.ServerCert) > 0 }

func (o Options) check() error {
	if o.Password == "" || strings.ContainsAny(o.Password, "\r\n\x00") {
		return errors.New("the superuser's password is empty or more than one line")
	}
	if o.tls() != (len(o.ServerKey) > 0) {
		return errors.New("a server certificate needs its key and the key its certificate")
	}
	if len(o.RootCA) > 0 && !o.tls() {
		return errors.New("a root certificate is of no use without a server certificate")
	}
	for name, value := range o.Settings {
		if !settingName.MatchString(name) || strings.Contains(value, "\x00") {
			return fmt.Errorf("setting %q cannot be written to postgresql.conf", name)
		}
	}
	return nil
}

func (o Options) hba() string {
	lines := o.HBA
	if lines == nil {
		kind := "host"
		if o.tls() {
			kind = "hostssl"
		}
		lines = []string{
			kind + " all all 127.0.0.1/32 scram-sha-256",
			kind + " all all ::1/128 scram-sha-256",
			"local all all scram-sha-256",
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// conf returns the text that goes below initdb's postgresql.conf. Of a setting
// given twice the server takes the last.
func (o Options) conf(socketDir string) string {
	var b strings.Builder
	write := func(settings map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			fmt.Fprintf(&b, "%s = %s\n", name, quoteSetting(settings[name]))
		}
	}
	write(o.defaults())
	write(o.Settings)
	write(map[string]string{
		"listen_addresses":        host,
		"log_destination":         "stderr",
		"logging_collector":       "off",
		"unix_socket_directories": socketDir,
	})
	return b.String()
}

func (o Options) defaults() map[string]string {
	settings := map[string]string{
		"fsync":               "off",
		"full_page_writes":    "off",
		"max_connections":     "100",
		"password_encryption": "scram-sha-256",
		"synchronous_commit":  "off",
	}
	if o.tls() {
		settings["ssl"] = "on"
		settings["ssl_cert_file"] = certFile
		settings["ssl_key_file"] = keyFile
	}
	if len(o.RootCA) > 0 {
		settings["ssl_ca_file"] = rootFile
	}
	return settings
}

// quoteSetting writes a value as a string of postgresql.conf (PostgreSQL
// documentation, chapter "Server Configuration", section 1.2).
func quoteSetting(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\n", `\n`, "\r", `\r`).Replace(value) + "'"
}

// pidFile is what postmaster.pid tells: which process wrote it, the port, and
// the postmaster's state (PostgreSQL source, miscadmin.h, LOCK_FILE_LINE_*).
type pidFile struct {
	pid, port int
	status    string
}

// parsePIDFile reads postmaster.pid, which grows line by line while the server
// starts; what is not there yet is zero.
func parsePIDFile(data []byte) pidFile {
	lines := strings.Split(string(data)+strings.Repeat("\n", 8), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(lines[0]))
	port, _ := strconv.Atoi(strings.TrimSpace(lines[3]))
	return pidFile{pid: pid, port: port, status: strings.TrimSpace(lines[7])}
}
