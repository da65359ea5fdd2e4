package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	extensionv3 "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// certificate writes a certificate for 127.0.0.1 with a name.
func certificate(t *testing.T, folder, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(folder, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSecure: certificate and tokens are asked for, and change with their files.
func TestSecure(t *testing.T) {
	folder := t.TempDir()
	certificate(t, folder, "first")
	write(t, filepath.Join(folder, "tokens"), "one\n\ntwo\n")
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, strings.ReplaceAll(database+`
xds: {listen: "127.0.0.1:0"}
tls: {cert_file: DIR/cert.pem, key_file: DIR/key.pem}
token_file: DIR/tokens
`, "DIR", folder)+tenants)
	d.url = strings.Replace(d.url, "127.0.0.1", "localhost", 1)
	// served is the name of the certificate, and the status of a request with a token.
	served := func(path, token string) (name string, status int) {
		var config tls.Config
		config.InsecureSkipVerify = true // it is looked at below
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &config, DisableKeepAlives: true}}
		request, err := http.NewRequest(http.MethodGet, d.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.TLS.PeerCertificates[0].Subject.CommonName, response.StatusCode
	}
	for _, test := range []struct {
		path, token string
		status      int
	}{
		{"/v1/policies", "", 401}, {"/v1/policies", "three", 401}, {"/v1/policies", "one", 200}, {"/v1/policies", "two", 200},
		{"/v1/lookup?policy=tenants&origin=x", "", 401}, {"/v1/check", "", 405}, {"/metrics", "", 401}, {"/v1/rejected", "on", 401},
		{"/healthz", "", 200}, {"/readyz", "", 200},
	} {
		name, status := served(test.path, test.token)
		if test.path == "/v1/policies" && status == 503 {
			time.Sleep(500 * time.Millisecond)
			name, status = served(test.path, test.token)
		}
		if name != "first" || status != test.status {
			t.Errorf("%s with %q: %s %d", test.path, test.token, name, status)
		}
	}
	// The same tokens and certificate are gRPC's.
	for token, code := range map[string]codes.Code{"": codes.Unauthenticated, "three": codes.Unauthenticated, "two": codes.OK} {
		anyCertificate := credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
		conn, err := grpc.NewClient(d.XDSAddr().String(), grpc.WithTransportCredentials(anyCertificate))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		client, request := extensionv3.NewExtensionConfigDiscoveryServiceClient(conn), &discoveryv3.DiscoveryRequest{
			Node: &corev3.Node{Id: "n"}, TypeUrl: resource.ExtensionConfigType, ResourceNames: []string{"cors"},
		}
		stream, err := client.StreamExtensionConfigs(ctx)
		if err == nil {
			_ = stream.Send(request) // It fails if the server has ended the stream, and Recv says why.
			_, err = stream.Recv()
		}
		if status.Code(err) != code {
			t.Errorf("gRPC with token %q: %v", token, err)
		}
		_, err = client.FetchExtensionConfigs(ctx, request)
		if (status.Code(err) == codes.Unauthenticated) != (code == codes.Unauthenticated) {
			t.Errorf("a single call with token %q: %v", token, err)
		}
		cancel()
		_ = conn.Close()
	}
	certificate(t, folder, "second")
	write(t, filepath.Join(folder, "tokens"), "three")
	time.Sleep(1200 * time.Millisecond)
	if name, status := served("/v1/policies", "three"); name != "second" || status != 200 {
		t.Errorf("after a change: %s %d", name, status)
	}
	if _, status := served("/v1/policies", "one"); status != 401 {
		t.Errorf("a token that was removed: %d", status)
	}
	// What can't be used doesn't replace what can.
	write(t, filepath.Join(folder, "key.pem"), "nonsense")
	write(t, filepath.Join(folder, "tokens"), "")
	time.Sleep(1200 * time.Millisecond)
	if name, status := served("/v1/policies", "three"); name != "second" || status != 200 {
		t.Errorf("after a bad change: %s %d", name, status)
	}
}

