package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	extensionv3 "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// ecds is a client of ECDS, and for how long its streams may live: as long as the test, or a minute.
func (d *daemon) ecds(t *testing.T) (context.Context, extensionv3.ExtensionConfigDiscoveryServiceClient) {
	t.Helper()
	conn, err := grpc.NewClient(d.XDSAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() { cancel(); _ = conn.Close() })
	return ctx, extensionv3.NewExtensionConfigDiscoveryServiceClient(conn)
}

// subscribe opens a stream, and returns what sends a request and what awaits an answer, which is
// nil if there is none in time.
func (d *daemon) subscribe(t *testing.T) (
	send func(*discoveryv3.DiscoveryRequest), receive func(within time.Duration) *discoveryv3.DiscoveryResponse,
) {
	t.Helper()
	ctx, client := d.ecds(t)
	stream, err := client.StreamExtensionConfigs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan *discoveryv3.DiscoveryResponse, 1000)
	go func() {
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			received <- r
		}
	}()
	send = func(r *discoveryv3.DiscoveryRequest) {
		t.Helper()
		r.Node, r.TypeUrl = &corev3.Node{Id: "envoy"}, resource.ExtensionConfigType
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	return send, func(within time.Duration) *discoveryv3.DiscoveryResponse {
		select {
		case r := <-received:
			return r
		case <-time.After(within):
			return nil
		}
	}
}

const ecds = "xds: {listen: '127.0.0.1:0', resource: cors, module: /m.wasm}\n"

// TestRefused: an Envoy that refuses a document, which says so with the version that it had before,
// isn't sent the same again, but the next one.
func TestRefused(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+ecds+tenants)
	d.until(t, "https://app")
	send, receive := d.subscribe(t)
	send(&discoveryv3.DiscoveryRequest{ResourceNames: []string{"cors"}})
	accepted := ""
	for _, origin := range []string{"", "https://one.example", "https://two.example"} {
		if origin != "" {
			exec(t, pool, "INSERT INTO tenant_origins VALUES (?, 1)", origin)
		}
		r := receive(10 * time.Second)
		if r == nil || !strings.Contains(documentOf(t, r.Resources[0]), origin) {
			t.Fatalf("no document with %q", origin)
		}
		refusal := &discoveryv3.DiscoveryRequest{
			ResourceNames: []string{"cors"}, VersionInfo: accepted, ResponseNonce: r.Nonce,
			ErrorDetail: status.New(codes.InvalidArgument, strings.Repeat("no\n", 60_000)).Proto(),
		}
		send(refusal)
		if again := receive(300 * time.Millisecond); again != nil {
			t.Fatalf("version %s is refused, and %s is sent", r.VersionInfo, again.VersionInfo)
		}
		accepted = "an old one"
	}
	if said := d.log.String(); len(said) > 20_000 || !strings.Contains(said, "an Envoy refuses the document") {
		t.Errorf("the log has %d bytes", len(said))
	}
}

// TestRefusedDelta: the same of deltas.
func TestRefusedDelta(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+ecds+tenants)
	d.until(t, "https://app")
	ctx, client := d.ecds(t)
	stream, err := client.DeltaExtensionConfigs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request := &discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "envoy"}, TypeUrl: resource.ExtensionConfigType, ResourceNamesSubscribe: []string{"cors"},
	}
	for _, origin := range []string{"https://app", "https://one.example"} {
		if origin != "https://app" {
			exec(t, pool, "INSERT INTO tenant_origins VALUES (?, 1)", origin)
		} else if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		r, err := stream.Recv()
		if err != nil || !strings.Contains(documentOf(t, r.Resources[0].Resource), origin) {
			t.Fatalf("%v: no document with %s", err, origin)
		}
		// Were it sent again, the next one would not be the next.
		refusal := &discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: request.TypeUrl, ResponseNonce: r.Nonce,
			ErrorDetail: status.New(codes.InvalidArgument, "no").Proto(),
		}
		if err := stream.Send(refusal); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if n := strings.Count(d.log.String(), "an Envoy refuses the document"); n != 2 {
		t.Errorf("%d refusals", n)
	}
}

