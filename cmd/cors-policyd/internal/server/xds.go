package server

import (
	"context"
	"log/slog"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	extensionv3 "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	xds "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/policies"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
)

// fleet is the key of the one snapshot, which is for every node.
type fleet struct{}

// ID implements [cache.NodeHash].
func (fleet) ID(*corev3.Node) string { return "fleet" }

// XDS serves the extension configuration discovery service (ECDS): the filter's
// configuration, with the document in it.
type XDS struct {
	settings  *settings.XDS
	log       *slog.Logger
	metrics   *Metrics
	snapshots cache.SnapshotCache
	grpc      *grpc.Server
	end       context.CancelFunc
}

// NewXDS returns a server without a document: those who subscribe wait for one.
func (s *Server) NewXDS() (*XDS, error) {
	ctx, end := context.WithCancel(context.Background())
	x := &XDS{
		settings: s.settings.XDS, log: s.log, metrics: s.metrics, end: end,
		snapshots: cache.NewSnapshotCache(false, fleet{}, nil),
	}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(256 << 10), grpc.MaxConcurrentStreams(100), grpc.MaxHeaderListSize(maxHeader),
		grpc.StreamInterceptor(s.guardStream), grpc.UnaryInterceptor(s.guardCall),
	}
	if s.settings.TLS != nil {
		config, err := serverTLS(s.settings.TLS, s.notReloaded, "h2")
		if err != nil {
			end()
			return nil, err
		}
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	x.grpc = grpc.NewServer(options...)
	extensionv3.RegisterExtensionConfigDiscoveryServiceServer(x.grpc, xds.NewServer(ctx, x.snapshots, xds.CallbackFuncs{
		StreamOpenFunc: func(context.Context, int64, string) error { x.metrics.streams.Inc(); return nil },
		StreamClosedFunc: func(int64, *corev3.Node) {
			x.metrics.streams.Dec()
		},
		DeltaStreamOpenFunc:   func(context.Context, int64, string) error { x.metrics.streams.Inc(); return nil },
		DeltaStreamClosedFunc: func(int64, *corev3.Node) { x.metrics.streams.Dec() },
		StreamRequestFunc: func(_ int64, r *discoveryv3.DiscoveryRequest) error {
			x.answered(r.GetNode(), r.GetErrorDetail())
			return nil
		},
		StreamDeltaRequestFunc: func(_ int64, r *discoveryv3.DeltaDiscoveryRequest) error {
			x.answered(r.GetNode(), r.GetErrorDetail())
			return nil
		},
	}))
	return x, nil
}

// answered notes refusals: an Envoy answers what it has got with its next request.
func (x *XDS) answered(node *corev3.Node, refusal *rpcstatus.Status) {
	if refusal == nil {
		return
	}
	x.metrics.refusals.Inc()
	x.log.Error("an Envoy refuses the document", "node", node.GetId(), "error", refusal.GetMessage())
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
