package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// parseTag parses the name to push to. Registry and tag must be there: neither Docker Hub
// nor "latest" is guessed. Without TLS the registry is asked only if told so.
func parseTag(text string, plainHTTP bool) (name.Tag, error) {
	// The library takes "oci:" for a registry.
	if _, rest, ok := strings.Cut(text, "://"); ok {
		return name.Tag{}, fmt.Errorf("%q is no name of an image: leave out the scheme, IMAGE=%s", text, rest)
	}
	options := []name.Option{name.StrictValidation}
	if plainHTTP {
		options = append(options, name.Insecure)
	}
	tag, err := name.NewTag(text, options...)
	if err != nil {
		err = fmt.Errorf("%q is no name of an image: %w; write registry/name:tag, such as "+
			"IMAGE=registry.example/cors:v1.0.0", text, err)
	}
	return tag, err
}

// tlsOnly refuses to talk without TLS, but to this machine. The library would also do so,
// with the credentials, to a registry at a private address that is slow to answer.
type tlsOnly struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t tlsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Hostname()
	local := host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host).IsLoopback()
	if r.URL.Scheme != "https" && !local {
		return nil, errors.New("without TLS only by PUSHFLAGS=--plain-http")
	}
	return t.RoundTripper.RoundTrip(r)
}

// A manner is how to push.
type manner struct {
	overwrite bool // a tag that is there with another image
	plainHTTP bool // without TLS too, if need be
}

// push pushes the image, and returns what it did. The library uploads what the image is
// made of first and sets the tag last.
func push(ctx context.Context, img v1.Image, tag name.Tag, how manner) (string, error) {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if !how.plainHTTP {
		options = append(options, remote.WithTransport(tlsOnly{remote.DefaultTransport}))
	}
	digest, err := img.Digest()
	if err != nil {
		return "", err
	}
	there, err := digestOf(tag, options)
	switch {
	case err != nil:
		return "", fmt.Errorf("nothing was pushed: %w", err)
	case there == digest:
		return fmt.Sprintf("%s@%s was there already", tag, digest), nil
	case there != v1.Hash{} && !how.overwrite:
		return "", fmt.Errorf(`nothing was pushed: %s is there, as another image (%s, and this one is %s); `+
			`choose another tag, or replace it by "make push IMAGE=%s PUSHFLAGS=--overwrite"`, tag, there, digest, tag)
	}
	if err := remote.Write(tag, img, options...); err != nil {
		return "", fmt.Errorf("the push didn't finish; the tag is set last, so it is as it was, "+
			"or has all of this image: %w", explain(tag, err))
	}
	// A registry that stores another manifest than it was given would have a digest that
	// no configuration names.
	if there, err = digestOf(tag, options); err != nil {
		return "", fmt.Errorf("%s was pushed, and can't be read: %w", tag, err)
	}
	if there != digest {
		return "", fmt.Errorf("%s was pushed as %s, and the registry now has %s there; "+
			"somebody else pushes to this tag, or the registry changes images", tag, digest, there)
	}
	return fmt.Sprintf("%s@%s was pushed", tag, digest), nil
}

// digestOf asks the registry for the tag's digest, which is none if there is no such tag.
func digestOf(tag name.Tag, options []remote.Option) (v1.Hash, error) {
	there, err := remote.Get(tag, options...)
	if refused, ok := errors.AsType[*transport.Error](err); ok && refused.StatusCode == http.StatusNotFound {
		return v1.Hash{}, nil
	}
	if err != nil {
		return v1.Hash{}, explain(tag, err)
	}
	return there.Digest, nil
}

// explain says what to do about a registry's error.
func explain(tag name.Tag, err error) error {
	registry := tag.RegistryStr()
	refused, answered := errors.AsType[*transport.Error](err)
	switch {
	case answered && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden):
		return fmt.Errorf(`%s refuses: %w; "docker login %s" as somebody who may push to %s`,
			registry, err, registry, tag.RepositoryStr())
	case answered:
		return fmt.Errorf("%s answers: %w", registry, err)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s takes too long: %w; try again, or give it more by PUSHFLAGS=--timeout=10m", registry, err)
	}
	if _, asked := errors.AsType[*url.Error](err); !asked {
		return err // such as of the credentials
	}
	advice := ""
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		advice = "; a registry that has no TLS is asked by PUSHFLAGS=--plain-http"
	}
	return fmt.Errorf("%s can't be reached: %w; is this the registry's name and port, and is it running?%s", registry, err, advice)
}
