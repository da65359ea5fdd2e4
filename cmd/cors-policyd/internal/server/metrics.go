package server

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are what the server counts.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	lookups  *prometheus.CounterVec
	// Refreshes are runs of the queries by what came of them, and Seconds how long they took.
	Refreshes *prometheus.CounterVec
	Seconds   prometheus.Histogram
	// LastSuccess is when the queries last ran without an error.
	LastSuccess prometheus.Gauge
	// Bytes, Policies and Origins are of the document that is served.
	Bytes, Policies, Origins prometheus.Gauge
	// Rejected are the rows that are left out, by the query.
	Rejected *prometheus.GaugeVec
	// StateFailures are failures to write the state.
	StateFailures prometheus.Counter
	streams       prometheus.Gauge
	refusals      prometheus.Counter
	expires       *prometheus.GaugeVec
	unusable      *prometheus.GaugeVec
}

// NewMetrics returns metrics, all zero.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	m.registry.MustRegister(collectors.NewGoCollector(), process)
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "cors_policyd_" + name, Help: help})
		m.registry.MustRegister(g)
		return g
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "cors_policyd_" + name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cors_policyd_" + name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	m.requests = counters("requests_total", "HTTP requests.", "path", "code")
	m.lookups = counters("lookups_total", "Look-ups by their result: allowed, denied, failed, limited.", "policy", "result")
	m.Refreshes = counters("refreshes_total", "Runs of the queries by their result: changed, unchanged, failed.", "result")
	m.Seconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "cors_policyd_refresh_seconds", Help: "How long a run of the queries took, the document included.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
	})
	m.Rejected = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cors_policyd_rejected_rows", Help: "Rows that are left out of the document.",
	}, []string{"source"})
	m.registry.MustRegister(m.Seconds, m.Rejected)
	m.expires = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cors_policyd_certificate_expiry_timestamp_seconds",
		Help: "When certificates expire: server and client_ca as they are served, and database as it was last seen.",
	}, []string{"certificate"})
	m.unusable = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cors_policyd_unusable_files", Help: "1 while files that were changed can't be used, and the last good ones stay.",
	}, []string{"files"})
	m.registry.MustRegister(m.expires, m.unusable)
	m.LastSuccess = gauge("last_success_timestamp_seconds", "When the queries last ran without an error.")
	m.Bytes = gauge("document_bytes", "Length of the document that is served.")
	m.Policies = gauge("document_policies", "Policies of the document that is served.")
	m.Origins = gauge("document_origins", "Origins of the document that is served.")
	m.StateFailures = counter("state_failures_total", "Failures to write the state file.")
	m.streams = gauge("xds_streams", "Streams of Envoys that are open.")
	m.refusals = counter("xds_refusals_total", "Documents that an Envoy has refused.")
	return m
}

// watchWaiting has the number of clients that wait read from the server.
func (m *Metrics) watchWaiting(s *Server) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cors_policyd_waiting_clients", Help: "Clients that wait for a change.",
	}, func() float64 { return float64(s.waiting.Load()) }))
}

// Expires notes when a certificate does.
func (m *Metrics) Expires(certificate string, at time.Time) {
	m.expires.WithLabelValues(certificate).Set(float64(at.Unix()))
}

// WatchLost has the number of lines that the log has lost read.
func (m *Metrics) WatchLost(lost func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "cors_policyd_log_lines_lost_total", Help: "Lines that couldn't be written to the log.",
	}, func() float64 { return float64(lost()) }))
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 10})
}

// counted counts the requests of a path by their status.
func (m *Metrics) counted(path string, h http.Handler) http.Handler {
	return promhttp.InstrumentHandlerCounter(m.requests.MustCurryWith(prometheus.Labels{"path": path}), h)
}
