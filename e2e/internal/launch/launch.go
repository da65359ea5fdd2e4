// Package launch starts a Chromium for tests.
package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// Chromium starts $CHROMIUM, or the one in PATH, without a window and with a profile of its own. It runs until
// the test ends; the context is of its first tab.
func Chromium(t *testing.T, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	ctx, end, err := Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return ctx
}

// Start starts a Chromium as [Chromium] does, which runs until end is called.
func Start(options ...chromedp.ExecAllocatorOption) (ctx context.Context, end context.CancelFunc, err error) {
	path, err := exec.LookPath(cmp.Or(os.Getenv("CHROMIUM"), "chromium"))
	if err != nil {
		return nil, nil, errors.New("no Chromium in $CHROMIUM or PATH; run make test")
	}
	all := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU)
	ctx, end = chromedp.NewExecAllocator(context.Background(), append(all, options...)...)
	ctx, _ = chromedp.NewContext(ctx)
	if err := chromedp.Do(ctx); err != nil {
		end()
		return nil, nil, fmt.Errorf("start Chromium: %w", err)
	}
	return ctx, end, nil
}
