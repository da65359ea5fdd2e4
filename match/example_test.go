package match_test

import (
	"fmt"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Backend is what requests are for in the examples.
type Backend struct{ Name string }

// The most specific match counts, whatever the order in which they were added.
func ExampleBuilder() {
	backends := []Backend{{"shop"}, {"api"}, {"orders"}}
	var problems match.Problems
	b := match.NewBuilder[*Backend](&problems, func(i int) string { return backends[i].Name })
	b.Add(match.Match{}, &backends[0], true)
	b.Add(match.Match{Hosts: []string{"*.example.com"}}, &backends[1], true)
	b.Add(match.Match{
		Hosts: []string{"api.example.com"}, Paths: []match.Path{{Path: "/orders", Prefix: true}},
		Routes: []string{"orders"},
	}, &backends[2], true)
	table := b.Table()

	for _, k := range []match.Key{
		{Host: "api.example.com:443", Path: "/orders/7?full"},
		{Host: "API.example.com.", Path: "/orders-of-today"},
		{Host: "example.com", Path: "/"},
		{Host: "example.com", Path: "/", Route: "orders"},
	} {
		fmt.Println(table.Lookup(k).Name)
	}
	// Output:
	// orders
	// api
	// shop
	// orders
}

// Two matches that claim the same are refused, and all that is wrong is said at once.
func ExampleBuilder_refused() {
	names := []string{"shop", "api"}
	var problems match.Problems
	b := match.NewBuilder[*Backend](&problems, func(i int) string { return names[i] })
	b.Add(match.Match{Hosts: []string{"api.example.com"}}, &Backend{"shop"}, true)
	b.Add(match.Match{Hosts: []string{"https://api.example.com/v1", "API.example.com"}}, &Backend{"api"}, true)
	fmt.Println(b.Table())
	for _, p := range problems.All() {
		fmt.Println(names[p.Rule], p)
	}
	// Output:
	// <nil>
	// api match.hosts[0]: "https://api.example.com/v1" is a URL, and a host has no scheme; write "api.example.com", and the path in match.paths
	// api match.hosts[1]: claims the host api.example.com and every path, as shop does; give the two policies different matches, or make them one
}

// A fit says by what a match covers a request.
func ExampleMatch_Fit() {
	m := match.Match{Hosts: []string{"*.example.com", "api.example.com"},
		Paths: []match.Path{{Path: "/", Prefix: true}, {Path: "/v1", Prefix: true}}}
	claim, ok := m.Fit(match.Key{Host: "api.example.com", Path: "/v1/orders"})
	fmt.Println(claim, ok)
	// Output:
	// the host api.example.com and the paths below "/v1" true
}
