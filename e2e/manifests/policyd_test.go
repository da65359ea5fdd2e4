package manifests_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A deployment is what deploy/policyd/kubernetes.yaml has.
type deployment struct {
	secret     *core.Secret
	config     *core.ConfigMap
	deployment *apps.Deployment
	service    *core.Service
	budget     *policy.PodDisruptionBudget
	network    *networking.NetworkPolicy
}

func readDeployment(t *testing.T, text string) (d deployment) {
	t.Helper()
	file, failed := document.Parse("kubernetes.yaml", text)
	if failed != nil {
		t.Fatal(failed)
	}
	for _, node := range file.Documents {
		object, _ := node.JSON()
		decoded, _, err := strictly.Decode([]byte(object), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		switch o := decoded.(type) {
		case *core.Secret:
			d.secret = o
		case *core.ConfigMap:
			d.config = o
		case *apps.Deployment:
			d.deployment = o
		case *core.Service:
			d.service = o
		case *policy.PodDisruptionBudget:
			d.budget = o
		case *networking.NetworkPolicy:
			d.network = o
		default:
			t.Fatalf("a %T", o)
		}
	}
	return d
}

// check finds what doesn't fit together.
func (d deployment) check() (list []string) {
	wrong := func(format string, values ...any) { list = append(list, fmt.Sprintf(format, values...)) }
	pod := d.deployment.Spec.Template
	container := pod.Spec.Containers[0]
	for name, selector := range map[string]*metav1.LabelSelector{
		"the Deployment": d.deployment.Spec.Selector, "the budget": d.budget.Spec.Selector,
		"the NetworkPolicy": &d.network.Spec.PodSelector, "the Service": {MatchLabels: d.service.Spec.Selector},
		"the spread": pod.Spec.TopologySpreadConstraints[0].LabelSelector,
	} {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(labels.Set(pod.Labels)) {
			wrong("%s selects other pods: %v %v", name, selector, err)
		}
	}
	for _, o := range []metav1.Object{d.secret, d.config, d.deployment, d.service, d.budget, d.network} {
		if o.GetNamespace() != d.deployment.Namespace || o.GetName() != "cors-policyd" {
			wrong("%T is %s/%s", o, o.GetNamespace(), o.GetName())
		}
	}
	named := func(port intstr.IntOrString) bool {
		return slices.ContainsFunc(container.Ports, func(p core.ContainerPort) bool { return p.Name == port.StrVal })
	}
	for _, port := range []intstr.IntOrString{
		d.service.Spec.Ports[0].TargetPort, *d.network.Spec.Ingress[0].Ports[0].Port,
		container.LivenessProbe.HTTPGet.Port, container.ReadinessProbe.HTTPGet.Port,
	} {
		if !named(port) {
			wrong("the container has no port %s", port.String())
		}
	}
	file := container.Args[1]
	mounted := slices.ContainsFunc(pod.Spec.Volumes, func(v core.Volume) bool {
		return v.ConfigMap != nil && v.ConfigMap.Name == d.config.Name &&
			slices.ContainsFunc(container.VolumeMounts, func(m core.VolumeMount) bool {
				return m.Name == v.Name && m.MountPath == path.Dir(file)
			})
	})
	text, there := d.config.Data[path.Base(file)]
	if !mounted || !there {
		wrong("%s isn't mounted", file)
	}
	if want := fmt.Sprintf("listen: 0.0.0.0:%d\n", container.Ports[0].ContainerPort); !strings.Contains(text, want) {
		wrong("the configuration lacks %s", want)
	}
	if container.EnvFrom[0].SecretRef.Name != d.secret.Name || d.secret.StringData["CORS_DATABASE"] == "" ||
		!strings.Contains(text, "$CORS_DATABASE") {
		wrong("the database's URL doesn't reach the process")
	}
	if d.budget.Spec.MinAvailable.IntVal >= *d.deployment.Spec.Replicas {
		wrong("no pod may ever be taken away")
	}
	return list
}

// TestPolicydDeployment: the objects of deploy/policyd/kubernetes.yaml belong together, its
// configuration is one of cors-policyd, and istio.yaml names its Service.
func TestPolicydDeployment(t *testing.T) {
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, "deploy/policyd", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	manifest := read("kubernetes.yaml")
	d := readDeployment(t, manifest)
	for _, wrong := range d.check() {
		t.Error(wrong)
	}
	for _, err := range checkPolicyd(root, text{content: d.config.Data["policyd.yaml"]}) {
		t.Error(err)
	}
	host := d.service.Name + "." + d.service.Namespace + ".svc.cluster.local"
	for _, want := range []string{
		fmt.Sprintf("cluster: outbound|%d||%s\n", d.service.Spec.Ports[0].Port, host),
		fmt.Sprintf("authority: %s:%d\n", host, d.service.Spec.Ports[0].Port),
	} {
		if !strings.Contains(read("istio.yaml"), want) {
			t.Errorf("istio.yaml lacks %s", want)
		}
	}
	// What doesn't fit is found.
	for old, replacement := range map[string]string{
		"\n  selector: {app: cors-policyd}": "\n  selector: {app: policyd}", "targetPort: http": "targetPort: web",
		"minAvailable: 1": "minAvailable: 2", "CORS_DATABASE: ": "DATABASE: ", "listen: 0.0.0.0:8081": "listen: 0.0.0.0:80",
		"configMap: {name: cors-policyd}": "configMap: {name: policyd}", "istio-system}\nstringData": "default}\nstringData",
	} {
		changed := strings.Replace(manifest, old, replacement, 1)
		if changed == manifest || len(readDeployment(t, changed).check()) != 1 {
			t.Errorf("%s in place of %s isn't found, or isn't there", replacement, old)
		}
	}
}
