package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// pageFiles serves the page from its folder.
func pageFiles(folder string) (http.Handler, error) {
	if _, err := os.Stat(filepath.Join(folder, "index.html")); err != nil {
		return nil, fmt.Errorf("%w; \"make run\" makes it", err)
	}
	return &page{files: os.DirFS(folder), packed: map[string]packed{}}, nil
}

// A page serves files, compressed where the browser takes that: the module that explains
// policies is some megabytes.
type page struct {
	files fs.FS

	mu     sync.Mutex
	packed map[string]packed // by name
}

// A packed is a file as it was compressed.
type packed struct {
	changed time.Time
	size    int64
	data    []byte
}

// worthPacking are the endings of files that compress well.
const worthPacking = ".html .js .css .wasm .json .svg .map"

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // ask whether it has changed
	h.Add("Vary", "Accept-Encoding")
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if name == "" {
		name = "index.html"
	}
	ending := path.Ext(name)
	if ending == ".js" {
		// A sandboxed frame has no origin, and so must be allowed to read the modules that it
		// is made of. They are no secret.
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if ending == "" || !strings.Contains(worthPacking, ending) || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		http.FileServerFS(p.files).ServeHTTP(w, r)
		return
	}
	file, err := p.pack(name)
	if err != nil {
		http.FileServerFS(p.files).ServeHTTP(w, r)
		return
	}
	h.Set("Content-Type", mime.TypeByExtension(ending))
	h.Set("Content-Encoding", "gzip")
	http.ServeContent(w, r, name, file.changed, bytes.NewReader(file.data))
}

// pack compresses a file, unless it has already.
func (p *page) pack(name string) (packed, error) {
	info, err := fs.Stat(p.files, name)
	if err != nil {
		return packed{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.packed[name]; ok && old.changed.Equal(info.ModTime()) && old.size == info.Size() {
		return old, nil
	}
	file, err := p.files.Open(name)
	if err != nil {
		return packed{}, err
	}
	defer func() { _ = file.Close() }()
	var data bytes.Buffer
	z := gzip.NewWriter(&data)
	if _, err := io.Copy(z, file); err != nil {
		return packed{}, err
	}
	if err := z.Close(); err != nil {
		return packed{}, err
	}
	p.packed[name] = packed{info.ModTime(), info.Size(), data.Bytes()}
	return p.packed[name], nil
}
