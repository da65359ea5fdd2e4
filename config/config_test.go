package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A problemTest is a document and its problems.
type problemTest struct {
	name, doc string
	want      []string
}

// problemTests have every problem, each with its place and what to write instead.
// Those that the engine finds are in the engine's tests; here they are for their place.
func problemTests() []problemTest {
	const ok = `"allow_origins": ["*"]`
	return []problemTest{
		// Modes.
		{"off with other fields", `{"mode": "off", "name": "a", "allow_origins": ["*"], "max_age": null}`, []string{
			`1:47 allow_origins: has no effect where mode is "off"; leave it out`,
			`1:65 max_age: has no effect where mode is "off"; leave it out`}},
		{"off by the defaults", `{"defaults": {"mode": "off", "max_age": 1}, "policies": [{"name": "a"}, {"name": "b", "match": {"hosts": ["b.test"]}, "allow_origins": ["*"]}]}`,
			[]string{`1:136 policies[1].allow_origins: has no effect where mode is "off"; leave it out`}},
		{"off in YAML", `{"mode": false, ` + ok + `}`, []string{
			`1:10 mode: is false, not a string; write "off", in quotes, because YAML takes it for false without`}},

		// Syntax (RFC 8259).
		{"empty", "",
			[]string{`1:1 configuration: is empty; write at least {"allow_origins": ["https://app.example"]}`}},
		{"blank", " \n\t",
			[]string{`1:1 configuration: is empty; write at least {"allow_origins": ["https://app.example"]}`}},
		{"not an object", `["*"]`, []string{`1:1 configuration: is a list, not an object; write {…}`}},
		{"a word", `allow_origins: ["*"]`,
			[]string{`1:1 configuration: unexpected 'a' where a value should stand; write the configuration as a JSON object, {…}`}},
		{"cut off", `{"allow_origins": ["*"`,
			[]string{`1:23 configuration: the configuration ends where a comma or a closing bracket should stand; check that nothing is cut off`}},
		{"cut off in a string", `{"allow_`,
			[]string{`1:9 configuration: the configuration ends where the end of a string should stand; check that nothing is cut off`}},
		{"trailing comma", "{\n  " + ok + ",\n}",
			[]string{`3:1 configuration: unexpected '}' where a field's name should stand; write names in double quotes, and no comma after the last field`}},
		{"trailing comma in a list", `{"allow_origins": ["*",]}`,
			[]string{`1:24 configuration: unexpected ']' where a value should stand; write a JSON value: strings stand in double quotes, and the last element has no comma after it`}},
		{"no comma", `{"a": 1 "b": 2}`,
			[]string{`1:9 configuration: unexpected '"' where a comma or a closing brace should stand; put a comma between fields`}},
		{"no colon", `{"a" 1}`,
			[]string{`1:6 configuration: unexpected '1' where a colon should stand; write "name": value`}},
		{"single quotes", `{"a": 'b'}`,
			[]string{`1:7 configuration: unexpected '\'' where a value should stand; write strings in double quotes`}},
		{"comment", "{ // why\n" + ok + "}",
			[]string{`1:3 configuration: unexpected '/' where a field's name should stand; write names in double quotes, and no comma after the last field`}},
		{"two documents", "{" + ok + "}\n{}",
			[]string{`2:1 configuration: there is more after the end of the configuration; leave out what follows, or check for a brace too many`}},
		{"literal", `{"a": True}`,
			[]string{`1:7 configuration: unexpected 'T' where a value should stand; write true`}},
		{"half a literal", `{"a": nul}`,
			[]string{`1:7 configuration: unexpected 'n' where a value should stand; write true, false or null, and strings in double quotes`}},
		{"leading zero", `{"max_age": 0600}`,
			[]string{`1:14 configuration: a number has a leading zero; leave the zero out`}},
		{"leading zero before a zero", `{"max_age": 00}`,
			[]string{`1:14 configuration: a number has a leading zero; leave the zero out`}},
		{"leading zero before a nine", `{"max_age": 09}`,
			[]string{`1:14 configuration: a number has a leading zero; leave the zero out`}},
		{"no digit", `{"max_age": -}`,
			[]string{`1:14 configuration: unexpected '}' where a digit should stand; write a decimal number`}},
		{"no fraction", `{"max_age": 1.}`,
			[]string{`1:15 configuration: unexpected '}' where a digit should stand; write a decimal number`}},
		{"no exponent", `{"max_age": 1e+}`,
			[]string{`1:16 configuration: unexpected '}' where a digit should stand; write a decimal number`}},
		{"line in a string", "{\"a\nb\": 1}",
			[]string{`1:4 configuration: a string goes over the end of its line; close it with a double quote`}},
		{"control character", "{\"a\x01\": 1}",
			[]string{`1:4 configuration: a string has a control character; write it as an escape such as \t`}},
		{"bad escape", `{"regex": "\d"}`,
			[]string{`1:13 configuration: unexpected 'd' where an escape character should stand; write a backslash as \\`}},
		{"bad unicode escape", `{"a": "\u12g4"}`,
			[]string{`1:12 configuration: unexpected 'g' where a hexadecimal digit of a \u escape should stand; write a backslash as \\`}},
		{"half of a pair", `{"regex": "\ud83d"}`,
			[]string{`1:12 configuration: a \u escape is half of a surrogate pair; write both halves, or the character itself`}},
		{"cut off after a pair", `{"regex": "\ud83d\ude00`,
			[]string{`1:24 configuration: the configuration ends where the end of a string should stand; check that nothing is cut off`}},
		{"cut off in a literal", `{"debug": tru`,
			[]string{`1:11 configuration: unexpected 't' where a value should stand; write true, false or null, and strings in double quotes`}},
		{"not UTF-8", "{\"a\": \"\xff\"}",
			[]string{`1:8 configuration: a string is not valid UTF-8; save the file as UTF-8`}},
		{"column counts characters", `{"ä": "ö", x}`,
			[]string{`1:12 configuration: unexpected 'x' where a field's name should stand; write names in double quotes, and no comma after the last field`}},
		{"as deep as it may be", strings.Repeat("[", 32) + "1" + strings.Repeat("]", 32),
			[]string{`1:1 configuration: is a list, not an object; write {…}`}},
		{"objects too deep", strings.Repeat(`{"a":`, 100),
			[]string{`1:161 configuration: objects and lists are nested more than 32 levels deep; no field of the configuration is that deep`}},
		{"too deep", strings.Repeat("[", 100),
			[]string{`1:33 configuration: objects and lists are nested more than 32 levels deep; no field of the configuration is that deep`}},
		{"too long", strings.Repeat(" ", config.MaxSize+1),
			[]string{`1:1 configuration: is 16777217 bytes long; write at most 16777216 bytes`}},

		// Fields.
		{"unknown field", `{` + ok + `, "allow_orgins": []}`,
			[]string{`1:26 allow_orgins: is not a field; leave it out, or write what it says into allow_origins, which is there too`}},
		{"unknown camel field", `{` + ok + `, "allowCredential": true}`,
			[]string{`1:26 allowCredential: is not a field; write "allow_credentials"`}},
		{"hyphens", `{` + ok + `, "max-age": 1}`, []string{`1:26 max-age: is not a field; write "max_age"`}},
		{"quite unknown field", `{` + ok + `, "a\"b": 1}`,
			[]string{`1:26 "a\"b": is not a field; leave it out; the fields are name, match, allow_origins, allow_methods, allow_headers, expose_headers, allow_credentials, max_age, allow_private_network, unmatched_preflights, preflight_status, upstream_cors_headers, origin_lookup, debug, mode`}},
		{"field twice", `{` + ok + `, "max_age": 1, "max_age": 2}`,
			[]string{`1:40 max_age: is given twice; leave one out`}},
		{"field in both spellings", `{` + ok + `, "maxAge": 1, "max_age": 2}`,
			[]string{`1:39 max_age: is given twice; leave one out`}},
		{"field twice by an escape", `{` + ok + `, "allow\u005forigins": ["*"]}`,
			[]string{`1:26 allow_origins: is given twice; leave one out`}},
		{"missing origins", "{\n}",
			[]string{`1:1 allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`}},
		{"empty origins", `{"allow_origins": []}`,
			[]string{`1:19 allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`}},
		{"null origins", `{"allow_origins": null}`,
			[]string{`1:19 allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`}},
		{"all problems at once",
			"{\n \"allow_origins\": [\"https://a.example/\", 1],\n \"max_age\": -1,\n \"mode\": \"on\"\n}", []string{
				`2:20 allow_origins[0]: "https://a.example/" has a path (a trailing slash), and an origin is only scheme, host and port; write "https://a.example"`,
				`2:42 allow_origins[1]: is the number 1, not an origin; write a string such as "https://app.example", or {"regex": "…"}`,
				`3:13 max_age: -1 seconds are out of range; write 0 if browsers should not remember it, or leave it out`,
				`4:10 mode: "on" is not one of enforce, shadow, off; write "enforce", "shadow" or "off"`}},
		{"place after an element of a wrong type", `{"allow_origins": [1, "a"]}`, []string{
			`1:20 allow_origins[0]: is the number 1, not an origin; write a string such as "https://app.example", or {"regex": "…"}`,
			`1:23 allow_origins[1]: "a" has no scheme; write "https://a"`}},

		// Types and values.
		{"origins not a list", `{"allow_origins": "*"}`,
			[]string{`1:19 allow_origins: is the string "*", not a list; write ["*"]`}},
		{"origin object", `{"allow_origins": [{"exact": "https://a.example"}]}`, []string{
			`1:20 allow_origins[0]: is an origin in the form of another tool; write "https://a.example"`}},
		{"regex not a string", `{"allow_origins": [{"regex": 1}]}`,
			[]string{`1:30 allow_origins[0].regex: is the number 1, not a string; write a string`}},
		{"methods not strings", `{` + ok + `, "allow_methods": ["PUT", null, ["x"]]}`, []string{
			`1:51 allow_methods[1]: is null, not a string; leave it out`,
			`1:57 allow_methods[2]: is a list, not a string; write a string`}},
		{"headers an object", `{` + ok + `, "allow_headers": {}}`,
			[]string{`1:43 allow_headers: is an object, not a list; write a list, […]`}},
		{"credentials a string", `{` + ok + `, "allow_credentials": "true"}`,
			[]string{`1:47 allow_credentials: is the string "true", not true or false; write true, without quotes`}},
		{"private network a number", `{` + ok + `, "allow_private_network": 1}`,
			[]string{`1:51 allow_private_network: is the number 1, not true or false; write true`}},
		{"max age a boolean", `{` + ok + `, "max_age": true}`,
			[]string{`1:37 max_age: is true, not a number of seconds; write seconds, such as 600, or a duration, such as "10m"`}},
		{"max age a fraction", `{` + ok + `, "max_age": 1.5}`,
			[]string{`1:37 max_age: 1.5 is not a whole number of seconds; write 2`}},
		{"max age an exponent", `{` + ok + `, "max_age": 1e2}`,
			[]string{`1:37 max_age: 1e2 is a whole number that isn't written as one; write 100`}},
		{"max age an exponent of the most", `{` + ok + `, "max_age": 8.64e4}`,
			[]string{`1:37 max_age: 8.64e4 is a whole number that isn't written as one; write 86400`}},
		{"max age a fraction of nothing", `{` + ok + `, "max_age": 0.0}`,
			[]string{`1:37 max_age: 0.0 is a whole number that isn't written as one; write 0`}},
		{"max age a fraction below", `{` + ok + `, "max_age": -0.5}`,
			[]string{`1:37 max_age: -0.5 seconds are out of range; write 7200, or at most 86400`}},
		{"max age a fraction above", `{` + ok + `, "max_age": 86400.5}`,
			[]string{`1:37 max_age: 86400.5 seconds are out of range; write 7200, or at most 86400`}},
		{"max age huge", `{` + ok + `, "max_age": 99999999999999999999}`,
			[]string{`1:37 max_age: 99999999999999999999 seconds are out of range; write 7200, or at most 86400`}},
		{"max age above", `{` + ok + `, "max_age": 86401}`,
			[]string{`1:37 max_age: 86401 seconds are out of range; write 7200, which is as long as Chromium remembers, or at most 86400`}},
		{"max age a number in a string", `{` + ok + `, "max_age": "600"}`,
			[]string{`1:37 max_age: "600" is not a duration; write 600, or "600s"`}},
		{"max age a duration of milliseconds", `{` + ok + `, "max_age": "1500ms"}`,
			[]string{`1:37 max_age: "1500ms" is not a whole number of seconds; write 2, or "2s"`}},
		{"max age a long duration", `{` + ok + `, "max_age": "25h"}`,
			[]string{`1:37 max_age: 90000 seconds are out of range; write 7200, which is as long as Chromium remembers, or at most 86400`}},
		{"max age warning", `{` + ok + `, "max_age": "24h"}`,
			[]string{`1:37 max_age: 86400 seconds are more than Chromium remembers; write at most 7200 to have the same in all browsers`}},
		{"unmatched preflights", `{` + ok + `, "unmatched_preflights": "UNSPECIFIED"}`,
			[]string{`1:50 unmatched_preflights: "UNSPECIFIED" is not one of reject, forward; write "reject" or "forward"`}},
		{"preflight status", `{` + ok + `, "preflight_status": 201}`,
			[]string{`1:46 preflight_status: 201 is out of range; write 200 or 204`}},
		{"preflight status zero", `{` + ok + `, "preflight_status": 0}`,
			[]string{`1:46 preflight_status: 0 is out of range; write 200 or 204`}},
		{"preflight status a string", `{` + ok + `, "preflight_status": "204"}`,
			[]string{`1:46 preflight_status: is the string "204", not a number; write 204`}},
		{"upstream headers", `{` + ok + `, "upstream_cors_headers": "Keep"}`,
			[]string{`1:51 upstream_cors_headers: "Keep" is not one of replace, keep; write "keep"`}},
		{"name", `{` + ok + `, "name": "a b"}`,
			[]string{`1:34 name: "a b" is not a name; write 1 to 64 letters, digits, dots, hyphens and underscores`}},
		{"name a number", `{` + ok + `, "name": 1}`,
			[]string{`1:34 name: is the number 1, not a string; write a string`}},

		// Policies and defaults.
		{"policies empty", `{"policies": []}`, []string{`1:14 policies: is empty; write at least one policy`}},
		{"policies an object", `{"policies": {}}`,
			[]string{`1:14 policies: is an object, not a list; write a list, […]`}},
		{"policies null", `{"policies": null}`, []string{`1:14 policies: is empty; write at least one policy`}},
		{"policies an object over several lines", "{\"policies\": {\n\"name\": \"a\"}}",
			[]string{`1:14 policies: is an object, not a list; write a list, […]`}},
		{"meant to be policies", `{"polices": []}`, []string{
			`1:1 allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`,
			`1:2 polices: is not a field; write "policies"`}},
		{"match of a wrong type is no conflict", `{"policies": [{"name": "a", ` + ok +
			`, "match": {"hosts": "a.test"}}, {"name": "b", ` + ok + `}]}`, []string{
			`1:72 policies[0].match.hosts: is the string "a.test", not a list; write ["a.test"]`}},
		{"conflict after what is no policy", `{"policies": [1, {"name": "a", ` + ok + `}, {"name": "b", ` + ok + `}]}`,
			[]string{
				`1:15 policies[0]: is the number 1, not an object; write {"name": …, "allow_origins": […]}`,
				`1:57 policies[2].match: claims every host and every path, as policies[1] does; give the two policies different matches, or make them one`}},
		{"duplicates in a match",
			`{` + ok +
				`, "match": {"hosts": ["a.test", "A.test"], "paths": [{"prefix": "/x"}, {"prefix": "/x/"}], "routes": ["r", "r"]}}`, []string{
				`1:56 match.hosts[1]: "a.test" is listed twice; leave one out`,
				`1:95 match.paths[1]: "/x" is listed twice; leave one out`,
				`1:131 match.routes[1]: "r" is listed twice; leave one out`}},
		{"defaults alone", `{"defaults": {}}`,
			[]string{`1:1 policies: is missing beside defaults; write the list of policies`}},
		{"defaults a list", `{"policies": [{"name": "a", ` + ok + `}], "defaults": []}`,
			[]string{`1:67 defaults: is a list, not an object; write an object`}},
		{"defaults with a name and a match", `{"policies": [{"name": "a", ` + ok +
			`}], "defaults": {"name": "b", "match": {}}}`, []string{
			`1:68 defaults.name: can't be inherited; move it into the policy that it is for`,
			`1:81 defaults.match: can't be inherited; move it into the policy that it is for`}},
		{"defaults with an unknown field", `{"policies": [{"name": "a", ` + ok + `}], "defaults": {"max-age": 1}}`,
			[]string{`1:68 defaults.max-age: is not a field; write "max_age"`}},
		{"one field in each of two policies", `{"policies": [{"name": "a", "max-age": 1, "max_age": 1, ` + ok +
			`, "match": {"routes": ["a"]}}, {"name": "b", "max-age": 1, ` + ok + `}]}`, []string{
			`1:29 policies[0].max-age: is not a field; leave it out, or write what it says into max_age, which is there too`,
			`1:124 policies[1].max-age: is not a field; write "max_age"`}},
		{"the same problems in defaults and in a policy",
			`{"defaults": {"allow_origins": ["a"]}, "policies": [{"name": "a", "allow_origins": ["a"]}]}`, []string{
				`1:33 defaults.allow_origins[0]: "a" has no scheme; write "https://a"`,
				`1:85 policies[0].allow_origins[0]: "a" has no scheme; write "https://a"`}},
		{"the same error and warning in two policies", `{"policies": [` +
			`{"name": "a", "allow_origins": ["a", "https://b.test", "https://b.test"], "match": {"routes": ["a"]}}, ` +
			`{"name": "b", "allow_origins": ["a", "https://b.test", "https://b.test"]}]}`, []string{
			`1:47 policies[0].allow_origins[0]: "a" has no scheme; write "https://a"`,
			`1:70 policies[0].allow_origins[2]: "https://b.test" is already allow_origins[1]; leave one out`,
			`1:150 policies[1].allow_origins[0]: "a" has no scheme; write "https://a"`,
			`1:173 policies[1].allow_origins[2]: "https://b.test" is already allow_origins[1]; leave one out`}},
		{"defaults, of which an heir may allow credentials",
			`{"defaults": {"allow_origins": ["all"]}, "policies": [{"name": "a"}]}`, []string{
				`1:33 defaults.allow_origins[0]: "all" is not an origin; list the origins, or leave out allow_credentials`}},
		{"policies a string beside defaults", `{"defaults": {}, "policies": "a"}`,
			[]string{`1:30 policies: is the string "a", not a list; write a list, […]`}},
		{"policy's field on top", `{"policies": [{"name": "a", ` + ok + `}], "max_age": 1}`,
			[]string{`1:66 max_age: is a policy's field, beside "policies", "defaults" or "policy_source"; move it into a policy, or into defaults`}},
		{"policy not an object", `{"policies": ["a"]}`,
			[]string{`1:15 policies[0]: is the string "a", not an object; write {"name": …, "allow_origins": […]}`}},
		{"no name", `{"policies": [{` + ok + `}]}`,
			[]string{`1:15 policies[0].name: is missing; give the policy a name, such as "shop"`}},
		{"null name", `{"policies": [{"name": null, ` + ok + `}]}`,
			[]string{`1:15 policies[0].name: is missing; give the policy a name, such as "shop"`}},
		{"name twice", `{"policies": [{"name": "a", ` + ok + `, "match": {"hosts": ["a.test"]}}, {"name": "a", ` + ok +
			`}]}`,
			[]string{`1:95 policies[1].name: "a" is the name of policies[0] too; give each policy a name of its own`}},
		{"problem in a policy", "{\"policies\": [{\"name\": \"a\", " + ok +
			"},\n{\"name\": \"b\", \"allow_origins\": [\"x\"], \"match\": {\"hosts\": [\"b.test\"]}}]}", []string{
			`2:33 policies[1].allow_origins[0]: "x" has no scheme; write "https://x"`}},
		{"problem in the defaults, once",
			`{"policies": [{"name": "a", "match": {"hosts": ["a.test"]}}, {"name": "b"}], "defaults": {"allow_origins": ["x"]}}`, []string{
				`1:109 defaults.allow_origins[0]: "x" has no scheme; write "https://x"`}},
		{"problem in defaults that nobody inherits",
			`{"policies": [{"name": "a", ` + ok + `}], "defaults": {"allow_origins": ["x"]}}`, []string{
				`1:86 defaults.allow_origins[0]: "x" has no scheme; write "https://x"`}},
		{"inherited credentials", `{"policies": [{"name": "a", ` + ok + `}], "defaults": {"allow_credentials": true}}`,
			[]string{
				`1:47 policies[0].allow_origins[0]: "*" with allow_credentials would let every site act as the visitor; list the origins, or leave out allow_credentials`}},
		{"origins not inherited", `{"policies": [{"name": "a", "allow_origins": null}], "defaults": {` + ok + `}}`,
			[]string{
				`1:46 policies[0].allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`}},
		{"match a list", `{` + ok + `, "match": []}`,
			[]string{`1:35 match: is a list, not an object; write {"hosts": […], "paths": […]}`}},
		{"match",
			`{` + ok +
				`, "match": {"host": [], "paths": ["/", {}, {"exact": "/", "prefix": "/"}, {"prefix": 1}, {"prefix": "v1"}], "hosts": ["*"], "routes": [1]}}`, []string{
				`1:36 match.host: is not a field; leave it out, or write what it says into hosts, which is there too`,
				`1:58 match.paths[0]: is the string "/", not a path match; write {"exact": "/"} or {"prefix": "/"}`,
				`1:63 match.paths[1]: has neither an exact path nor a prefix; write {"exact": "/path"} or {"prefix": "/path"}`,
				`1:67 match.paths[2]: has an exact path and a prefix; write two entries`,
				`1:109 match.paths[3].prefix: is the number 1, not a string; write a string`,
				`1:113 match.paths[4]: the path "v1" doesn't begin with a slash; write {"prefix": "/v1"}`,
				`1:142 match.hosts[0]: "*" is not a host; leave out match.hosts for every host`,
				`1:159 match.routes[0]: is the number 1, not a string; write a string`}},
		{"what isn't a word", `{` + ok + `, "unmatched_preflights": false, "preflight_status": 204.0}`, []string{
			`1:50 unmatched_preflights: is false, not a string; write "reject" or "forward"`,
			`1:77 preflight_status: 204.0 is a whole number that isn't written as one; write 204`}},
		{"wildcards of other tools",
			`{` + ok + `, "allow_methods": ["ALL"], "allow_headers": ["x-*"], "expose_headers": ["x-*"]}`, []string{
				`1:44 allow_methods[0]: "ALL" is the name of a method, and stands for no other; write "*" for every method`,
				`1:70 allow_headers[0]: "x-*" is a name, and its star stands for nothing else: only "*" alone is a wildcard; write each of the names`,
				`1:97 expose_headers[0]: "x-*" is a name, and its star stands for nothing else: only "*" alone is a wildcard; write each of the names`}},
		{"paths that no request has",
			`{` + ok +
				`, "match": {"paths": [{"prefix": "/v1/{id}"}, {"exact": "/a/../b/./c"}, {"exact": "/.well-known/x"}, {"exact": "/c/.."}]}}`, []string{
				`1:46 match.paths[0]: the path "/v1/{id}" has a placeholder in braces, which stands for nothing else; write {"prefix": "/v1"}`,
				`1:70 match.paths[1]: the path "/a/../b/./c" has a dot as a segment, which browsers take out; write {"exact": "/b/c"}`,
				`1:125 match.paths[3]: the path "/c/.." has a dot as a segment, which browsers take out; write {"exact": "/"}`}},
		{"policy source",
			`{"policy_source": {"cluster": "", "path": "cors.json", "authority": "a b", "interval": "10ms", "timeout": true, "retries": 1}}`, []string{
				`1:31 policy_source.cluster: is empty; write the name of the cluster to fetch the policies from`,
				`1:43 policy_source.path: is not a path; write a path such as "/cors.json"`,
				`1:69 policy_source.authority: is not a host; write a host such as "policies.internal"`,
				`1:88 policy_source.interval: "10ms" is out of range; write 100ms to 24h0m0s`,
				`1:107 policy_source.timeout: is true, not a duration; write a duration, such as "2s"`,
				`1:113 policy_source.retries: is not a field; leave it out; the fields are cluster, path, authority, interval, timeout, wait`}},
		{"policy source with a character that no path has", "{\"policy_source\": {\"cluster\": \"c\", \"path\": \"/\x7f\"}}",
			[]string{`1:44 policy_source.path: is not a path; write a path such as "/cors.json"`}},
		{"policy source without a cluster", `{"policySource": {"interval": 90000}}`, []string{
			`1:18 policy_source.cluster: is missing; write the name of the cluster to fetch the policies from`,
			`1:31 policy_source.interval: 90000 is out of range; write 100ms to 24h0m0s`}},
		{"policy source with an interval just above a day",
			`{"policy_source": {"cluster": "c", "interval": 86400.0000000001}}`, []string{
				`1:48 policy_source.interval: 86400.0000000001 is out of range; write 100ms to 24h0m0s`}},
		{"policy source that waits too long", `{"policy_source": {"cluster": "c", "wait": "5m1s"}}`, []string{
			`1:44 policy_source.wait: "5m1s" is out of range; write 1s to 5m0s`}},
		{"policy source that waits for no time", `{"policy_source": {"cluster": "c", "wait": 0}}`, []string{
			`1:44 policy_source.wait: 0 is out of range; write 1s to 5m0s`}},
		{"policy source that waits for something", `{"policy_source": {"cluster": "c", "wait": true}}`, []string{
			`1:44 policy_source.wait: is true, not a duration; write a duration, such as "30s"`}},
		{"policy source beside a policy's fields", `{"policy_source": {"cluster": "c"}, "allow_origins": ["*"]}`,
			[]string{
				`1:54 allow_origins: is a policy's field, beside "policies", "defaults" or "policy_source"; move it into a policy, or into defaults`}},
		{"null policy source", `{"policy_source": null}`,
			[]string{`1:1 policies: is missing; write the list of policies`}},
		{"policy source a string", `{"policy_source": "c"}`, []string{
			`1:1 policies: is missing; write the list of policies`,
			`1:19 policy_source: is the string "c", not an object; write an object`}},
		// The parser of regexes repeats the regex as it is.
		{"a bad regex with a line break", `{"allow_origins": [{"regex": "a\n)"}]}`,
			[]string{`1:20 allow_origins[0]: the regex "a\n)" is invalid: unexpected ): "a\n)"; write it in RE2 syntax`}},
		{"a long list of methods", `{` + ok + `, "allow_methods": [` + strings.Repeat(`"PUT", `, 20_000) + `"PUT"]}`,
			[]string{
				`1:43 allow_methods: has 20001 entries, and may have 10922; shorten the list`}},
		{"a long list of headers, as a header", `{` + ok + `, "allow_headers": ["` + strings.Repeat("x", 20_000) +
			`", "` + strings.Repeat("y", 20_000) + `"]}`, []string{
			`1:43 allow_headers: has 40004 bytes as a header, and may have 32768; shorten the list`}},
		{"a long list of defaults, once",
			`{"policies": [{"name": "a", "match": {"routes": ["a"]}}, {"name": "b"}, {"name": "c", "allow_credentials": true, "match": {"routes": ["c"]}}], ` +
				`"defaults": {"allow_origins": ["https://a.example"], "expose_headers": ["` +
				strings.Repeat("x", 40_000) + `"]}}`, []string{
				`1:215 defaults.expose_headers: has 40002 bytes as a header, and may have 32768; shorten the list`}},
		{"a URL as an authority", `{"policy_source": {"cluster": "c", "authority": "https://policies.internal/"}}`,
			[]string{
				`1:49 policy_source.authority: is not a host; write a host such as "policies.internal"`}},
		{"long texts of a policy source", `{"policy_source": {"cluster": "` + strings.Repeat("c", 5000) +
			`", "path": "/` + strings.Repeat("p", 5000) + `", "authority": "` + strings.Repeat("a", 5000) + `"}}`,
			[]string{
				`1:31 policy_source.cluster: is longer than 4096 bytes; shorten it`,
				`1:5043 policy_source.path: is not a path; write a path such as "/cors.json"`,
				`1:10061 policy_source.authority: is not a host; write a host such as "policies.internal"`}},
		{"origin lookup",
			`{"origin_lookup": {"cluster": "c", "path": "lookup", "authority": "a/b", "timeout": "0s", "ttl": "25h", "stale": -1, "max_entries": 0, "retries": 1}}`,
			[]string{
				`1:44 origin_lookup.path: is not a path; write a path such as "/v1/lookup"`,
				`1:67 origin_lookup.authority: is not a host; write a host such as "policies.internal"`,
				`1:85 origin_lookup.timeout: "0s" is out of range; write 10ms to 1m0s`,
				`1:98 origin_lookup.ttl: "25h" is out of range; write 0s to 24h0m0s`,
				`1:114 origin_lookup.stale: -1 is out of range; write 0s to 168h0m0s`,
				`1:133 origin_lookup.max_entries: 0 is out of range; write 10000, or another whole number from 1 to 100000`,
				`1:136 origin_lookup.retries: is not a field; leave it out; the fields are cluster, path, authority, timeout, ttl, stale, max_entries`}},
		{"origin lookup of other types",
			`{"origin_lookup": {"cluster": 1, "ttl": true, "max_entries": 1.5, "maxEntries": "1000"}}`, []string{
				`1:31 origin_lookup.cluster: is the number 1, not a string; write a string`,
				`1:41 origin_lookup.ttl: is true, not a duration; write a duration, such as "1m0s"`,
				`1:62 origin_lookup.max_entries: 1.5 is out of range; write 10000, or another whole number from 1 to 100000`,
				`1:67 origin_lookup.max_entries: is given twice; leave one out`}},
		{"origin lookup with a number in quotes", `{"origin_lookup": {"cluster": "c", "max_entries": "1000"}}`, []string{
			`1:51 origin_lookup.max_entries: is the string "1000", not a number; write 1000`}},
		{"origin lookup without a cluster", `{"defaults": {"originLookup": {}}, "policies": [{"name": "p"}]}`, []string{
			`1:31 defaults.origin_lookup.cluster: is missing; write the name of the cluster to look origins up in`}},
		{"origin lookup a string", `{"origin_lookup": "policies"}`, []string{
			`1:19 origin_lookup: is the string "policies", not an object; write an object`}},
		{"origin lookup that is never asked", `{"allow_origins": ["*"], "origin_lookup": {"cluster": "c"}}`, []string{
			`1:43 origin_lookup: is never asked, because allow_origins has "*"; leave one of them out`}},
		{"origin lookup of a policy whose origins are few",
			`{"allow_origins": ["https://a.test"], "origin_lookup": {"cluster": "c"}}`, nil},
		{"origin lookup that a policy inherits which doesn't need it",
			`{"defaults": {"origin_lookup": {"cluster": "c"}}, "policies": [{"name": "p", "allow_origins": ["*"]}]}`, nil},
		{"origin lookup that is unset",
			`{"defaults": {"origin_lookup": {"cluster": "c"}}, "policies": [{"name": "p", "origin_lookup": null}]}`,
			[]string{
				`1:64 policies[0].allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`}},
		{"origin lookup of a policy that is off", `{"mode": "off", "origin_lookup": {"cluster": "c"}}`, []string{
			`1:34 origin_lookup: has no effect where mode is "off"; leave it out`}},
		// A policy that doesn't compile once crashed the check of what the others match.
		{"problem in one policy, match in another",
			`{"policies": [{"name": "a", "allow_origins": {}}, {"name": "b", "match": {"hosts": ["b.test"]}, ` + ok +
				`}]}`, []string{
				`1:46 policies[0].allow_origins: is an object, not a list; write a list, […]`}},
		{"conflict", `{"policies": [{"name": "a", ` + ok + `}, {"name": "b", ` + ok + `}]}`, []string{
			`1:54 policies[1].match: claims every host and every path, as policies[0] does; give the two policies different matches, or make them one`}},
		{"conflict of hosts", `{"policies": [{"name": "a", "match": {"hosts": ["a.test"]}, ` + ok +
			`}, {"name": "b", "match": {"hosts": ["b.test", "A.test"]}, ` + ok + `}]}`, []string{
			`1:130 policies[1].match.hosts[1]: claims the host a.test and every path, as policies[0] does; give the two policies different matches, or make them one`}},
	}
}

