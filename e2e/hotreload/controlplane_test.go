package hotreload_test

import (
	"context"
	"net"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3" // is in the resources
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	extensionv3 "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A controlPlane serves one filter's configuration to all Envoys: the extension
// configuration discovery service over gRPC, by envoyproxy/go-control-plane.
type controlPlane struct {
	addr string

	snapshots cache.SnapshotCache
	grpc      *grpc.Server
	served    chan struct{} // closed once grpc has stopped
	pushes    int

	mu    sync.Mutex
	nacks []nack
}

// A nack is what an Envoy answers to a configuration that it refuses.
type nack struct {
	node string
	// version is the one that it goes on with, and detail says why.
	version, detail string
}

// fleetKey is the key of the one snapshot, which is for every node.
type fleetKey struct{}

func (fleetKey) ID(*corev3.Node) string { return "fleet" }

// newControlPlane starts a control plane that has nothing to serve yet.
func newControlPlane(tb testing.TB) *controlPlane {
	tb.Helper()
	c := &controlPlane{addr: "127.0.0.1:0"}
	c.start(tb)
	tb.Cleanup(c.stop)
	return c
}

// start begins serving, after a stop on the same port, and with nothing to serve.
func (c *controlPlane) start(tb testing.TB) {
	tb.Helper()
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		tb.Fatal(err)
	}
	c.addr = listener.Addr().String()
	c.snapshots = cache.NewSnapshotCache(false, fleetKey{}, nil)
	c.grpc, c.served = grpc.NewServer(), make(chan struct{})
	extensionv3.RegisterExtensionConfigDiscoveryServiceServer(c.grpc,
		server.NewServer(context.Background(), c.snapshots, server.CallbackFuncs{StreamRequestFunc: c.requested}))
	go func(s *grpc.Server, served chan struct{}) {
		_ = s.Serve(listener) // until stop
		close(served)
	}(c.grpc, c.served)
}

// stop cuts all connections.
func (c *controlPlane) stop() {
	c.grpc.Stop()
	<-c.served
}

// push makes the filter's configuration known to all Envoys.
func (c *controlPlane) push(tb testing.TB, plugin envoytest.Plugin) {
	tb.Helper()
	config := &anypb.Any{}
	if err := protojson.Unmarshal([]byte(envoytest.JSON(plugin.TypedConfig())), config); err != nil {
		tb.Fatal(err)
	}
	c.pushes++
	snapshot, err := cache.NewSnapshot(c.version(), map[resource.Type][]types.Resource{
		resource.ExtensionConfigType: {&corev3.TypedExtensionConfig{Name: filterName, TypedConfig: config}},
	})
	if err == nil {
		err = c.snapshots.SetSnapshot(context.Background(), fleetKey{}.ID(nil), snapshot)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// version returns the discovery service's version of what was pushed last.
func (c *controlPlane) version() string { return version(c.pushes) }

// requested notes refusals: an Envoy answers what it has got with its next request.
func (c *controlPlane) requested(_ int64, request *discoveryv3.DiscoveryRequest) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if request.ErrorDetail != nil {
		c.nacks = append(c.nacks, nack{request.Node.Id, request.VersionInfo, request.ErrorDetail.Message})
	}
	return nil
}

// refusals returns the nacks since the last call.
func (c *controlPlane) refusals() []nack {
	c.mu.Lock()
	defer c.mu.Unlock()
	nacks := c.nacks
	c.nacks = nil
	return nacks
}
