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
	if host, port, err := net.SplitHostPort(authority); err == nil {
		if number, err := strconv.ParseUint(port, 10, 16); err == nil && number > 0 {
			c.Host, c.Port = host, int(number)
		}
	}
	if !isName(c.Host) {
		c.Host = "policies.internal"
	}
	return c
}

// clusterOfIstio is what Istio's name of a cluster, outbound|PORT||HOST, says of it; nil if
// another name is none, and where Kubernetes has the service already.
func clusterOfIstio(name string) *cluster {
	parts := strings.Split(name, "|")
	const parted = 4
	if len(parts) != parted || parts[0] != "outbound" || parts[2] != "" || strings.Contains(parts[3], ".svc.") ||
		!isName(parts[3]) {
		return nil
	}
	port, err := strconv.ParseUint(parts[1], 10, 16)
	if err != nil || port == 0 {
		return nil
	}
	return &cluster{Name: name, Host: parts[3], Port: int(port)}
}