func TestProblems(t *testing.T) {
	for _, test := range problemTests() {
		t.Run(test.name, func(t *testing.T) {
			c, problems := config.Parse(test.doc)
			got := []string(nil)
			for _, p := range problems {
				if got = append(got, p.Error()); p.Kind == 0 {
					t.Errorf("%v has no kind", p)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (c == nil) != (len(config.Errors(problems)) > 0) {
				t.Errorf("configuration %v with problems %v", c, got)
			}
		})
	}
}

// TestManyProblems: a hundred problems are described, the others counted, and an error
// is told before any warning.
func TestManyProblems(t *testing.T) {
	const warnings, errors = 1000, 300
	duplicates := strings.Repeat(`"https://a.example", `, warnings+1)
	for _, test := range []struct {
		name, doc              string
		described, more        int
		moreErrors, moreWarned int
		last                   string
		warning                bool
	}{
		{"warnings alone", `{"allow_origins": [` + duplicates + `"https://b.example"]}`, 100, warnings - 100, 0, 900,
			"configuration: and 900 more problems", true},
		{"one more than a hundred", `{"allow_origins": [` + strings.Repeat(`"https://a.example", `, 101) +
			`"https://a.example"]}`, 100, 1, 0, 1, "configuration: and 1 more problem", true},
		{"a hundred", `{"allow_origins": [` + strings.Repeat(`"https://a.example", `, 100) + `"https://a.example"]}`,
			100, 0, 0, 0, `allow_origins[100]: "https://a.example" is already allow_origins[0]; leave one out`, true},
		{"an error after warnings", `{"allow_origins": [` + duplicates + `"https://b.example/"]}`, 100, warnings - 99, 0, 901,
			"configuration: and 901 more problems", false},
		{"errors after warnings", `{"allow_origins": [` + duplicates +
			strings.TrimSuffix(strings.Repeat(`"https://b.example/", `, errors), ", ") + `]}`, 100,
			warnings + errors - 100, 200, 1000, "configuration: and 1200 more problems", false},
		{"a problem of the defaults, for all heirs once",
			`{"defaults": {"allow_origins": [` + strings.TrimSuffix(strings.Repeat(`"a", `, 99), ", ") +
				`], "max_age": -1}, "policies": [` +
				strings.TrimSuffix(strings.Repeat(`{"name": "a", "allow_credentials": true, "match": {"routes": ["r"]}}, `, 1), ", ") + `]}`, 100, 0, 0, 0, "defaults.max_age: -1 seconds are out of range; write 0 if browsers should not remember it, or leave it out", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, problems := config.Parse(test.doc)
			if (c != nil) != test.warning {
				t.Errorf("configuration %v", c)
			}
			described := problems
			if test.more > 0 {
				described = problems[:len(problems)-1]
			}
			if len(described) != test.described {
				t.Errorf("%d problems are described, want %d", len(described), test.described)
			}
			last := problems[len(problems)-1]
			if got := strings.SplitN(last.Error(), " ", 2)[1]; got != test.last || last.Warning != test.warning {
				t.Errorf("the last is %q, warning %t", got, last.Warning)
			}
			if last.MoreErrors != test.moreErrors || last.MoreWarnings != test.moreWarned {
				t.Errorf("%d more errors and %d more warnings, want %d and %d", last.MoreErrors, last.MoreWarnings,
					test.moreErrors, test.moreWarned)
			}
			if n := len(config.Errors(described)); !test.warning && n == 0 {
				t.Error("no error is described")
			}
		})
	}
}

// TestRegexBudget: the work for regexes is bounded for all policies together. These take
// a hundred times what is usual.
func TestRegexBudget(t *testing.T) {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b,
			`, {"name": "p%d", "match": {"hosts": ["h%d.test"]}, "allow_origins": [{"regex": "https://[a-z0-9.-]{1,200}\\.(a|b%d)\\.test"}]}`, i, i, i)
	}
	c, problems := config.Parse(`{"policies": [` + b.String()[1:] + `]}`)
	if c != nil || len(problems) == 0 || !strings.Contains(fmt.Sprint(problems[0]),
		"up to here the policies take more than 64 MiB of memory") {
		t.Error(problems)
	}
}

