package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// Fields of other tools that people paste. A message then names ours, or says why there
// is none. The names are compared without case, "_" and "-", so that a table of a few
// dozen knows the spellings of Envoy, Istio, Gateway API, nginx, Traefik, Kong, APISIX,
// S3, Spring, ASP.NET, express, rs/cors, gin, tower-http, rack-cors, django, Laravel and
// Flask.

// foreignFields are fields that mean the same as one of ours.
var foreignFields = map[string]string{
	"origin": "allow_origins", "origins": "allow_origins", "alloworigin": "allow_origins", "allowedorigin": "allow_origins",
	"allowedorigins": "allow_origins", "accesscontrolalloworigin": "allow_origins", "accesscontrolalloworiginlist": "allow_origins",
	"corsalloworigin": "allow_origins", "corsallowedorigins": "allow_origins", "corsoriginwhitelist": "allow_origins", "originwhitelist": "allow_origins",
	"originlist": "allow_origins", "alloworiginlist": "allow_origins", "allowlist": "allow_origins", "whitelist": "allow_origins", "withorigins": "allow_origins",
	"alloworiginstringmatch": "allow_origins", "quarkushttpcorsorigins": "allow_origins", "allowhost": "allow_origins", "allowhosts": "allow_origins", "domainwhitelist": "allow_origins",

	"method": "allow_methods", "methods": "allow_methods", "allowmethod": "allow_methods", "allowedmethod": "allow_methods",
	"allowedmethods": "allow_methods", "accesscontrolallowmethods": "allow_methods", "corsallowmethods": "allow_methods", "withmethods": "allow_methods",
	"allowedhttpmethods": "allow_methods", "corsallowedmethods": "allow_methods", "allowmethodslist": "allow_methods", "verbs": "allow_methods", "httpmethods": "allow_methods", "additionalmethods": "allow_methods",

	"header": "allow_headers", "headers": "allow_headers", "allowheader": "allow_headers", "allowedheader": "allow_headers",
	"allowedheaders": "allow_headers", "accesscontrolallowheaders": "allow_headers", "corsallowheaders": "allow_headers", "withheaders": "allow_headers",
	"requestheaders": "allow_headers", "allowedhttpheaders": "allow_headers", "corsallowedheaders": "allow_headers", "allowheaderslist": "allow_headers", "additionalheaders": "allow_headers",

	"exposeheader": "expose_headers", "exposedheader": "expose_headers", "exposedheaders": "expose_headers", "expose": "expose_headers",
	"accesscontrolexposeheaders": "expose_headers", "corsexposeheaders": "expose_headers", "withexposedheaders": "expose_headers", "responseheaders": "expose_headers",
	"corsexposedheaders": "expose_headers", "exposeheaderslist": "expose_headers", "additionalexposedheaders": "expose_headers",

	"credentials": "allow_credentials", "credential": "allow_credentials", "allowcredential": "allow_credentials", "supportscredentials": "allow_credentials",
	"supportcredentials": "allow_credentials", "accesscontrolallowcredentials": "allow_credentials", "corsallowcredentials": "allow_credentials",
	"withcredentials": "allow_credentials", "corssupportcredentials": "allow_credentials", "corssupportscredentials": "allow_credentials", "allowcreds": "allow_credentials",

	"maxageseconds": "max_age", "maxageinseconds": "max_age", "maxagesec": "max_age", "accesscontrolmaxage": "max_age", "corsmaxage": "max_age", "preflightmaxage": "max_age",
	"corspreflightmaxage": "max_age", "setpreflightmaxage": "max_age", "age": "max_age", "ttl": "max_age", "maxageduration": "max_age", "preflightcache": "max_age", "cachemaxage": "max_age",

	"privatenetwork": "allow_private_network", "privatenetworkaccess": "allow_private_network", "accesscontrolallowprivatenetwork": "allow_private_network",
	"corsallowprivatenetwork": "allow_private_network", "allowprivatenetworkaccess": "allow_private_network",

	"optionssuccessstatus": "preflight_status", "optionsstatus": "preflight_status", "optionsresponsestatuscode": "preflight_status", "preflightstatuscode": "preflight_status",
	"successstatus": "preflight_status", "optionsresponsestatus": "preflight_status", "preflightresponsestatus": "preflight_status",

	"id": "name", "policyname": "name",
}

