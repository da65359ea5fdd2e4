package render

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// A cluster is one that the filter asks while it runs, for policies or about origins.
type cluster struct {
	// Name is what the configuration calls it.
	Name string
	// Host and Port are where it may be, by the authority that the configuration gives it.
	Host string
	Port int
}

// clustersOf are the clusters that a configuration names, each once, by their names.
func clustersOf(d *config.Document) (list []cluster) {
	if s := d.PolicySource; s != nil {
		list = append(list, newCluster(s.Cluster, s.Authority))
	}
	for _, l := range d.Lookups { // in any order
		list = append(list, newCluster(l.Cluster, l.Authority))
	}
	slices.SortFunc(list, func(a, b cluster) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	return slices.CompactFunc(list, func(a, b cluster) bool { return a.Name == b.Name })
}

const httpPort = 80

// newCluster is a cluster that is asked with an authority. Which host that means, nobody knows
// who hasn't its DNS: it is a guess that its user looks at.
func newCluster(name, authority string) cluster {
	c := cluster{Name: name, Host: authority, Port: httpPort}
	if host, text, err := net.SplitHostPort(authority); err == nil {
		if port := portOf(text); port > 0 {
			c.Host, c.Port = host, port
		}
	}
	if host, port, ok := outbound(name); ok && authority == name {
		c.Host, c.Port = host, port
	}
	if !isName(c.Host) {
		c.Host = "policies.internal"
	}
	return c
}

// portOf is the number of a port, 0 if a text is none.
func portOf(text string) int {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

// outbound is the service that Istio's name of a cluster, outbound|PORT||HOST, is of.
func outbound(name string) (host string, port int, ok bool) {
	parts := strings.Split(name, "|")
	const parted = 4
	if len(parts) != parted || parts[0] != "outbound" {
		return "", 0, false
	}
	host, port = parts[3], portOf(parts[1])
	return host, port, isName(host) && port > 0
}

// OfIstio reports whether the cluster is named as Istio names one.
func (c cluster) OfIstio() bool {
	_, _, ok := outbound(c.Name)
	return ok
}

// Outside reports whether Istio only has the cluster if a ServiceEntry says where it is: the
// services of Kubernetes are known without.
func (c cluster) Outside() bool {
	host, _, ok := outbound(c.Name)
	return ok && !strings.Contains(host, ".svc.")
}

// InMesh is the cluster where Istio's name says that it is.
func (c cluster) InMesh() cluster {
	c.Host, c.Port, _ = outbound(c.Name)
	return c
}
