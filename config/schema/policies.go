package schema

import "slices"

// The rules that span several fields. Each is as near as it can be to what it is
// about, because there an editor underlines.

var (
	// policy is a policy of a list. Its origins may be inherited.
	policy = join(
		object{{"type", "object"}},
		fieldsOf(Policy, "allow_origins"),
		object{{"required", []string{"name"}}},
		object{{"allOf", []object{credentialsRule, {{"if", isOff}, {"then", nothingElse}}}}},
	)
	// singlePolicy is what goes for a policy whose fields are at the top.
	singlePolicy = object{
		{"if", isOff},
		{"then", nothingElse},
		{"else", all(object{{"if", looksUp}, {"else", ownOrigins}}, credentialsRule)},
	}
	// policyList is what goes for the fields at the top beside each other.
	policyList = all(
		object{
			{"properties", nowhere(names(Policy)...)},
			{"errorMessage",
				`is a policy's field, beside "policies", "defaults" or "policy_source"; move it into a policy, or into defaults`},
		},
		object{
			{"if", join(valueOf("policy_source", object{{"type", "object"}}), object{{"not", has("defaults")}})},
			{"else", object{{"required", []string{"policies"}}}},
		},
		object{
			{"if", inDefaults(valueOf("allow_origins", object{{"type", "array"}, {"minItems", 1}}))},
			{"then", eachWithoutLookup(givenOrigins)},
			{"else", eachWithoutLookup(ownOrigins)},
		},
		// A mode that is inherited, with a policy's own fields.
		object{
			{"if", inDefaults(isOff)},
			{"then", eachPolicy(object{{"if", has("mode")}, {"else", nothingElse}})},
		},
		// Credentials that are inherited, with a policy's own fields.
		object{
			{"if", inDefaults(ref("with_credentials"))},
			{"then", eachPolicy(object{{"if", has("allow_credentials")}, {"else", ref("safe_with_credentials")}})},
		},
		// Fields that are inherited, with a policy's credentials, own or inherited.
		inheritedRule("allow_origins", "safe_origin"),
		inheritedRule("expose_headers", "safe_exposed_header"),
	)
)

var (
	isOff = valueOf("mode", object{{"const", "off"}})
	// nothingElse is what goes for a policy that is off.
	nothingElse = object{
		{"properties", nowhere(slices.DeleteFunc(names(Inherited), func(name string) bool { return name == "mode" })...)},
		{"errorMessage", `has no effect where mode is "off"; leave it out`},
	}
)

var (
	looksUp = valueOf("origin_lookup", object{{"type", "object"}})
	// givenOrigins is what goes for the origins of a policy that looks none up, if it has them,
	// and ownOrigins for one that inherits none.
	givenOrigins = object{{"properties", bothSpellings("allow_origins", ref("allow_origins"))}}
	ownOrigins   = join(has("allow_origins"), givenOrigins)
)

// eachWithoutLookup is the rule that something goes for each policy of the list that is in
// force and doesn't look origins up, by its own origin_lookup or an inherited one.
func eachWithoutLookup(rule object) object {
	own := object{{"if", looksUp}, {"else", rule}}
	return object{
		{"if", inDefaults(looksUp)},
		{"then", eachInForce(object{{"if", has("origin_lookup")}, {"then", own}})},
		{"else", eachInForce(own)},
	}
}

// credentialsRule is what goes for a policy with credentials of its own.
var credentialsRule = object{{"if", ref("with_credentials")}, {"then", ref("safe_with_credentials")}}

var (
	withCredentials     = valueOf("allow_credentials", object{{"const", true}})
	safeWithCredentials = object{{"properties", join(
		bothSpellings("allow_origins", list("safe_origin")),
		bothSpellings("expose_headers", list("safe_exposed_header")),
	)}}
	safeOrigin = all(
		never(`\*`,
			`"*" with allow_credentials would let every site act as the visitor; list the origins, or leave out allow_credentials`),
		ifThen(`http://.*`, `http://`+loopback+anyPort,
			"with allow_credentials trusts whoever is on the network between, because plain http can be forged; have the pages served over https, or leave out allow_credentials"),
		// Of the public suffixes only those of one label, but the names that nobody can
		// register.
		ifThen(anyScheme+`\*\.[^:.]+\.?`+anyPort, anyScheme+`\*\.(localhost|test|example|invalid|internal)\.?`+anyPort,
			"with allow_credentials trusts sites of different owners, because it is over a public suffix; list the origins, or the wildcard of a domain of your own"),
	)
	safeExposedHeader = never(`\*`, `"*" means a header named "*" when allow_credentials is set; list the names`)
)

// inheritedRule is the rule that a policy with credentials, own or inherited, doesn't
// inherit a list that isn't safe with them.
func inheritedRule(name, safe string) object {
	message := object{{"errorMessage", "inherits " + name +
		" that are not safe with allow_credentials; give the policy its own, or leave out allow_credentials"}}
	unsafe := object{{"not", object{{"properties", bothSpellings(name, list(safe))}}}}
	withoutCredentials := join(object{{"properties", nowhere("allow_credentials")}}, message)
	return object{
		{"if", inDefaults(unsafe)},
		{"then", all(
			eachPolicy(object{{"if", has(name)}, {"else",
				object{{"if", ref("with_credentials")}, {"then", withoutCredentials}}}}),
			object{
				{"if", inDefaults(ref("with_credentials"))},
				{"then",
					eachInForce(object{{"if", has(name, "allow_credentials")},
						{"else", join(object{{"required", []string{name}}}, message)}})},
			},
		)},
	}
}

// has is the condition that an object has one of the fields, in either spelling.
func has(names ...string) object {
	var list []object
	for _, name := range names {
		for _, s := range spellings(name) {
			list = append(list, object{{"required", []string{s}}})
		}
	}
	return object{{"anyOf", list}}
}

// valueOf is the condition that an object has a field, in either spelling, with
// such a value.
func valueOf(name string, value object) object {
	var list []object
	for _, m := range bothSpellings(name, value) {
		list = append(list, object{{"required", []string{m.Key}}, {"properties", object{m}}})
	}
	return object{{"anyOf", list}}
}

// bothSpellings is a rule for the value of a field, as a member of properties for each
// spelling of its name.
func bothSpellings(name string, value object) (properties object) {
	for _, s := range spellings(name) {
		properties = append(properties, member{s, quiet(value)})
	}
	return properties
}

// nowhere has false for each field, as members of properties.
func nowhere(names ...string) (properties object) {
	for _, name := range names {
		for _, s := range spellings(name) {
			properties = append(properties, member{s, false})
		}
	}
	return properties
}

// names are the names of fields.
func names(fields []Field) (list []string) {
	for _, f := range fields {
		list = append(list, f.Name)
	}
	return list
}

// inDefaults is the condition that there are defaults for which something goes.
func inDefaults(condition object) object {
	return object{{"required", []string{"defaults"}}, {"properties", object{{"defaults", quiet(condition)}}}}
}

// eachPolicy is the rule that something goes for each policy of the list.
func eachPolicy(rule object) object {
	return object{{"properties", object{{"policies", object{{"items", rule}, {"doNotSuggest", true}}}}}}
}

// eachInForce is the rule that something goes for each policy of the list that isn't off,
// by its own mode or an inherited one.
func eachInForce(rule object) object {
	own := object{{"if", isOff}, {"else", rule}}
	return object{
		{"if", inDefaults(isOff)},
		{"then", eachPolicy(object{{"if", has("mode")}, {"then", own}})},
		{"else", eachPolicy(own)},
	}
}
