package convert

import (
	"regexp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// fromS3 reads the CORS configuration of a bucket: the rules as S3 has them in JSON, and
// those of buckets in templates of CloudFormation.
func fromS3(c *conversion, documents []*document.Node) {
	for _, d := range documents {
		rules := d
		if d.Kind != document.List {
			rules = d.Get("CORSConfiguration")
			if rules == nil {
				rules = d
			}
			rules = rules.Get("CORSRules")
		}
		if slices.ContainsFunc(rules.List(), func(n *document.Node) bool {
			return n.Has("AllowedOrigins", "AllowedMethods")
		}) {
			c.found(rules, "the CORS configuration of the bucket")
			c.bucket("bucket", rules, s3Fields)
		}
	}
	for _, r := range stackResources(documents) {
		if n := r.properties.Get("CorsConfiguration"); given(n) && r.kind == "AWS::S3::Bucket" {
			c.found(n, "the CorsConfiguration of the bucket "+quote(r.name))
			if n = c.resolved(n); c.object(n) {
				c.unknown(n, "a CorsConfiguration", "CorsRules")
				c.bucket(r.name, n.Get("CorsRules"), stackS3Fields)
			}
		}
	}
}

// An s3Dialect has the names of a rule's fields that differ.
type s3Dialect struct{ expose, age, id string }

var (
	s3Fields      = s3Dialect{"ExposeHeaders", "MaxAgeSeconds", "ID"}
	stackS3Fields = s3Dialect{"ExposedHeaders", "MaxAge", "Id"}
)

// An s3Rule is a rule: its origins may send requests with its methods and headers.
type s3Rule struct {
	from                      *document.Node
	origins, methods, headers []*document.Node
	expose, age               *document.Node
	// credentials are allowed unless every origin is.
	credentials bool
}

// bucket adds the policy of a bucket's rules. S3 takes the first rule that has origin,
// method and headers of a request. In a policy all origins may do the same: rules are
// joined as far as that lets none do more than in S3.
func (c *conversion) bucket(name string, n *document.Node, names s3Dialect) {
	var first *s3Rule
	every := false // a rule before was for every origin, which has no credentials
	for _, one := range c.objects(c.resolved(n)) {
		switch rule := c.s3Rule(one, names); {
		case rule == nil:
		case first == nil:
			first = rule
		default:
			every = every || !rule.credentials
			c.join(first, rule, every && first.credentials)
		}
	}
	if first == nil {
		return
	}
	d := newDraft(first.from, name, "")
	d.AllowCredentials = first.credentials
	d.set("allow_methods", first.methods)
	d.set("allow_headers", c.starAlone(d, "allow_headers", first.headers))
	d.set("expose_headers", c.resolvedTexts(first.expose))
	c.setMaxAge(d, c.resolved(first.age))
	for _, origin := range first.origins {
		c.s3Origin(d, origin)
	}
	if len(d.AllowOrigins) > 0 && d.AllowCredentials {
		c.warn(first.origins[0], `S3 allows credentials to every origin but "*", without being asked`,
			"carried over where that is safe; set allow_credentials to false if no page sends cookies here")
	}
	c.add(d)
}

// s3Rule reads a rule; nil if S3 refuses it.
func (c *conversion) s3Rule(n *document.Node, names s3Dialect) *s3Rule {
	c.unknown(n, "a rule", "AllowedOrigins", "AllowedMethods", "AllowedHeaders", names.expose, names.age, names.id)
	r := &s3Rule{
		from: n, origins: c.resolvedTexts(n.Get("AllowedOrigins")), methods: c.resolvedTexts(n.Get("AllowedMethods")),
		headers: c.resolvedTexts(n.Get("AllowedHeaders")), expose: n.Get(names.expose), age: n.Get(names.age),
	}
	c.texts(c.resolved(n.Get(names.id)))
	r.credentials = !slices.ContainsFunc(r.origins, isStar)
	for _, required := range []struct {
		name string
		list []*document.Node
	}{{"AllowedOrigins", r.origins}, {"AllowedMethods", r.methods}} {
		if len(required.list) == 0 {
			c.warn(n, "a rule without "+required.name+" is for nothing", "left out")
			return nil
		}
	}
	return r
}

// join adds to a rule what another one allows, as far as no origin may then do more than
// before, and says what is lost. What is behind a rule for every origin may be shadowed by it.
func (c *conversion) join(r, other *s3Rule, shadowed bool) {
	added := false
	if r.credentials == other.credentials && !shadowed {
		origins := func() bool { return within(r.origins, other.origins) }
		methods := func() bool { return within(preflighted(r.methods), preflighted(other.methods)) }
		headers := func() bool { return within(r.headers, other.headers) }
		if methods() && headers() {
			r.origins, added = joinedTexts(r.origins, other.origins), true
		}
		if origins() && headers() {
			r.methods, added = joinedTexts(r.methods, other.methods), true
		}
		if origins() && methods() {
			r.headers, added = joinedTexts(r.headers, other.headers), true
		}
	}
	const why = "S3 takes the first rule for origin, method and headers, and in a policy all origins may do the same"
	const instead = "; give the pages of these origins a host or a path of their own, and write a policy for it"
	switch {
	case !added:
		c.warn(other.from, why, "left out"+instead)
	case !within(other.origins, r.origins) || !within(preflighted(other.methods), preflighted(r.methods)) ||
		!within(other.headers, r.headers):
		c.warn(other.from, why, "left out but for what all origins may do"+instead)
	}
	if added && (textOf(r.expose) != textOf(other.expose) || textOf(r.age) != textOf(other.age)) {
		c.warn(other.from, "exposes other headers, or has another age, than the rule in line "+line(r.from),
			"carried over with those of that rule")
	}
}

// textOf is a value as JSON, "" of none.
func textOf(n *document.Node) string {
	if n == nil {
		return ""
	}
	text, _ := n.JSON()
	return text
}

// within reports whether a list has no text that another one hasn't; "*" is every text.
func within(list, other []*document.Node) bool {
	return slices.ContainsFunc(other, isStar) || !slices.ContainsFunc(list, func(n *document.Node) bool {
		return !slices.ContainsFunc(other, func(o *document.Node) bool { return strings.EqualFold(o.Text, n.Text) })
	})
}

// joinedTexts is a list and what another one has beside.
func joinedTexts(list, other []*document.Node) []*document.Node {
	list = slices.Clone(list)
	for _, n := range other {
		if !within([]*document.Node{n}, list) {
			list = append(list, n)
		}
	}
	return list
}

// preflighted are the methods that the policy decides about: the others need no preflight,
// and the filter allows them always.
func preflighted(methods []*document.Node) []*document.Node {
	return slices.DeleteFunc(slices.Clone(methods), func(n *document.Node) bool {
		return slices.Contains([]string{"GET", "HEAD", "POST"}, n.Text)
	})
}

// s3Origin adds an origin, in which one star stands for any text.
func (c *conversion) s3Origin(d *draft, n *document.Node) {
	before, anyPort := strings.CutSuffix(n.Text, ":*")
	switch stars := strings.Count(n.Text, "*"); {
	case stars > 1:
		c.warn(n, quote(n.Text)+" has more than one star, so S3 refuses it", "left out")
	case n.Text == "*", anyPort && strings.Contains(before, "://"):
		d.addOrigin(cors.OriginEntry{Text: n.Text}, n)
	case stars == 0:
		c.matchOrigin(d, n, originMatcher{kind: exactMatcher, text: n.Text})
	default:
		expr := strings.ReplaceAll(regexp.QuoteMeta(n.Text), `\*`, ".*")
		c.matchOrigin(d, n, originMatcher{kind: regexMatcher, text: expr})
	}
}
