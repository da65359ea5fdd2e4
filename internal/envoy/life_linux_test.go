package envoy

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// starterDir has the folder of the Envoy that this process is to start, instead of
// running tests.
const starterDir = "STARTER_DIR"

// init keeps the process's first thread, which never ends, from starting Envoy.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if dir := os.Getenv(starterDir); dir != "" {
		if err := starter(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		select {}
	}
	os.Exit(m.Run())
}

// starter starts an Envoy, and prints its process id once it serves.
func starter(dir string) error {
	binary, err := Find("../..")
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "bootstrap.json")
	bootstrap := JSON(Object{"admin": Object{"address": Address("127.0.0.1:0")}})
	if err := os.WriteFile(config, []byte(bootstrap), 0o600); err != nil {
		return err
	}
	var e *Envoy
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Without an unlock the thread ends with the goroutine.
		e, err = Start(Options{Binary: binary, Config: config, Dir: dir, Args: []string{"--concurrency", "1"}})
		started <- err
	}()
	if err := <-started; err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.WaitReady(ctx); err != nil {
		return fmt.Errorf("%w; its log says %q", err, e.Log())
	}
	fmt.Println(e.PID())
	return nil
}

// TestLife: Envoy outlives the thread that asked for it, but not the process, however
// that ends.
func TestLife(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), starterDir+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the starter says %q", line)
	}
	if !runs(pid) {
		t.Fatal("Envoy doesn't run while its starter does")
	}
	cmd.Process.Kill()
	_ = cmd.Wait() // It was killed.
	for deadline := time.Now().Add(20 * time.Second); runs(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("Envoy, process %d, runs although its starter is gone", pid)
		}
	}
}

// runs reports whether there is such a process, and it has not ended.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// PID (name) STATE …; a zombie has nobody yet who asks for its end.
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}