// TestSpellings: what other tools write reads the same.
func TestSpellings(t *testing.T) {
	for _, doc := range []string{
		`{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"], "allow_headers": ["X-A"], "expose_headers": ["X-B"], "allow_credentials": true, "max_age": 600, "unmatched_preflights": "forward"}`,
		`{"allowOrigins": ["https://app.example"], "allowMethods": ["PUT"], "allowHeaders": ["X-A"], "exposeHeaders": ["X-B"], "allowCredentials": true, "maxAge": "10m", "unmatchedPreflights": "FORWARD"}`,
		`{"allowOrigins": ["https:\/\/app.example"], "allow_methods": ["put"], "allowHeaders": ["X-A"], "exposeHeaders": ["X-B"], "allowCredentials": true, "maxAge": "600s", "unmatchedPreflights": "Forward", "allow_private_network": null, "mode": null, "match": null, "name": null, "preflight_status": null}`,
	} {
		c, problems := config.Parse(doc)
		if c == nil || len(problems) > 0 {
			t.Error(problems)
			continue
		}
		p := c.Policies.Lookup(match.Key{})
		d := p.Decide(&cors.Request{Method: "OPTIONS", Origin: "https://app.example", HasOrigin: true,
			RequestMethod: "PUT", RequestHeaders: []string{"x-a"}})
		want := "[{access-control-allow-origin https://app.example} {access-control-allow-credentials true} {access-control-allow-methods PUT} " +
			"{access-control-allow-headers X-A} {access-control-max-age 600} {vary Origin, Access-Control-Request-Method, Access-Control-Request-Headers}]"
		if got := fmt.Sprint(d.AppendHeaders(nil)); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", doc, got, want)
		}
		d = p.Decide(&cors.Request{Method: "OPTIONS", Origin: "https://evil.test", HasOrigin: true,
			RequestMethod: "PUT"})
		if d.Answered() {
			t.Errorf("%s: an unmatched preflight isn't forwarded", doc)
		}
	}
}

