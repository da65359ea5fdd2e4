package server

import (
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// sharing encodes a document once for all that are sent it. gRPC's own codec makes a copy for each,
// most of which waits in memory until that client has read.
type sharing struct {
	encoding.CodecV2 // of all else

	mu   sync.Mutex
	last map[protoreflect.FullName]encoded // by the kind of response
}

// An encoded has a response's resources, and how they are encoded.
type encoded struct {
	resources proto.Message
	text      []byte
}

func newSharing() *sharing {
	return &sharing{CodecV2: encoding.GetCodecV2(grpcproto.Name), last: map[protoreflect.FullName]encoded{}}
}

// Marshal implements [encoding.CodecV2]. The encoding of a message may be that of some of its fields,
// and then that of the others.
func (s *sharing) Marshal(v any) (mem.BufferSlice, error) {
	var m protoreflect.Message
	switch response := v.(type) {
	case *discoveryv3.DiscoveryResponse:
		m = response.ProtoReflect()
	case *discoveryv3.DeltaDiscoveryResponse:
		m = response.ProtoReflect()
	default:
		return s.CodecV2.Marshal(v)
	}
	resources, others := m.New(), m.New()
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Name() == "resources" {
			resources.Set(field, value)
		} else {
			others.Set(field, value)
		}
		return true
	})
	if proto.Size(resources.Interface()) == 0 {
		return s.CodecV2.Marshal(v) // who asks for something else keeps what is shared
	}
	shared, err := s.encode(m.Descriptor().FullName(), resources.Interface())
	if err != nil {
		return nil, err
	}
	own, err := proto.Marshal(others.Interface())
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(shared), mem.SliceBuffer(own)}, nil
}

// encode encodes resources, unless they are the same as last time.
func (s *sharing) encode(kind protoreflect.FullName, resources proto.Message) ([]byte, error) {
	s.mu.Lock()
	last := s.last[kind]
	s.mu.Unlock()
	if last.resources != nil && proto.Equal(last.resources, resources) {
		return last.text, nil
	}
	text, err := proto.Marshal(resources)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[kind] = encoded{resources, text}
	return text, nil
}
