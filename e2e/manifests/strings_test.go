package manifests_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/ohler55/ojg/jp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// languages read strings that schemas know nothing of, by the field that has them. All that
// read a regex of these fields, Envoy and the filter, take the syntax of RE2, as Go does but for
// \C, any byte, which Envoy takes: the filter's own reader is asked, too.
var languages = map[string]func(text string) error{
	"regex": func(text string) error {
		_, err := regexp.Compile(strings.ReplaceAll(text, `\C`, "."))
		return err
	},
	"jsonPath": func(text string) error { _, err := jp.ParseString(text); return err },
	"expression": func(text string) error {
		env, err := cel.NewEnv()
		if err != nil {
			return err
		}
		_, issues := env.Parse(text)
		return issues.Err()
	},
}

// operator finds what Envoy puts a value for, in the access log and in headers.
var operator = regexp.MustCompile(`%[A-Z_]{3,}`)

// checkStrings checks what the strings of a document are in: all of the languages, and in
// Envoy's formats.
func checkStrings(root, object string) (list []error) {
	var document any
	if err := json.Unmarshal([]byte(object), &document); err != nil {
		return []error{err}
	}
	formats := map[string]string{}
	walk("", document, func(field, text string) {
		if language := languages[field]; language != nil {
			if err := language(text); err != nil {
				list = append(list, fmt.Errorf("%s: %q: %w", field, text, err))
			}
		}
		if operator.MatchString(text) {
			formats[text] = text
		}
	})
	if len(formats) > 0 {
		if err := checkFormats(root, formats); err != nil {
			list = append(list, err)
		}
	}
	return list
}

// walk visits all strings below a value, each with the field that it is in.
func walk(field string, value any, visit func(field, text string)) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			walk(name, inner, visit)
		}
	case []any:
		for _, inner := range v {
			walk(field, inner, visit)
		}
	case string:
		visit(field, v)
	}
}

// checkFormats has Envoy read formats of its access log.
func checkFormats(root string, formats map[string]string) error {
	binary, err := envoy.Find(root)
	if err != nil {
		return err
	}
	const message = "type.googleapis.com/envoy.extensions."
	type object = map[string]any
	config, err := json.Marshal(object{"static_resources": object{"listeners": []object{{
		"address": object{"socket_address": object{"address": "127.0.0.1", "port_value": 0}},
		"filter_chains": []object{{"filters": []object{{
			"name": "http",
			"typed_config": object{
				"@type":        message + "filters.network.http_connection_manager.v3.HttpConnectionManager",
				"stat_prefix":  "http",
				"route_config": object{},
				"http_filters": []object{{
					"name":         "router",
					"typed_config": object{"@type": message + "filters.http.router.v3.Router"},
				}},
				"access_log": []object{{
					"name": "log",
					"typed_config": object{
						"@type":      message + "access_loggers.stream.v3.StdoutAccessLog",
						"log_format": object{"json_format": formats},
					},
				}},
			},
		}}}},
	}}}})
	if err != nil {
		return err
	}
	out, err := exec.Command(binary, "--mode", "validate", "--log-level", "error", "--config-yaml", string(config)).
		CombinedOutput()
	if err != nil {
		return fmt.Errorf("envoy --mode validate: %w\n%s", err, out)
	}
	return nil
}