// TestOtherResource: who asks for a resource by another name gets no answer, which would be one
// without the resource, to be refused; and the log names both.
func TestOtherResource(t *testing.T) {
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+ecds+tenants)
	d.until(t, "https://app")
	send, receive := d.subscribe(t)
	send(&discoveryv3.DiscoveryRequest{ResourceNames: []string{"corss"}})
	if r := receive(300 * time.Millisecond); r != nil {
		t.Errorf("there is an answer: %v", r)
	}
	if said := d.log.String(); !strings.Contains(said, "asked=corss served=cors") {
		t.Error(said)
	}
	// The stream is alive, and asking for the right one helps.
	send(&discoveryv3.DiscoveryRequest{ResourceNames: []string{"corss", "cors"}})
	if r := receive(10 * time.Second); r == nil || len(r.Resources) != 1 {
		t.Errorf("the answer is %v", r)
	}
	// So does asking for all that there is.
	send, receive = d.subscribe(t)
	send(&discoveryv3.DiscoveryRequest{})
	if r := receive(10 * time.Second); r == nil || len(r.Resources) != 1 {
		t.Errorf("the answer to who asks for all is %v", r)
	}
}

// TestStreams: there may be as many streams as limits.waiting says, and when one ends there may be another.
func TestStreams(t *testing.T) {
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+"limits: {waiting: 1}\n"+ecds+tenants)
	d.until(t, "https://app")
	ctx, client := d.ecds(t)
	// open opens a stream, and returns what ends it, and why it has no document.
	open := func() (end func(), err error) {
		ctx, end := context.WithCancel(ctx)
		stream, err := client.StreamExtensionConfigs(ctx)
		if err != nil {
			return end, err
		}
		// It fails if the server has ended the stream, and Recv says why.
		_ = stream.Send(&discoveryv3.DiscoveryRequest{
			Node: &corev3.Node{Id: "n"}, TypeUrl: resource.ExtensionConfigType, ResourceNames: []string{"cors"},
		})
		_, err = stream.Recv()
		return end, err
	}
	first, err := open()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		end, err := open()
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a second stream: %v", err)
		}
		end()
	}
	first()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		end, err := open()
		end()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the first one has ended: %v", err)
		}
	}
}

// TestPings: a client may make sure once in a second that the server is there, as Envoy does with
// connection_keepalive.
func TestPings(t *testing.T) {
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+ecds+tenants)
	conn, err := net.Dial("tcp", d.XDSAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := framer.WritePing(false, [8]byte{1}); err != nil {
			t.Fatal(err)
		}
		for answered := false; !answered; {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := frame.(*http2.GoAwayFrame); ok {
				t.Fatalf("the server goes away: %s %s", f.ErrCode, f.DebugData())
			}
			ping, ok := frame.(*http2.PingFrame)
			answered = ok && ping.IsAck()
		}
		time.Sleep(1050 * time.Millisecond)
	}
}

// TestStopTogether: HTTP ends at once though an Envoy doesn't, which has been cut off; and in the end who sends half a
// request is cut off.
func TestStopTogether(t *testing.T) {
	t.Parallel() // it takes as long as a client has
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+ecds+tenants)
	d.until(t, "https://app")
	conn, err := net.Dial("tcp", d.XDSAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := http2.NewFramer(conn, conn).WriteSettings(); err != nil {
		t.Fatal(err)
	}
	half, err := net.Dial("tcp", d.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = half.Close() }()
	if _, err := half.Write([]byte("POST /v1/check HTTP/1.1\r\nHost: policies\r\nContent-Length: 9\r\n\r\n{")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	began, stopped := time.Now(), make(chan struct{})
	go func() {
		d.stop()
		close(stopped)
	}()
	time.Sleep(500 * time.Millisecond)
	if other, err := net.Dial("tcp", d.Addr().String()); err == nil {
		_ = other.Close()
		t.Error("HTTP is still served")
	}
	<-stopped
	if took := time.Since(began); took > 2*stopTimeout {
		t.Errorf("stopping took %s", took)
	}
	var timeout net.Error
	_ = half.SetReadDeadline(time.Now().Add(time.Second)) // of a connection that is open
	if text, err := io.ReadAll(half); errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("half a request is still waited for, after %q", text)
	}
}