func TestPolicySource(t *testing.T) {
	c, problems := config.Parse(
		`{"policy_source": {"cluster": "policies", "path": "/cors.json?x", "authority": "policies.internal", "interval": "10s", "timeout": 0.5, "wait": "5m"}}`)
	if c == nil || c.Policies == nil || len(c.Policies.All()) > 0 {
		t.Fatal(c, problems)
	}
	want := config.PolicySource{Cluster: "policies", Path: "/cors.json?x", Authority: "policies.internal",
		Interval: 10 * time.Second, Timeout: 500 * time.Millisecond, Wait: 5 * time.Minute}
	if diff := cmp.Diff(want, *c.PolicySource); diff != "" {
		t.Error(diff)
	}
	c, problems = config.Parse(
		`{"policies": [{"name": "a", "allow_origins": ["*"]}], "policySource": {"cluster": "policies"}}`)
	if c == nil || len(c.Policies.All()) != 1 {
		t.Fatal(c, problems)
	}
	want = config.PolicySource{Cluster: "policies", Path: "/", Authority: "policies", Interval: 10 * time.Second,
		Timeout: 2 * time.Second}
	if diff := cmp.Diff(want, *c.PolicySource); diff != "" {
		t.Error(diff)
	}
	c, problems = config.ParseFetched(
		`{"policies": [{"name": "a", "allow_origins": ["*"]}], "policySource": {"cluster": "policies"}}`)
	if c != nil || len(problems) != 1 ||
		problems[0].Error() != "1:71 policy_source: stands in a document that a policy source serves; leave it out" {
		t.Error(c, problems)
	}
}

