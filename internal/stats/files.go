package stats

import "time"

// ReloadStatus is what became of what is made of files, each time that it was read
// again.
type ReloadStatus struct {
	// LoadedAt is when the value in force was loaded.
	LoadedAt time.Time
	// LastError is why the files as they are now are refused, nil if they are
	// those in force. LastErrorAt is when that was first seen; it outlives the
	// error.
	LastError   error
	LastErrorAt time.Time
	// Reloads counts new values taken, without the initial one. Failures
	// counts broken contents, each once however often it was read.
	Reloads, Failures uint64
}

// Files is something that is made of files, and reloaded by itself.
type Files struct {
	Name   string
	Status ReloadStatus
	Expiry Expiry
}

// Expiry is when the first of each kind of what is in force ceases to be valid.
// It is zero where there is none of the kind, or where it does not say.
type Expiry struct {
	Certificate time.Time // shown to the other side, with its chain
	Authority   time.Time // by which the other side is verified
	CRL         time.Time // its next update is due
}

// Kinds of a Certificate.
const (
	KindCertificate = "certificate" // shown to the other side, with a key
	KindAuthority   = "authority"   // trusted
	KindCRL         = "crl"
)

// Certificate is a certificate or CRL that is in force, by public facts.
type Certificate struct {
	Where           string       // who uses it
	Status          ReloadStatus // of the files that it came from
	Kind, File      string
	Subject, Issuer string
	Names           []string // alternative names
	Serial          string   // in hex
	Fingerprint     string   // SHA-256, in hex
	NotBefore       time.Time
	NotAfter        time.Time // for a CRL when the next is due; zero: it does not say
}
