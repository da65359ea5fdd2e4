package envoy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// isReady asks Envoy once whether it serves. Envoy writes the file with the address
// before it listens there, and not at once.
func (e *Envoy) isReady(ctx context.Context) bool {
	e.admin = e.read("admin")
	if _, port, err := net.SplitHostPort(e.admin); err != nil || port == "" {
		return false
	}
	_, err := e.Get(ctx, "/ready")
	return err == nil
}

// Admin returns host:port of the admin interface, once WaitReady has returned.
func (e *Envoy) Admin() string { return e.admin }

// Get returns the body of a 200 from the admin interface.
func (e *Envoy) Get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.admin+path, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("envoy's admin interface answers %s to %s", res.Status, path)
	}
	return body, err
}

// Stats returns the counters and gauges whose names match a regular expression.
func (e *Envoy) Stats(ctx context.Context, filter string) (map[string]uint64, error) {
	body, err := e.Get(ctx, "/stats?filter="+url.QueryEscape(filter))
	stats := map[string]uint64{}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		// Histograms and texts are no numbers.
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			stats[name] = n
		}
	}
	return stats, err
}

// Addrs returns host:port of each listener that has one, by the listener's name.
func (e *Envoy) Addrs(ctx context.Context) (map[string]string, error) {
	body, err := e.Get(ctx, "/listeners?format=json")
	if err != nil {
		return nil, err
	}
	return parseListeners(body)
}

func parseListeners(body []byte) (map[string]string, error) {
	var list struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket *struct {
					Host string `json:"address"`
					Port int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("envoy's list of listeners: %w", err)
	}
	addrs := map[string]string{}
	for _, l := range list.Statuses {
		if s := l.Address.Socket; s != nil {
			addrs[l.Name] = net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
		}
	}
	return addrs, nil
}
