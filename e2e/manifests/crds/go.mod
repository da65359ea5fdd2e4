// Nothing is built of this module: it pins the releases whose CustomResourceDefinitions the
// tests read, for go.sum to check. "go mod tidy" would remove them all.
module crds

go 1.26.7

require (
	example.com/istio-1.27 v1.27.0
	example.com/istio-1.30 v1.30.1
	github.com/envoyproxy/gateway v1.9.1
	istio.io/api v1.31.4
)

replace (
	example.com/istio-1.27 v1.27.0 => istio.io/api v1.27.0
	example.com/istio-1.30 v1.30.1 => istio.io/api v1.30.1
)