// documentOf is the document in a resource of ECDS.
func documentOf(t *testing.T, message *anypb.Any) string {
	t.Helper()
	var extension corev3.TypedExtensionConfig
	var filter filterv3.Wasm
	var text wrapperspb.StringValue
	for _, err := range []error{
		message.UnmarshalTo(&extension), extension.TypedConfig.UnmarshalTo(&filter),
		filter.Config.Configuration.UnmarshalTo(&text),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	code := filter.Config.GetVmConfig().GetCode().GetLocal().GetFilename()
	if extension.Name != "cors" || code != "/m.wasm" ||
		filter.Config.FailurePolicy != wasmv3.FailurePolicy_FAIL_RELOAD {
		t.Errorf("the resource is %v", &extension)
	}
	return text.Value
}

// TestXDS: both protocols of ECDS have the document that HTTP has, and each change of it.
func TestXDS(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+ecds+tenants)
	ctx, client := d.ecds(t)
	world, err := client.StreamExtensionConfigs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	delta, err := client.DeltaExtensionConfigs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	node := &corev3.Node{Id: "envoy"}
	asked := &discoveryv3.DiscoveryRequest{
		Node: node, TypeUrl: resource.ExtensionConfigType, ResourceNames: []string{"cors"},
	}
	if err := world.Send(asked); err != nil {
		t.Fatal(err)
	}
	deltaAsked := &discoveryv3.DeltaDiscoveryRequest{
		Node: node, TypeUrl: resource.ExtensionConfigType, ResourceNamesSubscribe: []string{"cors"},
	}
	if err := delta.Send(deltaAsked); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"https://app.example.com", "https://one.example", "https://two.example"} {
		if text != "https://app.example.com" {
			exec(t, pool, "INSERT INTO tenant_origins VALUES (?, 1)", text)
		}
		whole, err := world.Recv()
		if err != nil {
			t.Fatal(err)
		}
		part, err := delta.Recv()
		if err != nil {
			t.Fatal(err)
		}
		http := d.until(t, text)
		if whole.VersionInfo != http.Header.Get("ETag") || documentOf(t, whole.Resources[0]) != http.text ||
			documentOf(t, part.Resources[0].Resource) != http.text {
			t.Errorf("version %s\n%s", whole.VersionInfo, http.text)
		}
		asked.VersionInfo, asked.ResponseNonce = whole.VersionInfo, whole.Nonce
		refused := text == "https://two.example"
		if refused {
			asked.ErrorDetail = status.New(codes.InvalidArgument, "Unable to create Wasm plugin cors").Proto()
		}
		if err := world.Send(asked); err != nil {
			t.Fatal(err)
		}
		deltaAsked = &discoveryv3.DeltaDiscoveryRequest{TypeUrl: asked.TypeUrl, ResponseNonce: part.Nonce}
		if err := delta.Send(deltaAsked); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		if strings.Contains(d.log.String(), "an Envoy refuses the document") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if text := d.get(t, "/metrics").text; !strings.Contains(text, "cors_policyd_xds_refusals_total 1") || !strings.Contains(text, "cors_policyd_xds_streams 2") {
		t.Error("streams and refusals aren't counted")
	}
	for _, wrong := range []string{"isn't served", "can't be sent"} {
		if said := d.log.String(); strings.Contains(said, wrong) {
			t.Errorf("the log is %s", said)
		}
	}
	began := time.Now()
	d.stop()
	if _, err := world.Recv(); err == nil {
		t.Error("the stream doesn't end with the server")
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// TestClientCertificate: with client_ca_file, who has no certificate of it is not served.
func TestClientCertificate(t *testing.T) {
	folder := t.TempDir()
	certificate(t, folder, "both")
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, strings.ReplaceAll(database+
		"tls: {cert_file: DIR/cert.pem, key_file: DIR/key.pem, client_ca_file: DIR/cert.pem}\n", "DIR", folder)+tenants)
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, certificates := range [][]tls.Certificate{nil, {pair}} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certificates}}
		response, err := (&http.Client{Transport: transport}).Get(d.url + "/healthz")
		if (err == nil) != (certificates != nil) {
			t.Errorf("with %d certificates: %v", len(certificates), err)
		}
		if err == nil {
			_ = response.Body.Close()
		}
		transport.CloseIdleConnections()
	}
}
