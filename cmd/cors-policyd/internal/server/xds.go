package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	extensionv3 "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	xds "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"golang.org/x/time/rate"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/policies"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
)

// fleet is the key of the one snapshot, which is for every node.
type fleet struct{}

// ID implements [cache.NodeHash].
func (fleet) ID(*corev3.Node) string { return "fleet" }

// An oncePerVersion cache sends a stream no version twice. The snapshots' own answers a refusal,
// which has the version before, with what was refused, at once and for ever; and who asks for
// other resources gets an answer without any, which Envoy refuses too.
type oncePerVersion struct {
	cache.SnapshotCache
	resource string
}

// CreateWatch implements [cache.ConfigWatcher].
func (c oncePerVersion) CreateWatch(r *cache.Request, sub cache.Subscription, to chan cache.Response) (func(), error) {
	if names := r.GetResourceNames(); len(names) > 0 && !slices.Contains(names, c.resource) {
		return func() {}, nil
	}
	if r.GetErrorDetail() != nil {
		r = proto.CloneOf(r)
		r.VersionInfo = sub.ReturnedResources()[c.resource]
	}
	return c.SnapshotCache.CreateWatch(r, sub, to)
}

// XDS serves the extension configuration discovery service (ECDS): the filter's
// configuration, with the document in it.
type XDS struct {
	settings  *settings.XDS
	log       *slog.Logger
	metrics   *Metrics
	snapshots cache.SnapshotCache
	grpc      *grpc.Server
	end       context.CancelFunc
	open      atomic.Int64 // streams
	// refused and misnamed keep a fleet that has one mistake from filling the log with it.
	refused, misnamed rate.Sometimes
}

// handshakeTimeout is how long a client may take to say what it wants, TLS included.
const handshakeTimeout = 10 * time.Second

// How gRPC's connections end: those whose client doesn't answer, since it was cut off; and in time
// all, so that a fleet spreads over replicas, and no token serves for long after it was removed.
// Clients may ask as often themselves.
var (
	keepAlive = keepalive.ServerParameters{
		MaxConnectionIdle: 2 * time.Minute, Time: 30 * time.Second, Timeout: 10 * time.Second,
		MaxConnectionAge: 30 * time.Minute, MaxConnectionAgeGrace: 10 * time.Second,
	}
	keptAlive = keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}
)

// NewXDS returns a server without a document: those who subscribe wait for one.
func (s *Server) NewXDS() *XDS {
	ctx, end := context.WithCancel(context.Background())
	x := &XDS{
		settings: s.settings.XDS, log: s.log, metrics: s.metrics, end: end,
		snapshots: cache.NewSnapshotCache(false, fleet{}, nil),
		refused:   rate.Sometimes{First: 10, Interval: time.Second}, misnamed: rate.Sometimes{Interval: time.Minute},
	}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(256 << 10), grpc.MaxConcurrentStreams(100), grpc.MaxHeaderListSize(maxHeader),
		grpc.ConnectionTimeout(handshakeTimeout), grpc.KeepaliveParams(keepAlive),
		grpc.KeepaliveEnforcementPolicy(keptAlive),
		grpc.StreamInterceptor(s.guardStream), grpc.UnaryInterceptor(s.guardCall),
		grpc.ForceServerCodecV2(newSharing()),
	}
	if s.identity != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(serverTLS(s.identity, "h2"))))
	}
	x.grpc = grpc.NewServer(options...)
	snapshots := oncePerVersion{x.snapshots, x.settings.Resource}
	opened := func(context.Context, int64, string) error {
		x.metrics.streams.Inc()
		if x.open.Add(1) > int64(s.settings.Limits.Waiting) {
			return status.Error(codes.ResourceExhausted, "there are more streams than limits.waiting")
		}
		return nil
	}
	closed := func(int64, *corev3.Node) { x.metrics.streams.Dec(); x.open.Add(-1) } // of those that were refused, too
	callbacks := xds.CallbackFuncs{
		StreamOpenFunc: opened, StreamClosedFunc: closed, DeltaStreamOpenFunc: opened, DeltaStreamClosedFunc: closed,
		StreamRequestFunc: func(_ int64, r *discoveryv3.DiscoveryRequest) error {
			x.asked(r.GetNode(), r.GetResourceNames(), r.GetErrorDetail())
			return nil
		},
		StreamDeltaRequestFunc: func(_ int64, r *discoveryv3.DeltaDiscoveryRequest) error {
			x.asked(r.GetNode(), r.GetResourceNamesSubscribe(), r.GetErrorDetail())
			return nil
		},
	}
	extensionv3.RegisterExtensionConfigDiscoveryServiceServer(x.grpc, xds.NewServer(ctx, snapshots, callbacks))
	return x
}

