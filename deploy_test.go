package pgseal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pgseal/pgseal/internal/config"
)

// manifest is what the tests below read of a Kubernetes object.
type manifest struct {
	Data map[string]string
	Spec struct{ Template struct{ Spec podSpec } }
}

type podSpec struct {
	InitContainers, Containers []container
	Volumes                    []struct{ Name string }
}

type container struct {
	Name  string
	Args  []string
	Ports []struct {
		Name          string
		ContainerPort int
	}
	StartupProbe, LivenessProbe, ReadinessProbe *probe
	VolumeMounts                                []struct{ Name, MountPath string }
}

type probe struct {
	HTTPGet struct{ Path, Port, Scheme string }
}

// manifests reads a file as Kubernetes does: YAML stands for JSON.
func manifests(t *testing.T, file string) (list []manifest) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var object any
		if err := d.Decode(&object); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var m manifest
		b, err := json.Marshal(object)
		if err != nil || json.Unmarshal(b, &m) != nil {
			t.Fatalf("%s: %v, %s", file, err, b)
		}
		list = append(list, m)
	}
}

// deployment is pgseal's container in a file of manifests, and its
// configuration as written there.
func deployment(t *testing.T, file string) (pod podSpec, c container, text string) {
	t.Helper()
	for _, m := range manifests(t, file) {
		text += m.Data["config.yaml"]
		pod = m.Spec.Template.Spec
		for _, one := range append(pod.InitContainers, pod.Containers...) {
			if one.Name == "pgseal" {
				return pod, one, text
			}
		}
	}
	t.Fatalf("%s: no container is called pgseal", file)
	return pod, c, text
}

// mounted returns the volume of a container that a file comes from.
func (c container) mounted(file string) string {
	for _, m := range c.VolumeMounts {
		if path.Dir(file) == m.MountPath {
			return m.Name
		}
	}
	return ""
}

var namedFile = regexp.MustCompile(`(?m)^\s*-?\s*(?:\w+_file|sslrootcert|address): (?:unix:)?(/\S+)`)

func TestTheManifestsForKubernetesMatchTheirConfiguration(t *testing.T) {
	for _, file := range []string{"deploy/kubernetes/service.yaml", "deploy/kubernetes/sidecar.yaml"} {
		pod, c, text := deployment(t, file)
		f, err := config.Parse(file, []byte(text), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if len(c.Args) != 3 || c.Args[0] != "serve" || c.Args[1] != "--config" || path.Base(c.Args[2]) != "config.yaml" {
			t.Fatalf("%s: pgseal is started by %q", file, c.Args)
		}
		for _, named := range append(namedFile.FindAllStringSubmatch(text, -1), []string{"", c.Args[2]}) {
			volume := c.mounted(named[1])
			if !slices.ContainsFunc(pod.Volumes, func(v struct{ Name string }) bool { return v.Name == volume }) {
				t.Errorf("%s: no volume holds %s", file, named[1])
			}
		}
		checkPorts(t, file, c, f)
	}
}

// checkPorts compares a container's ports and probes with the addresses that
// pgseal is told to listen on.
func checkPorts(t *testing.T, file string, c container, f config.File) {
	t.Helper()
	_, web, _ := net.SplitHostPort(f.HTTP.Address)
	listens := map[string]bool{web: true}
	for _, l := range f.Listen {
		if _, port, err := net.SplitHostPort(l.Address); err == nil && !strings.HasPrefix(l.Address, "unix:") {
			listens[port] = true
		}
	}
	number := map[string]string{}
	for _, p := range c.Ports {
		number[p.Name] = strconv.Itoa(p.ContainerPort)
		if !listens[number[p.Name]] {
			t.Errorf("%s: pgseal does not listen on port %d", file, p.ContainerPort)
		}
	}
	if len(number) != len(listens) {
		t.Errorf("%s: ports %v, but pgseal listens on %v", file, number, listens)
	}
	scheme := ""
	if f.HTTP.TLS.CertFile != "" {
		scheme = "HTTPS"
	}
	if c.StartupProbe == nil || c.LivenessProbe == nil {
		t.Fatalf("%s: a probe is missing", file)
	}
	for want, p := range map[string]*probe{"/startupz": c.StartupProbe, "/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if p == nil {
			continue
		}
		if get := p.HTTPGet; get.Path != want || number[get.Port] != web || get.Scheme != scheme {
			t.Errorf("%s: the probe of %s asks %+v", file, want, get)
		}
	}
}

func TestSystemdStartsPgsealAsTheImageDoes(t *testing.T) {
	unit, err := os.ReadFile("deploy/systemd/pgseal.service")
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindSubmatch(unit)
	entry := regexp.MustCompile(`(?m)^ENTRYPOINT \[(.*)\]\nCMD \[(.*)\]$`).FindSubmatch(image)
	if start == nil || entry == nil {
		t.Fatal("no ExecStart, or no ENTRYPOINT and CMD")
	}
	words := strings.NewReplacer(`"`, "", ",", "").Replace(string(entry[1]) + " " + string(entry[2]))
	if string(start[1]) != words {
		t.Errorf("systemd starts %q, the image %q", start[1], words)
	}
	if !filepath.IsAbs(strings.Fields(words)[0]) {
		t.Errorf("%q is no path that systemd takes", words)
	}
}
