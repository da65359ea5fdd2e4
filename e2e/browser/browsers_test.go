package browser_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/firefox"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/launch"
)

// The browsers that the tests have, as docs/browsers.md calls them.
const (
	chromiumName = "Chromium"
	firefoxName  = "Firefox ESR"
)

// A visitor is a browser in which a test opens pages and runs scripts.
type visitor interface {
	// called is the browser's name.
	called() string
	// visit opens a page.
	visit(url string)
	// decode sets result to what an expression of JavaScript is or promises.
	decode(expression string, result any)
}

// visitors opens each of the browsers.
func visitors(t *testing.T) []visitor {
	t.Helper()
	return []visitor{openBrowser(t), openFirefox(t)}
}

func (b *chromium) called() string { return chromiumName }

func (b *chromium) visit(url string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url))
}

func (b *chromium) decode(expression string, result any) {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](asJSON(expression), chromedp.EvalAwaitPromise))
	if err == nil {
		err = json.Unmarshal([]byte(text), result)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func asJSON(expression string) string {
	return "(async () => JSON.stringify(await (" + expression + ")))()"
}

// The browsers are started once, when a test needs them; TestMain ends them.
var (
	chromiumEnd    context.CancelFunc
	firefoxStarted *firefox.Firefox

	startChromium = sync.OnceValues(func() (ctx context.Context, err error) {
		ctx, chromiumEnd, err = launch.Start(chromedp.WindowSize(1280, 900))
		return ctx, err
	})
	startFirefox = sync.OnceValues(func() (*firefox.Firefox, error) {
		path, err := firefox.Binary()
		if err != nil {
			return nil, err
		}
		firefoxStarted, err = firefox.Start(path)
		return firefoxStarted, err
	})
)

// endBrowsers ends those that were started.
func endBrowsers() error {
	if chromiumEnd != nil {
		chromiumEnd()
	}
	if firefoxStarted == nil {
		return nil
	}
	return firefoxStarted.Close()
}

// A firefoxTab is a tab of the one Firefox of these tests, which shares nothing with others.
type firefoxTab struct {
	*testing.T
	*firefox.Tab
}

func openFirefox(t *testing.T) *firefoxTab {
	t.Helper()
	f, err := startFirefox()
	if err != nil {
		t.Fatal(err)
	}
	tab, err := f.NewTab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tab.Close(); err != nil {
			t.Error(err)
		}
	})
	return &firefoxTab{t, tab}
}

func (f *firefoxTab) called() string { return firefoxName }

func (f *firefoxTab) visit(url string) {
	f.Helper()
	if err := f.Navigate(url); err != nil {
		f.Fatal(err)
	}
}

func (f *firefoxTab) decode(expression string, result any) {
	f.Helper()
	if err := f.Evaluate(expression, result); err != nil {
		f.Fatal(err)
	}
}
