package convert

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// inputs are the names of the inputs in testdata/<format>.
func inputs(t *testing.T, format string) (paths []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", format, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(paths, func(path string) bool { return strings.Contains(path, ".golden.") })
}

func readInput(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRecognize: every input of every format is recognized as of that format, and of no
// other.
func TestRecognize(t *testing.T) {
	for _, format := range Formats() {
		for _, path := range inputs(t, format) {
			file := convertedFile(t, filepath.Base(path), readInput(t, path))
			switch recognized, by, err := Recognize(file); {
			case format == "higress" && isOurs(file):
				if err == nil || !strings.Contains(err.Error(), "for that write --from higress") {
					t.Errorf("%s is recognized as %q, %v", path, recognized, err)
				}
			case recognized != format:
				t.Errorf("%s is recognized as %q, %v", path, recognized, err)
			case by.Path == "" || by.What == "":
				t.Errorf("%s is recognized by %+v", path, by)
			}
		}
	}
}

// TestRecognizeTwo: of a file with policies of two formats it is said which they are, and
// where.
func TestRecognizeTwo(t *testing.T) {
	first := map[string]string{}
	for _, format := range Formats() {
		for _, path := range inputs(t, format) {
			if text := readInput(t, path); strings.HasSuffix(path, ".yaml") && first[format] == "" {
				first[format] = text
			}
		}
	}
	// Both have Ingresses, and with one of Higress all are taken for its own.
	alike := []string{"higress", "nginx-ingress"}
	for _, one := range Formats() {
		for _, other := range Formats() {
			if one >= other || slices.Contains(alike, one) && slices.Contains(alike, other) {
				continue
			}
			recognized, _, err := Recognize(convertedFile(t, "file.yaml", first[one]+"\n---\n"+first[other]))
			if err == nil || !strings.Contains(err.Error(), "has policies of several formats: ") ||
				!strings.Contains(err.Error(), one+" (") || !strings.Contains(err.Error(), other+" (") {
				t.Errorf("%s and %s in one file are recognized as %q, %v", one, other, recognized, err)
			}
		}
	}
}

// TestAmbiguous: what may be of several formats, or of none, is said.
func TestAmbiguous(t *testing.T) {
	const annotations = `{kind: Ingress, metadata: {name: i, annotations: {FIELDS}}, spec: {rules: [{host: a.example}]}}`
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "a: b", "has no CORS policy of a format that is known"},
		{"an empty object", "{}", "has no CORS policy of a format that is known"},
		{"this filter's", `{policies: [{name: a, match: {hosts: [a.example]}, allow_origins: ["*"]}]}`,
			"is a configuration of this filter already"},
		{"this filter's or Higress'", `allow_origins: ["https://a.example"]`, "for that write --from higress"},
		{"a bucket and an API in a template", `{Resources: {
			B: {Type: "AWS::S3::Bucket", Properties: {CorsConfiguration: {CorsRules: [{AllowedOrigins: ["*"], AllowedMethods: [GET]}]}}},
			A: {Type: "AWS::ApiGatewayV2::Api", Properties: {CorsConfiguration: {AllowOrigins: ["*"]}}}}}`,
			"has policies of several formats: aws-apigateway (Resources.A.Properties.CorsConfiguration in line 3) and s3 ("},
		{"Ingresses of two controllers", strings.ReplaceAll(annotations, "FIELDS",
			`nginx.ingress.kubernetes.io/enable-cors: "true"`) + "\n---\n" + strings.ReplaceAll(annotations, "FIELDS",
			`k8s.apisix.apache.org/enable-cors: "true"`), "several formats: apisix ("},
	} {
		t.Run(test.name, func(t *testing.T) {
			recognized, _, err := Recognize(convertedFile(t, "file.yaml", test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it is recognized as %q, %v, want %s", recognized, err, test.want)
			}
		})
	}
}
