package pgcluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// ownerMode has the test program be the owner of a cluster that the test
// kills.
const ownerMode = "PGCLUSTER_TEST_OWNER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerMode); dir != "" {
		ownCluster(dir)
	}
	os.Exit(m.Run())
}

func ownCluster(dir string) {
	c, err := Start(context.Background(), Options{Dir: dir, Password: password})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.Port())
	select {}
}

func TestTheServerEndsWhenItsOwnerIsKilled(t *testing.T) {
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerMode+"="+serverDir(t))
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	port, err2 := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || err2 != nil {
		owner.Process.Kill()
		t.Fatalf("the owner said %q, %v", line, err)
	}
	session := connect(t, &Cluster{port: port})
	login(t, session, password)
	owner.Process.Kill()
	owner.Wait()
	// The session has a deadline: a server that lives on fails the test.
	if _, err := io.Copy(io.Discard, session); err != nil {
		t.Errorf("the session did not end: %v", err)
	}
}