// foreignAdvice says what to do about fields that have no field of ours that reads the
// same. It follows "is not a field; ".
var foreignAdvice = map[string]string{
	"alloworiginregex": byRegex, "alloworiginsbyregex": byRegex, "alloworiginregexes": byRegex, "allowedoriginregex": byRegex, "allowedoriginregexes": byRegex,
	"allowedoriginpatterns": byPattern, "alloworiginpatterns": byPattern, "originpatterns": byPattern, "alloworiginpattern": byPattern, "allowedoriginsregex": byRegex, "corsallowedoriginspatterns": byPattern,
	"accesscontrolalloworiginlistregex": byRegex, "corsallowedoriginregexes": byRegex,
	"corsoriginregexwhitelist": byRegex, "originregex": byRegex, "originregexes": byRegex, "regex": byRegex,

	"allowallorigins": everyOrigin, "allowanyorigin": everyOrigin, "corsallowallorigins": everyOrigin, "corsoriginallowall": everyOrigin, "anyorigin": everyOrigin, "anyhost": everyOrigin,
	"allowallmethods": `write ["*"] into allow_methods`, "allowanymethod": `write ["*"] into allow_methods`,
	"allowallheaders": `write ["*"] into allow_headers`, "allowanyheader": `write ["*"] into allow_headers`,

	"alloworiginfunc": byFunction, "alloworiginrequestfunc": byFunction, "alloworiginvaryrequestfunc": byFunction, "setisoriginallowed": byFunction,
	"alloworiginwithcontextfunc": byFunction, "allowedoriginfn": byFunction, "alloworiginsfunc": byFunction, "allowedoriginvalidator": byFunction, "alloworiginsbymetadata": byFunction,

	"preflightcontinue": forwards, "optionspassthrough": forwards, "passthrough": forwards,
	"forwardnotmatchingpreflights": `write unmatched_preflights, "forward" or "reject"`,
	"disabled":                     `leave the policy out; write mode, "shadow", where it should change nothing`, "disable": `leave the policy out; write mode, "shadow", where it should change nothing`,
	"shadow": `write mode, "shadow"`, "dryrun": `write mode, "shadow"`, "reportonly": `write mode, "shadow"`,
	"timingalloworigin": noTiming, "timingalloworigins": noTiming, "timingalloworiginsbyregex": noTiming,
	"failurepolicy": outside, "failopen": outside, "vmconfig": outside, "rootid": outside, "phase": outside, "priority": outside, "failstrategy": outside,
	"$schema": "leave it out: name the schema in the editor's settings, or in a comment", "comment": noComment, "comments": noComment, "description": noComment, "//": noComment, "#": noComment, "": noComment, "version": "leave it out: the configuration has no version",
	"vary": "leave it out: the filter sets Vary itself", "addvaryheader": "leave it out: the filter sets Vary itself", "varyheader": "leave it out: the filter sets Vary itself",
	"enabled": `leave it out; write mode, "shadow", where the policy should change nothing`, "enable": `leave it out; write mode, "shadow", where the policy should change nothing`,
	"enablecors": "leave it out: the filter is on where it is in the chain", "corsenabled": "leave it out: the filter is on where it is in the chain",
	"filterenabled": `leave it out; write mode, "shadow", where the policy should change nothing`,
	"shadowenabled": `leave it out; write mode, "shadow", where the policy should change nothing`,
	"allowwildcard": "leave it out: wildcards are always read", "allowbrowserextensions": `leave it out; list their origins, such as "chrome-extension://…"`,
	"allowfiles": `leave it out; add "file://" to allow_origins`, "allowwebsockets": "leave it out: CORS has no say in a WebSocket handshake",
	"allowfileorigin": `leave it out; add "file://" to allow_origins`,

	"host": inMatch, "hosts": inMatch, "hostname": inMatch, "hostnames": inMatch, "domain": inMatch, "domains": inMatch, "path": inMatch, "paths": inMatch,
	"prefix": inMatch, "pathprefix": inMatch, "urls": inMatch, "resources": inMatch, "resource": inMatch, "route": inMatch, "routes": inMatch, "corsurlsregex": inMatch,

	"cors": unwrap, "corspolicy": unwrap, "corsconfiguration": unwrap, "corsrules": unwrap, "rules": unwrap, "config": unwrap, "configuration": unwrap,
	"pluginconfig": unwrap, "global": unwrap, "globalcors": unwrap, "corsfilter": unwrap, "rule": unwrap, "spec": unwrap, "value": unwrap, "typedconfig": unwrap, "corsconfig": unwrap,
	"apiversion": unwrap, "kind": unwrap, "metadata": unwrap,
}

