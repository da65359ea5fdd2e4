package istio

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"istio.io/istio/pkg/bootstrap"
	"istio.io/istio/pkg/bootstrap/platform"
	"istio.io/istio/pkg/model"
	"istio.io/istio/pkg/wasm"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A workload is what a proxy is of.
type workload struct {
	// kind is "router", which is a gateway, or "sidecar".
	kind, namespace string
	labels          map[string]string
}

// A proxy is an Envoy and the agent between it and the control plane.
type proxy struct {
	*envoytest.Envoy
	*agent
}

// start starts the proxy of a workload, and waits until it has all that it waits for.
func (m *mesh) start(t *testing.T, w workload) *proxy {
	t.Helper()
	// A test's own folder may be longer than the path of a socket can be.
	dir, err := os.MkdirTemp("", "cors-istio-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a := startAgent(t, filepath.Join(dir, "XDS"), m.Listener.Addr().String())
	return &proxy{envoytest.Start(t, m.bootstrap(t, w, dir), envoytest.Options{Concurrency: 2}), a}
}

// bootstrap is what Istio's agent writes for a proxy. Ports that are 0 are the kernel's
// choice.
func (m *mesh) bootstrap(t *testing.T, w workload, dir string) string {
	t.Helper()
	source, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio").Output()
	if err != nil {
		t.Fatal(err)
	}
	labels, err := json.Marshal(w.labels)
	if err != nil {
		t.Fatal(err)
	}
	config := proto.CloneOf(m.config.DefaultConfig)
	config.ConfigPath = dir
	config.ProxyMetadata = map[string]string{"METRICS_LOCALHOST_ACCESS_ONLY": "true"}
	domain := w.namespace + ".svc.cluster.local"
	node, err := bootstrap.GetNodeMetaData(bootstrap.MetadataOptions{
		ID: strings.Join([]string{w.kind, "127.0.0.1", filepath.Base(dir) + "." + w.namespace, domain}, "~"),
		Envs: []string{
			"ISTIO_META_NAMESPACE=" + w.namespace, "ISTIO_META_CLUSTER_ID=Kubernetes",
			"ISTIO_META_INTERCEPTION_MODE=NONE", "ISTIO_METAJSON_LABELS=" + string(labels),
		},
		Platform: &platform.Unknown{}, InstanceIPs: []string{"127.0.0.1"}, ProxyConfig: config,
	})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	template := filepath.Join(strings.TrimSpace(string(source)), "tools/packaging/common/envoy_bootstrap.json")
	if err := bootstrap.New(bootstrap.Config{Node: node}).WriteTo(template, &text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// An agent does for one proxy what Istio's does: it pulls modules, by Istio's own code, and
// passes on all else as it is. Istio's own agent would keep its files in /var/lib/istio.
type agent struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	istiod  discovery.AggregatedDiscoveryServiceClient
	modules *wasm.LocalFileCache

	mu       sync.Mutex
	refusals []string
}

func startAgent(t *testing.T, socket, istiod string) *agent {
	t.Helper()
	conn, err := grpc.NewClient(istiod, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{
		istiod:  discovery.NewAggregatedDiscoveryServiceClient(conn),
		modules: wasm.NewLocalFileCache(t.TempDir(), wasm.Options{}),
	}
	server := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(server, a)
	go func() { _ = server.Serve(listener) }() // until Stop
	t.Cleanup(func() {
		server.Stop()
		_ = conn.Close()
		a.modules.Cleanup()
	})
	return a
}

// DeltaAggregatedResources is a proxy's discovery stream.
func (a *agent) DeltaAggregatedResources(
	envoy discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer,
) error {
	ctx, cancel := context.WithCancel(envoy.Context())
	defer cancel()
	istiod, err := a.istiod.DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	go func() {
		defer cancel()
		for {
			request, err := envoy.Recv()
			if err != nil {
				return
			}
			a.note(request)
			if istiod.Send(request) != nil {
				return
			}
		}
	}()
	for {
		response, err := istiod.Recv()
		if err == nil && response.TypeUrl == model.ExtensionConfigurationType {
			err = a.pull(response)
		}
		if err == nil {
			err = envoy.Send(response)
		}
		if err != nil {
			return err
		}
	}
}

// note remembers what the proxy refuses.
func (a *agent) note(request *discovery.DeltaDiscoveryRequest) {
	if request.ErrorDetail == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refusals = append(a.refusals, request.ErrorDetail.Message)
}

// pull puts files in the place of the urls of modules.
func (a *agent) pull(response *discovery.DeltaDiscoveryResponse) error {
	resources := make([]*anypb.Any, len(response.Resources))
	for i, r := range response.Resources {
		resources[i] = r.Resource
	}
	err := wasm.MaybeConvertWasmExtensionConfig(resources, a.modules)
	for i, r := range response.Resources {
		r.Resource = resources[i]
	}
	return err
}

// refused returns what the proxy has refused so far.
func (a *agent) refused() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refusals
}
