package config

import (
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// Fields of other tools that people paste. A message then names ours, or says why there
// is none. The names are compared without case, "_" and "-", so that a table of a few
// dozen knows the spellings of Envoy, Istio, Gateway API, nginx, Traefik, Kong, APISIX,
// S3, Spring, ASP.NET, express, rs/cors, gin, tower-http, rack-cors, django, Laravel and
// Flask.

// foreignFields are such fields, for each kind of object. An object is known by one of our
// fields that no other has.
var foreignFields = []struct {
	has   string
	names []foreign
}{
	{"allow_credentials", []foreign{
		{"allow_origins", `
			origin origins alloworigin allowedorigin allowedorigins accesscontrolalloworigin
			accesscontrolalloworiginlist corsalloworigin corsallowedorigins corsoriginwhitelist originwhitelist
			originlist alloworiginlist allowlist whitelist withorigins alloworiginstringmatch quarkushttpcorsorigins
			allowhost allowhosts domainwhitelist`},
		{"allow_methods", `
			method methods allowmethod allowedmethod allowedmethods accesscontrolallowmethods corsallowmethods
			withmethods allowedhttpmethods corsallowedmethods allowmethodslist verbs httpmethods additionalmethods`},
		{"allow_headers", `
			header headers allowheader allowedheader allowedheaders accesscontrolallowheaders corsallowheaders
			withheaders requestheaders allowedhttpheaders corsallowedheaders allowheaderslist additionalheaders`},
		{"expose_headers", `
			exposeheader exposedheader exposedheaders expose accesscontrolexposeheaders corsexposeheaders
			withexposedheaders responseheaders corsexposedheaders exposeheaderslist additionalexposedheaders`},
		{"allow_credentials", `
			credentials credential allowcredential supportscredentials supportcredentials
			accesscontrolallowcredentials corsallowcredentials withcredentials corssupportcredentials
			corssupportscredentials allowcreds`},
		{"max_age", `
			maxageseconds maxageinseconds maxagesec accesscontrolmaxage corsmaxage preflightmaxage corspreflightmaxage
			setpreflightmaxage age ttl maxageduration preflightcache cachemaxage`},
		{"allow_private_network", `
			privatenetwork privatenetworkaccess accesscontrolallowprivatenetwork corsallowprivatenetwork
			allowprivatenetworkaccess`},
		{"preflight_status", `
			optionssuccessstatus optionsstatus optionsresponsestatuscode preflightstatuscode successstatus
			optionsresponsestatus preflightresponsestatus`},
		{"name", `id policyname`},
		{`write each regex as an entry of allow_origins, {"regex": "…"}`, `
			alloworiginregex alloworiginsbyregex alloworiginregexes allowedoriginregex allowedoriginregexes
			allowedoriginsregex accesscontrolalloworiginlistregex corsallowedoriginregexes corsoriginregexwhitelist
			originregex originregexes regex`},
		{`write each pattern as an entry of allow_origins, such as "https://*.example.com"`, `
			allowedoriginpatterns alloworiginpatterns originpatterns alloworiginpattern corsallowedoriginspatterns`},
		{`write ["*"] into allow_origins`, `
			allowallorigins allowanyorigin corsallowallorigins corsoriginallowall anyorigin anyhost`},
		{`write ["*"] into allow_methods`, `allowallmethods allowanymethod`},
		{`write ["*"] into allow_headers`, `allowallheaders allowanyheader`},
		{"leave it out: a configuration has no functions; list the origins in allow_origins", `
			alloworiginfunc alloworiginrequestfunc alloworiginvaryrequestfunc setisoriginallowed
			alloworiginwithcontextfunc allowedoriginfn alloworiginsfunc allowedoriginvalidator alloworiginsbymetadata`},
		{`leave it out; write unmatched_preflights, "forward", to have the upstream answer what isn't allowed`, `
			preflightcontinue optionspassthrough passthrough`},
		{`write unmatched_preflights, "forward" or "reject"`, `forwardnotmatchingpreflights`},
		{`leave the policy out; write mode, "off", where no other policy should apply`, `disabled disable`},
		{`write mode, "shadow"`, `shadow dryrun reportonly`},
		{"leave it out: Timing-Allow-Origin is no part of CORS", `
			timingalloworigin timingalloworigins timingalloworiginsbyregex`},
		{"write it where the filter is configured, not into the policies", `
			failurepolicy failopen vmconfig rootid phase priority failstrategy`},
		{"leave it out: name the schema in the editor's settings, or in a comment", `$schema`},
		{"leave it out: JSON has no comments; # begins one in YAML", `comment comments description // #`},
		{"leave it out: the configuration has no version", `version`},
		{"leave it out: the filter sets Vary itself", `vary addvaryheader varyheader`},
		{`leave it out; write mode, "shadow", where the policy should change nothing`, `
			enabled enable filterenabled shadowenabled`},
		{"leave it out: the filter is on where it is in the chain", `enablecors corsenabled`},
		{"leave it out: wildcards are always read", `allowwildcard`},
		{`leave it out; list their origins, such as "chrome-extension://…"`, `allowbrowserextensions`},
		{`leave it out; add "file://" to allow_origins`, `allowfiles allowfileorigin`},
		{"leave it out: CORS has no say in a WebSocket handshake", `allowwebsockets`},
		{`write it into match, as in "match": {"hosts": ["api.example.com"], "paths": [{"prefix": "/v1"}]}`, `
			host hosts hostname hostnames domain domains path paths prefix pathprefix urls resources resource route
			routes corsurlsregex`},
		{"leave it out: the policy's fields stand at the top, or in each of the policies", `
			cors corspolicy corsconfiguration corsrules rules config configuration pluginconfig global globalcors
			corsfilter rule spec value typedconfig corsconfig apiversion kind metadata`},
	}},
	{"cluster", []foreign{
		{"interval", `poll period pollinterval refresh refreshinterval every`},
		{"authority", `host`},
		{"cluster", `clustername service`},
		{"timeout", `deadline`},
		{
			"write the name of one of Envoy's clusters into cluster, and what else the URL says into path and authority",
			`url uri address endpoint`,
		},
	}},
	{"exact", []foreign{
		{"exact", `path value equals`},
		{"prefix", `pathprefix pathseparatedprefix startswith`},
		{
			"leave it out: paths have no regexes; write a prefix, or the name of Envoy's route into match.routes",
			`regex saferegex pathregex regexp matches`,
		},
	}},
	{"hosts", []foreign{
		{"hosts", `host hostname hostnames domain domains authority authorities`},
		{"paths", `path prefix prefixes uri uris url`},
		{"routes", `route routename routenames`},
		{
			"leave it out: a policy is for hosts and paths; what a route of Envoy matches by more, its name tells in match.routes",
			`method methods header headers queryparameter queryparameters queryparams port scheme sourceip`,
		},
	}},
	{"regex", []foreign{
		{`leave it out: an entry is an origin or {"regex": "…"}`, `
			exact prefix suffix contains name pattern host domain scheme port glob wildcard`},
	}},
}

// A foreign is what some names stand for: one of our fields, or advice that follows
// "is not a field; ".
type foreign struct{ means, names string }

// foreignMeaning is what a name of another tool stands for in an object that has the known
// fields; "" if it isn't in the table.
func foreignMeaning(name string, known []string) string {
	for _, object := range foreignFields {
		if !slices.Contains(known, object.has) {
			continue
		}
		for _, f := range object.names {
			for known := range strings.FieldsSeq(f.names) {
				if known == name {
					return f.means
				}
			}
		}
	}
	return ""
}

// unknownField says what is wrong with a field that isn't one of the known ones, and
// what to write instead. present tells which of the known ones the object has, so that
// no field is suggested that would be given twice.
func unknownField(
	key string, where path, known, others []string, present func(field string) bool,
) (kind problem.Kind, what, instead string) {
	kind, what = problem.UnknownField, "is not a field"
	// Annotations and properties have prefixes and dots: "nginx.ingress.kubernetes.io/cors-max-age".
	plain := strings.ReplaceAll(withoutSeparators(strings.ToLower(key[strings.LastIndexByte(key, '/')+1:])), ".", "")
	if plain == "" {
		plain = "//" // as comments are written
	}
	means := foreignMeaning(plain, known)
	switch {
	case where.String() == "defaults" && canonical(key, policyFields[:nameAndMatch]) >= 0:
		return problem.MisplacedField, "can't be inherited", "move it into the policy that it is for"
	case slices.Contains(known, means):
		return kind, what, rename(means, present)
	case means != "" && !slices.Contains(policyFields, means) && nearest(key, others) == "":
		return kind, what, means
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
	return "write " + problem.InQuotes(field)
}