// TestPrefixes: a document that is cut off anywhere is refused, with a place in it.
func TestPrefixes(t *testing.T) {
	for _, c := range choices.Few(cases.All) {
		for n := range c.Config {
			parsed, problems := config.Parse(c.Config[:n])
			if parsed != nil || len(problems) != 1 || problems[0].Line < 1 || problems[0].Column < 1 {
				t.Fatalf("%q: %v", c.Config[:n], problems)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range cases.All {
		f.Add(c.Config)
	}
	for _, c := range cases.All[:20] {
		f.Add(c.Config[:len(c.Config)/2])
		f.Add(strings.Replace(c.Config, "https://", "ht\n", 1))
		f.Add("\n\n" + strings.Replace(c.Config, "origins", "örigins\\n", 1))
	}
	f.Fuzz(func(t *testing.T, doc string) {
		c, problems := config.Parse(doc)
		if (c == nil) != (len(config.Errors(problems)) > 0) {
			t.Fatalf("configuration %v with problems %v", c, problems)
		}
		lines := strings.Split(doc, "\n")
		for _, p := range problems {
			if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 {
				t.Errorf("no such place: %s", p)
			}
			if strings.ContainsAny(p.Error(), "\n\r") {
				t.Errorf("more than a line: %q", p)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1, 1000, 10_000} {
		var doc strings.Builder
		doc.WriteString(`{"defaults": {"allow_methods": ["PUT"]}, "policies": [`)
		for i := range n {
			if i > 0 {
				doc.WriteString(",\n")
			}
			fmt.Fprintf(&doc,
				`{"name": "p%d", "match": {"hosts": ["h%d.example.com"], "paths": [{"prefix": "/v1"}]}, "allow_origins": ["https://app-%d.example", "https://*.t%d.example.com"]}`, i, i, i, i)
		}
		doc.WriteString("]}")
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(doc.Len()))
			for b.Loop() {
				if c, problems := config.Parse(doc.String()); c == nil {
					b.Fatal(problems[0])
				}
			}
		})
	}
}
