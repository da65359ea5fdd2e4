package envoygateway

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What the tests are told by whoever started them, in environment variables.
const (
	// binaryVariable is the path of Envoy Gateway's binary.
	binaryVariable = "ENVOY_GATEWAY"
	// sourceVariable is the folder with the source of the same version.
	sourceVariable = "ENVOY_GATEWAY_SOURCE"
	// homeVariable is a folder for all that a run writes. Where it is set, the tests run
	// within namespaces of their own.
	homeVariable = "ENVOY_GATEWAY_HOME"
)

// names are the hosts that Envoy Gateway, Envoy and the manifests ask for.
const names = `127.0.0.1 localhost
127.0.0.1 envoy-gateway envoy-gateway.envoy-gateway-system.svc.cluster.local
127.0.0.1 policies.default.svc.cluster.local
`

// TestMain runs the tests in namespaces of their own, of networks, mounts and processes: Envoy
// Gateway listens on ports that can't be chosen, on every address, wants its certificates
// in /certs, and its proxies find it by the name that it has in a cluster.
func TestMain(m *testing.M) {
	if home := os.Getenv(homeVariable); home != "" {
		if err := enter(home); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	code, err := isolate()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// isolate runs this very test binary in new namespaces, and returns its exit code.
func isolate() (code int, err error) {
	source, err := prepare()
	if err != nil {
		return 1, err
	}
	home, err := os.MkdirTemp("", "envoy-gateway-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(home)
	cmd := exec.Command(os.Args[0], os.Args[1:]...) // #nosec G702 -- these are its own arguments
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), homeVariable+"="+home, sourceVariable+"="+source)
	// With the first process of a namespace of processes the kernel ends all others, however
	// it ends; and that one ends with the thread that started it, which is therefore kept.
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	if os.Getuid() != 0 { // A user namespace lends the rights that the others need.
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return max(exit.ExitCode(), 1), nil
		}
		return 1, fmt.Errorf("no namespaces of its own for Envoy Gateway: %w; run the test as root, or where users "+
			`may make namespaces ("unshare --user --net --mount --pid true" works)`, err)
	}
	return 0, nil
}

// prepare does what needs the network: it builds the image, and returns the folder with
// the source of the Envoy Gateway whose binary is tested.
func prepare() (source string, err error) {
	info, err := buildinfo.ReadFile(os.Getenv(binaryVariable))
	if err != nil {
		return "", fmt.Errorf(`%s is the path of no Envoy Gateway: %w; run "make test-gateways"`, binaryVariable, err)
	}
	if out, err := command("make", "-C", "../../..", "image").CombinedOutput(); err != nil {
		return "", fmt.Errorf("make image: %w\n%s", err, out)
	}
	download := command("go", "mod", "download", "-json", info.Main.Path+"@"+info.Main.Version)
	out, err := download.Output()
	var module struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", download, err, out)
	}
	return module.Dir, nil
}

// command is a command that the make which runs this test passes no flags on to.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	return cmd
}

// enter makes of new namespaces what Envoy Gateway expects: a loopback interface that is
// up, its names in /etc/hosts, and a folder /certs, in a root folder that has else what
// the machine's has. The machine itself is left as it is.
func enter(home string) error {
	if err := raiseLoopback(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	hosts, root, certs := filepath.Join(home, "hosts"), filepath.Join(home, "root"), filepath.Join(home, "certs/envoy")
	work, err := os.Getwd()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(hosts, []byte(names), 0o600),
		os.MkdirAll(certs, 0o700),
		os.Mkdir(root, 0o700),
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("tmpfs", root, "tmpfs", 0, ""),
		mirror("/", root),
		bind(certs, filepath.Join(root, "certs")),
		syscall.Mount(hosts, filepath.Join(root, "etc/hosts"), "", syscall.MS_BIND, ""),
		syscall.Chroot(root),
		os.Chdir(work),
	)
}

// mirror shows the folders in one folder in another one.
func mirror(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		switch {
		case entry.IsDir():
			err = bind(source, target)
		case entry.Type() == os.ModeSymlink:
			var link string
			if link, err = os.Readlink(source); err == nil {
				err = os.Symlink(link, target)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bind shows a folder in a new place.
func bind(source, target string) error {
	return errors.Join(os.MkdirAll(target, 0o700),
		syscall.Mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, ""))
}

// raiseLoopback brings up the loopback interface, which is down in a new namespace.
func raiseLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }()
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	loopback.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, loopback)
}
