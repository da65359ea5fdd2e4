package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// serve starts a registry on loopback behind what may refuse a request, and returns its
// host and port. The machine's own credentials aren't used.
func serve(t *testing.T, refuse func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(t.TempDir(), "none"))
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse == nil || !refuse(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// pushed runs the command's push, and returns what it prints.
func pushed(t *testing.T, folder, image string, flags ...string) (string, error) {
	t.Helper()
	var stdout strings.Builder
	err := run(t.Context(), append([]string{"push", folder, image}, flags...), &stdout)
	return stdout.String(), err
}

// wantThere tests which module a tag has, "" for no such tag.
func wantThere(t *testing.T, image, want string) {
	t.Helper()
	tag, err := name.NewTag(image)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(tag)
	if err != nil {
		refused, ok := errors.AsType[*transport.Error](err)
		if !ok || refused.StatusCode != http.StatusNotFound || want != "" {
			t.Errorf("%s: %v", image, err)
		}
		return
	}
	if _, got := plugin(t, img); !bytes.Equal(got, wasmModule(want)) {
		t.Errorf("%s has %q, want %q", image, got, want)
	}
}

// TestPush: what is pulled is what was pushed. Another image takes a tag only if told to.
func TestPush(t *testing.T) {
	image := serve(t, nil) + "/team/cors:v1"
	one, printed := write(t, wasmModule("one"))
	for _, want := range []string{"was pushed", "was there already"} {
		got, err := pushed(t, one, image)
		if err != nil || !strings.HasPrefix(got, image+"@sha256:") || !strings.Contains(got, want) {
			t.Fatalf("printed %q, error %v", got, err)
		}
		_, digest, _ := strings.Cut(strings.Fields(got)[0], "@sha256:")
		if !strings.Contains(printed, "WasmPlugin: sha256                               "+digest+"\n") {
			t.Errorf("pushed %s, and write printed:\n%s", digest, printed)
		}
		wantThere(t, image, "one")
	}
	another, _ := write(t, wasmModule("another"))
	_, err := pushed(t, another, image)
	wantError(t, err, "nothing was pushed: "+image+" is there, as another image (sha256:")
	wantError(t, err, `or replace it by "make push IMAGE=`+image+` PUSHFLAGS=--overwrite"`)
	wantThere(t, image, "one")
	if _, err := pushed(t, another, image, "--overwrite"); err != nil {
		t.Fatal(err)
	}
	wantThere(t, image, "another")
}

// TestPushNames: what is no name is told before any registry is asked.
func TestPushNames(t *testing.T) {
	folder, _ := write(t, wasmModule(""))
	for _, test := range []struct{ image, want string }{
		{"", `"" is no name of an image: `},
		{"registry.example/cors", "write registry/name:tag, such as IMAGE=registry.example/cors:v1.0.0"},
		{"cors:v1", "write registry/name:tag"},
		{"https://registry.example/cors:v1", "leave out the scheme, IMAGE=registry.example/cors:v1"},
		{"registry.example/Cors:v1", "write registry/name:tag"},
		{"registry.example/cors@sha256:" + strings.Repeat("0", 64), "write registry/name:tag"},
		{"oci://registry.example/cors:v1", "leave out the scheme, IMAGE=registry.example/cors:v1"},
	} {
		_, err := pushed(t, folder, test.image)
		wantError(t, err, test.want)
	}
}

// TestPushFolders: a layout that isn't whole isn't pushed.
func TestPushFolders(t *testing.T) {
	asked := 0
	image := serve(t, func(http.ResponseWriter, *http.Request) bool { asked++; return false }) + "/cors:v1"
	_, err := pushed(t, t.TempDir(), image)
	wantError(t, err, `has no image: `)
	wantError(t, err, `run "make image"`)
	folder, _ := write(t, wasmModule(""))
	for name, damage := range map[string]func(content []byte) []byte{
		"another byte": func(content []byte) []byte { content[len(content)/2] ^= 1; return content },
		"a byte more":  func(content []byte) []byte { return append(content, '\n') },
		"a byte less":  func(content []byte) []byte { return content[1:] },
		"nothing":      func([]byte) []byte { return nil },
	} {
		for path := range files(t, folder) {
			if path == "oci-layout" || path == "index.json" && name != "a byte less" && name != "nothing" {
				continue // still an index that names this image
			}
			path = filepath.Join(folder, path)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(bytes.Clone(content)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = pushed(t, folder, image)
			wantError(t, err, folder+" is damaged: ")
			wantError(t, err, `run "make image"`)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := readLayout(folder); err != nil {
		t.Error(err)
	}
	if asked > 0 {
		t.Errorf("the registry was asked %d times", asked)
	}
}

// TestPushAway: a registry that isn't there, or doesn't answer.
func TestPushAway(t *testing.T) {
	folder, _ := write(t, wasmModule(""))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := listener.Addr().String()
	t.Cleanup(func() { listener.Close() }) // it accepts, and never answers
	_, err = pushed(t, folder, away+"/cors:v1", "--timeout", "300ms")
	wantError(t, err, "nothing was pushed: "+away+" takes too long: ")
	wantError(t, err, "PUSHFLAGS=--timeout=10m")
	listener.Close()
	_, err = pushed(t, folder, away+"/cors:v1")
	wantError(t, err, "nothing was pushed: "+away+" can't be reached: ")
	wantError(t, err, "connection refused; is this the registry's name and port, and is it running?")
}

// TestPushWithoutTLS: a registry elsewhere is asked without TLS only if told so, at a
// private address too.
func TestPushWithoutTLS(t *testing.T) {
	for _, test := range []struct {
		url   string
		local bool
	}{
		{"http://127.0.0.1:5000/v2/", true},
		{"http://[::1]:5000/v2/", true},
		{"http://localhost:5000/v2/", true},
		{"http://registry.localhost/v2/", true},
		{"https://registry.example/v2/", true},
		{"http://registry.example/v2/", false},
		{"http://192.168.0.7:5000/v2/", false},
		{"http://10.0.0.7/v2/", false},
		{"http://notlocalhost/v2/", false},
	} {
		sent := false
		client := http.Client{Transport: tlsOnly{roundTripper(func(*http.Request) (*http.Response, error) {
			sent = true
			return &http.Response{Body: http.NoBody}, nil
		})}}
		_, err := client.Get(test.url)
		if sent != test.local {
			t.Errorf("%s: sent %t, error %v", test.url, sent, err)
		}
		if !test.local {
			wantError(t, err, "PUSHFLAGS=--plain-http")
		}
	}
	// 127.0.0.2 is as far away as the library sees.
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	server.Listener = listener
	server.Start()
	defer server.Close()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	folder, _ := write(t, wasmModule(""))
	image := listener.Addr().String() + "/cors:v1"
	_, err = pushed(t, folder, image)
	wantError(t, err, "a registry that has no TLS is asked by PUSHFLAGS=--plain-http")
	if got, err := pushed(t, folder, image, "--plain-http"); err != nil || !strings.Contains(got, "was pushed") {
		t.Errorf("%q, error %v", got, err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestPushRefused: wherever a push ends, the tag is as it was.
func TestPushRefused(t *testing.T) {
	var method, path string // of what is refused
	host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		refused := method != "" && r.Method == method && strings.Contains(r.URL.Path, path)
		if refused {
			http.Error(w, `{"errors":[{"code":"DENIED","message":"not today"}]}`, http.StatusForbidden)
		}
		return refused
	})
	image := host + "/team/cors:v1"
	one, _ := write(t, wasmModule("one"))
	if _, err := pushed(t, one, image); err != nil {
		t.Fatal(err)
	}
	another, _ := write(t, wasmModule("another"))
	for _, test := range []struct{ name, method, path, want string }{
		{"reading the tag", "GET", "/manifests/", "nothing was pushed: "},
		{"beginning an upload", "POST", "/blobs/", "the push didn't finish; the tag is set last, so it is as it was, or has all of this image: "},
		{"uploading", "PATCH", "/blobs/", "the push didn't finish; the tag is set last, so it is as it was, or has all of this image: "},
		{"setting the tag", "PUT", "/manifests/", "the push didn't finish; the tag is set last, so it is as it was, or has all of this image: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			method, path = test.method, test.path
			for _, image := range []string{image, host + "/team/cors:new"} {
				_, err := pushed(t, another, image, "--overwrite")
				wantError(t, err, test.want+host+" refuses: ")
				wantError(t, err, `not today; "docker login `+host+`" as somebody who may push to team/cors`)
			}
			method = ""
			wantThere(t, image, "one")
			wantThere(t, host+"/team/cors:new", "")
		})
	}
}

// TestPushCredentials: the credentials are those of docker login.
func TestPushCredentials(t *testing.T) {
	host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "me" && password == "secret" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}`, http.StatusUnauthorized)
		return true
	})
	folder, _ := write(t, wasmModule(""))
	_, err := pushed(t, folder, host+"/cors:v1")
	wantError(t, err, "nothing was pushed: "+host+" refuses: ")
	wantError(t, err, `"docker login `+host+`"`)
	path := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = pushed(t, folder, host+"/cors:v1")
	wantError(t, err, "nothing was pushed: parsing config file ("+path+"): ")
	config := `{"auths": {"` + host + `": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("me:secret")) + `"}}}`
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pushed(t, folder, host+"/cors:v1"); err != nil {
		t.Error(err)
	}
}

// TestUsage: mistakes in the command line are errors, and help is none.
func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"push"}, {"write", "a"}, {"pull"}, {"push", "--force", "a", "b"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	for _, args := range [][]string{{}, {"--help"}, {"write", "--help"}, {"push", "--help"}} {
		var stdout strings.Builder
		if err := run(t.Context(), args, &stdout); err != nil || !strings.Contains(stdout.String(), "Usage:") {
			t.Errorf("%q: %q, error %v", args, stdout.String(), err)
		}
	}
}
