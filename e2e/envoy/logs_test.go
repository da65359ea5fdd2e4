package envoy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestLoggedOnce: five VMs take each configuration, one of each worker and one of the main
// thread, after one that is thrown away. One logs what comes of it: at the start, at an
// update, when an earlier configuration comes back, and when one is refused, each time.
func TestLoggedOnce(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	by, file := deliveries[0], filepath.Join(t.TempDir(), "resource.json")
	move := func(config string) {
		t.Helper()
		text := envoytest.JSON(map[string]any{"resources": []any{by.resource(plugin(t, config))}})
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	origin := func(n int) string { return fmt.Sprintf("https://app-%d.example", n) }
	// The second origin leave one out, which is a warning.
	doubtful := func(n int) string { return fmt.Sprintf(`{"allow_origins": [%q, %[1]q]}`, origin(n)) }
	move(doubtful(0))
	bootstrap := by.bootstrap(file)
	bootstrap.Upstream = upstream.Addr()
	bootstrap.Extra = map[string]any{"node": map[string]any{"id": "test", "cluster": "test"}}
	envoy := envoytest.Start(t, bootstrap.String(), envoytest.Options{Concurrency: 4})
	said := map[string]int{"serving 1 policy": 0, "leave one out": 0, "is refused": 0, "contains white space": 0}
	for i, update := range []struct {
		serves int
		bad    bool
	}{{0, false}, {1, false}, {0, false}, {0, true}, {1, false}, {1, true}, {0, false}} {
		switch {
		case update.bad:
			move(fmt.Sprintf(`{"allow_origins": ["no origin"], "max_age": %d}`, i))
			said["is refused"]++
			said["contains white space"]++
			envoytest.Eventually(t, 20*time.Second, "the configuration is refused", func() bool {
				return strings.Count(envoy.Log(), "is refused") >= said["is refused"]
			})
		default:
			if i > 0 {
				move(doubtful(update.serves))
			}
			said["serving 1 policy"]++
			said["leave one out"]++
			envoytest.Eventually(t, 20*time.Second, "the configuration serves in every worker", func() bool {
				return everyWorker(func() bool {
					response, err := envoytest.HTTP1(envoy.Addr(t, "main"),
						cases.Request{Headers: [][2]string{{"origin", origin(update.serves)}}})
					if err != nil {
						t.Fatal(err)
					}
					return len(response.Values("access-control-allow-origin")) == 1
				})
			})
		}
		for line, want := range said {
			if got := strings.Count(envoy.Log(), line); got != want {
				t.Errorf("after update %d, %q is logged %d times, want %d", i, line, got, want)
			}
		}
	}
}
