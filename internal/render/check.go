package render

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What Kubernetes takes for names and labels
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/), an image's
// reference (https://github.com/opencontainers/distribution-spec), and a digest.
var (
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	labelText = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`)
	reference = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+` +
		`(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	digest = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

const (
	longestName  = 253
	longestLabel = 63

	// clustersSuffix makes of a manifest's name that of the resource with the clusters.
	clustersSuffix = "-clusters"
	writeName      = "write at most 244 lower-case letters, digits, - and ."
)

// targetKinds are what the filter can be attached to by a kind of manifest.
var targetKinds = map[string][]string{
	Istio:        {"Gateway"},
	EnvoyGateway: {"Gateway", "HTTPRoute", "GRPCRoute"},
}

// check says what of the options a manifest of a kind can't say. What passes is quoted all the
// same.
func (o *Options) check(kind string) error {
	w := &wrongs{}
	// As long as a name can be with what is added to it for a resource beside this one.
	w.unless(isName(o.Name) && len(o.Name) <= longestName-len(clustersSuffix), "the name", o.Name, writeName)
	w.unless(o.Namespace == "" || dnsLabel.MatchString(o.Namespace) && len(o.Namespace) <= longestLabel,
		"the namespace", o.Namespace, "write at most 63 lower-case letters, digits and -")
	keys := map[string]bool{}
	for _, l := range o.Selector {
		w.unless(!keys[l.Key], "the selector", l.Key+"="+l.Value, "write each label once")
		keys[l.Key] = true
		w.unless(isKey(l.Key) && labelText.MatchString(l.Value) && len(l.Value) <= longestLabel,
			"the selector", l.Key+"="+l.Value, "write a label as Kubernetes has them, such as istio=ingressgateway")
	}
	if o.Target != (Target{}) {
		o.checkTarget(w, kind)
	}
	w.unless(reference.MatchString(o.Image), "the image", o.Image, "write registry/name:tag")
	w.unless(o.Digest == "" || digest.MatchString(o.Digest),
		"the digest", o.Digest, "write sha256: and the 64 hexadecimal digits that \"make push\" prints")
	_, inImage, _ := strings.Cut(o.Image, "@sha256:")
	w.unless(o.Digest == "" || inImage == "" || inImage == o.Digest,
		"the digest", o.Digest, "write the one that the image has, or leave one out")
	w.unless(o.PullSecret == "" || isName(o.PullSecret),
		"the pull secret", o.PullSecret, "write the name of a Secret of the same namespace")
	w.unless(isPath(o.Module), "the module", o.Module,
		"write its whole path where Envoy runs, such as /etc/envoy/cors.wasm")
	w.unless(o.ECDS == "" || isPath(o.Resource), "the resource", o.Resource,
		"write its whole path where Envoy runs, such as /etc/envoy/cors.yaml")
	w.unless(o.ECDS == "" || slices.Contains(Parts(), o.ECDS),
		"the part", o.ECDS, "write one of "+strings.Join(Parts(), ", "))
	w.unless(o.Resource == "" || o.ECDS != "", "the resource", o.Resource, "leave it out, or write the part of ECDS")
	return errors.Join(w.list...)
}

func (o *Options) checkTarget(w *wrongs, kind string) {
	w.unless(isName(o.Target.Name), "the target's name", o.Target.Name, writeName)
	kinds := targetKinds[kind]
	instead := "write one of " + strings.Join(kinds, ", ")
	if len(kinds) == 1 {
		instead = "write " + kinds[0]
	}
	w.unless(slices.Contains(kinds, o.Target.Kind), "the target's kind", o.Target.Kind, instead)
	if o.Selector != nil {
		w.list = append(w.list, errors.New("a selector and a target say what the filter is for; leave one out"))
	}
}

// wrongs are what is wrong with options.
type wrongs struct{ list []error }

// unless notes a value that isn't right, and what to do.
func (w *wrongs) unless(right bool, what, value, instead string) {
	if !right {
		w.list = append(w.list, fmt.Errorf("%s %q: %s", what, value, instead))
	}
}

func isName(s string) bool { return subdomain.MatchString(s) && len(s) <= longestName }

// isPath reports whether a path is a whole one, which can stand in a comment too.
func isPath(s string) bool {
	return path.IsAbs(s) && !strings.ContainsFunc(s, notPrintable) && utf8.ValidString(s)
}

// isKey reports whether a label's key is one: a name, with or without a domain before it.
func isKey(key string) bool {
	domain, rest, prefixed := strings.Cut(key, "/")
	if !prefixed {
		domain, rest = "", key
	}
	return rest != "" && len(rest) <= longestLabel && labelText.MatchString(rest) &&
		(!prefixed || isName(domain))
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }
