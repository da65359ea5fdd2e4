package database_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3" // is in the resources
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	extensionv3 "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
)

// A subscriber is a client of ECDS, as an Envoy is one, on a connection of its own.
type subscriber struct {
	stream  extensionv3.ExtensionConfigDiscoveryService_StreamExtensionConfigsClient
	version string
	got     time.Time
	err     error
}

// subscribe starts subscribers, each of which has the document.
func subscribe(tb testing.TB, p *policyd, n int) (list []*subscriber) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	for i := range n {
		conn, err := grpc.NewClient(p.xds, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = conn.Close() }) // with the test
		s := &subscriber{}
		s.stream, s.err = extensionv3.NewExtensionConfigDiscoveryServiceClient(conn).StreamExtensionConfigs(ctx)
		if s.err == nil {
			s.err = s.stream.Send(&discoveryv3.DiscoveryRequest{
				Node: &corev3.Node{Id: fmt.Sprintf("envoy-%d", i)}, TypeUrl: resource.ExtensionConfigType,
				ResourceNames: []string{"cors"},
			})
		}
		s.receive()
		if s.err != nil {
			tb.Fatal(s.err)
		}
		list = append(list, s)
	}
	return list
}

// receive receives the next version, and accepts it.
func (s *subscriber) receive() {
	if s.err != nil {
		return
	}
	response, err := s.stream.Recv()
	if err == nil {
		s.got, s.version = time.Now(), response.VersionInfo
		err = s.stream.Send(&discoveryv3.DiscoveryRequest{
			TypeUrl: resource.ExtensionConfigType, ResourceNames: []string{"cors"},
			VersionInfo: response.VersionInfo, ResponseNonce: response.Nonce,
		})
	}
	s.err = err
}

// pushed makes a change, and returns when each subscriber had it.
func pushed(tb testing.TB, list []*subscriber, change func()) (took fleet.Durations) {
	tb.Helper()
	var receiving sync.WaitGroup
	for _, s := range list {
		receiving.Go(s.receive)
	}
	start := time.Now()
	change()
	receiving.Wait()
	for i, s := range list {
		if s.err != nil || s.version != list[0].version {
			tb.Fatalf("subscriber %d has version %s, and the first one %s; %v", i, s.version, list[0].version, s.err)
		}
		took = append(took, s.got.Sub(start))
	}
	return took
}

// TestSubscribers: a change is sent to all of two hundred subscribers.
func TestSubscribers(t *testing.T) {
	c, change := crowded(t, 1_000, 0)
	list := subscribe(t, c.policyd, 200)
	for range 3 {
		took := pushed(t, list, change)
		t.Logf("200 subscribers have the document: p50 %s, the last after %s", took.Quantile(50), took.Quantile(100))
	}
}

// BenchmarkSubscribers is BenchmarkWaitingClients with subscribers of ECDS.
func BenchmarkSubscribers(b *testing.B) {
	for _, origins := range sizes(b) {
		b.Run(fmt.Sprintf("origins=%d", origins), func(b *testing.B) {
			c, change := crowded(b, origins, 0)
			list := subscribe(b, c.policyd, *clients)
			m := newMeter(b, c.policyd)
			for b.Loop() {
				m.measure(func() fleet.Durations { return pushed(b, list, change) })
			}
			m.report()
		})
	}
}
