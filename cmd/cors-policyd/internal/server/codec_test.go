package server

import (
	"fmt"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestSharing: what is encoded is what clients decode, and the same document is encoded once.
func TestSharing(t *testing.T) {
	s := newSharing()
	responses := func(document string, nonce int) []proto.Message {
		resource, err := anypb.New(wrapperspb.String(document))
		if err != nil {
			t.Fatal(err)
		}
		return []proto.Message{
			&discoveryv3.DiscoveryResponse{
				VersionInfo: "v", TypeUrl: "t", Nonce: fmt.Sprint(nonce), Resources: []*anypb.Any{resource},
			},
			&discoveryv3.DeltaDiscoveryResponse{
				SystemVersionInfo: "v", TypeUrl: "t", Nonce: fmt.Sprint(nonce), RemovedResources: []string{"gone"},
				Resources: []*discoveryv3.Resource{{Name: "cors", Version: "v", Resource: resource}},
			},
			&discoveryv3.DiscoveryResponse{Nonce: fmt.Sprint(nonce)},
			&discoveryv3.DiscoveryRequest{ResponseNonce: fmt.Sprint(nonce)},
		}
	}
	first := map[string]*byte{} // where the encoding of a document is
	for n, document := range []string{strings.Repeat("a", 100_000), strings.Repeat("a", 100_000), strings.Repeat("b", 100_000)} {
		for _, response := range responses(document, n)[:2] {
			data, err := s.Marshal(response)
			if err != nil {
				t.Fatal(err)
			}
			key, at := fmt.Sprintf("%T %.1s", response, document), &data[0].ReadOnlyData()[0]
			if first[key] == nil {
				first[key] = at
			}
			if at != first[key] {
				t.Errorf("%s was encoded again", key)
			}
		}
		for _, response := range responses(document, n) {
			data, err := s.Marshal(response)
			if err != nil {
				t.Fatal(err)
			}
			decoded := response.ProtoReflect().New().Interface()
			if err := s.Unmarshal(data, decoded); err != nil || !proto.Equal(decoded, response) {
				t.Errorf("%T is decoded as something else, %v", response, err)
			}
		}
	}
}

// TestShortened: what an Envoy says of itself goes into the log as long as it is short, and is cut between
// characters.
func TestShortened(t *testing.T) {
	for text, want := range map[string]string{
		"": "", strings.Repeat("a", 500): strings.Repeat("a", 500), strings.Repeat("a", 501): strings.Repeat("a", 500) + "…",
		strings.Repeat("a", 499) + "ä": strings.Repeat("a", 499) + "…",
	} {
		if got := shortened(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