const (
	byRegex     = `write each regex as an entry of allow_origins, {"regex": "…"}`
	everyOrigin = `write ["*"] into allow_origins`
	byPattern   = `write each pattern as an entry of allow_origins, such as "https://*.example.com"`
	noTiming    = "leave it out: Timing-Allow-Origin is no part of CORS"
	outside     = "write it where the filter is configured, not into the policies"
	noComment   = "leave it out: JSON has no comments; # begins one in YAML"
	byFunction  = "leave it out: a configuration has no functions; list the origins in allow_origins"
	forwards    = `leave it out; write unmatched_preflights, "forward", to have the upstream answer what isn't allowed`
	inMatch     = `write it into match, as in "match": {"hosts": ["api.example.com"], "paths": [{"prefix": "/v1"}]}`
	unwrap      = "leave it out: the policy's fields stand at the top, or in each of the policies"
)

// foreignInside are the same for the other objects: each has one of our fields that no other
// has.
var foreignInside = []struct {
	has    string
	fields map[string]string
	advice string // about the fields that follow
	about  []string
}{
	{
		"cluster",
		map[string]string{
			"poll": "interval", "period": "interval", "pollinterval": "interval", "refresh": "interval",
			"refreshinterval": "interval", "every": "interval", "host": "authority", "clustername": "cluster",
			"service": "cluster", "deadline": "timeout",
		},
		"write the name of one of Envoy's clusters into cluster, and what else the URL says into path and authority",
		[]string{"url", "uri", "address", "endpoint"},
	},
	{
		"exact",
		map[string]string{
			"path": "exact", "value": "exact", "equals": "exact", "pathprefix": "prefix", "pathseparatedprefix": "prefix",
			"startswith": "prefix",
		},
		"leave it out: paths have no regexes; write a prefix, or the name of Envoy's route into match.routes",
		[]string{"regex", "saferegex", "pathregex", "regexp", "matches"},
	},
	{
		"hosts",
		map[string]string{
			"host": "hosts", "hostname": "hosts", "hostnames": "hosts", "domain": "hosts", "domains": "hosts",
			"authority": "hosts", "authorities": "hosts",
			"path": "paths", "prefix": "paths", "prefixes": "paths", "uri": "paths", "uris": "paths", "url": "paths",
			"route": "routes", "routename": "routes", "routenames": "routes",
		},
		"leave it out: a policy is for hosts and paths; " +
			"what a route of Envoy matches by more, its name tells in match.routes",
		[]string{
			"method", "methods", "header", "headers", "queryparameter", "queryparameters", "queryparams", "port", "scheme",
			"sourceip",
		},
	},
	{
		"regex",
		nil,
		`leave it out: an entry is an origin or {"regex": "…"}`,
		[]string{
			"exact", "prefix", "suffix", "contains", "name", "pattern", "host", "domain", "scheme", "port", "glob",
			"wildcard",
		},
	},
}

// unknownField says what is wrong with a field that isn't one of the known ones, and
// what to write instead. present tells which of the known ones the object has, so that
// no field is suggested that would be given twice.
func unknownField(key string, where path, known, others []string, present func(field string) bool) (kind problem.Kind, what, instead string) {
	kind, what = problem.UnknownField, "is not a field"
	// Annotations and properties have prefixes and dots: "nginx.ingress.kubernetes.io/cors-max-age".
	plain := strings.ReplaceAll(separators.Replace(strings.ToLower(key[strings.LastIndexByte(key, '/')+1:])), ".", "")
	inDefaults := where.String() == "defaults"
	switch {
	case inDefaults && (canonical(key, policyFields[:nameAndMatch]) >= 0):
		return problem.MisplacedField, "can't be inherited", "move it into the policy that it is for"
	case !slices.Contains(known, "allow_credentials"):
		for _, object := range foreignInside {
			switch {
			case !slices.Contains(known, object.has):
			case object.fields[plain] != "":
				return kind, what, rename(object.fields[plain], present)
			case slices.Contains(object.about, plain):
				return kind, what, object.advice
			}
		}
	case foreignFields[plain] != "" && (!inDefaults || foreignFields[plain] != "name"):
		return kind, what, rename(foreignFields[plain], present)
	case foreignAdvice[plain] != "" && nearest(key, others) == "":
		return kind, what, foreignAdvice[plain]
	}
	if near := nearest(key, slices.Concat(known, others)); near != "" {
		return kind, what, rename(near, present)
	}
	return kind, what, "leave it out; the fields are " + strings.Join(known, ", ")
}

// rename says to write a field, or to write into it if it is there.
func rename(field string, present func(field string) bool) string {
	if present(field) {
		return "leave it out, or write what it says into " + field + ", which is there too"
	}
	return "write " + strconv.Quote(field)
}