// asked notes what an Envoy asks for in vain, and refusals: its next request answers what it got.
func (x *XDS) asked(node *corev3.Node, names []string, refusal *rpcstatus.Status) {
	for _, name := range names {
		if name != x.settings.Resource && name != "*" {
			x.misnamed.Do(func() {
				x.log.Warn("an Envoy asks for a resource that isn't served; name it as xds.resource does",
					"node", shortened(node.GetId()), "asked", shortened(name), "served", x.settings.Resource)
			})
		}
	}
	if refusal == nil {
		return
	}
	x.metrics.refusals.Inc()
	x.refused.Do(func() {
		x.log.Error("an Envoy refuses the document", "node", shortened(node.GetId()), "error", shortened(refusal.GetMessage()))
	})
}

// shortened is the begin of a text that a client has sent.
func shortened(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Publish sends a document to all Envoys. Its version is the document's tag, the same at
// every replica.
func (x *XDS) Publish(d *policies.Document) error {
	configuration, err := anypb.New(wrapperspb.String(string(d.Text)))
	if err != nil {
		return err
	}
	plugin := &wasmv3.PluginConfig{
		Name: x.settings.Resource, FailurePolicy: wasmv3.FailurePolicy_FAIL_RELOAD, Configuration: configuration,
		Vm: &wasmv3.PluginConfig_VmConfig{VmConfig: &wasmv3.VmConfig{
			Runtime: "envoy.wasm.runtime.v8",
			Code: &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{Local: &corev3.DataSource{
				Specifier: &corev3.DataSource_Filename{Filename: x.settings.Module},
			}}},
		}},
	}
	filter, err := anypb.New(&filterv3.Wasm{Config: plugin})
	if err != nil {
		return err
	}
	snapshot, err := cache.NewSnapshot(d.ETag, map[resource.Type][]types.Resource{
		resource.ExtensionConfigType: {&corev3.TypedExtensionConfig{Name: x.settings.Resource, TypedConfig: filter}},
	})
	if err != nil {
		return err
	}
	return x.snapshots.SetSnapshot(context.Background(), fleet{}.ID(nil), snapshot)
}

// GRPC is the server of gRPC.
func (x *XDS) GRPC() *grpc.Server { return x.grpc }

// Stop ends all streams in order, so that Envoys go elsewhere at once.
func (x *XDS) Stop(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		x.end()
		x.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		x.grpc.Stop()
	}
}

// allowed checks the token of a call.
func (s *Server) allowed(ctx context.Context) error {
	if s.tokens == nil {
		return nil
	}
	for _, header := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		if authorized(header, s.tokens.get()) {
			return nil
		}
	}
	return status.Error(codes.Unauthenticated, "the call has no valid bearer token")
}

func (s *Server) guardStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	if err := s.allowed(stream.Context()); err != nil {
		return err
	}
	return h(srv, stream)
}

func (s *Server) guardCall(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler,
) (any, error) {
	if err := s.allowed(ctx); err != nil {
		return nil, err
	}
	return h(ctx, request)
}
