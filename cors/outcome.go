package cors

// An Outcome is what is counted of a decision.
type Outcome uint8

const (
	// NotCounted is the outcome where there is no CORS request, or no policy in force.
	NotCounted Outcome = iota
	// ActualAllowed is an actual request from an origin that is allowed.
	ActualAllowed
	// ActualDeniedOrigin is an actual request from an origin that isn't allowed.
	ActualDeniedOrigin
	// ActualDeniedMalformedOrigin is an actual request whose Origin is none.
	ActualDeniedMalformedOrigin
	// PreflightAllowed is a preflight that is allowed.
	PreflightAllowed
	// PreflightDeniedOrigin is a preflight from an origin that isn't allowed.
	PreflightDeniedOrigin
	// PreflightDeniedMalformedOrigin is a preflight whose Origin is none.
	PreflightDeniedMalformedOrigin
	// PreflightDeniedMethod is a preflight for a method that isn't allowed.
	PreflightDeniedMethod
	// PreflightDeniedHeader is a preflight for a header that isn't allowed.
	PreflightDeniedHeader
	// PreflightDeniedMalformed is a preflight for what is no method, or no list of headers.
	PreflightDeniedMalformed

	// Outcomes is how many there are.
	Outcomes
)

// String is the outcome's name in metrics; "" if it isn't counted.
func (o Outcome) String() string { return outcomeNames[o] }

var outcomeNames = [Outcomes]string{
	ActualAllowed:                  "allowed",
	ActualDeniedOrigin:             "denied_origin",
	ActualDeniedMalformedOrigin:    "denied_malformed_origin",
	PreflightAllowed:               "preflight_allowed",
	PreflightDeniedOrigin:          "preflight_denied_origin",
	PreflightDeniedMalformedOrigin: "preflight_denied_malformed_origin",
	PreflightDeniedMethod:          "preflight_denied_method",
	PreflightDeniedHeader:          "preflight_denied_header",
	PreflightDeniedMalformed:       "preflight_denied_malformed",
}

// Outcome is what is counted of the decision.
func (d *Decision) Outcome() Outcome {
	if d.Preflight {
		return preflightOutcomes[d.Reason]
	}
	return actualOutcomes[d.Reason]
}

var actualOutcomes = [reasons]Outcome{
	Allowed:          ActualAllowed,
	OriginMalformed:  ActualDeniedMalformedOrigin,
	OriginNotAllowed: ActualDeniedOrigin,
}

var preflightOutcomes = [reasons]Outcome{
	Allowed:                 PreflightAllowed,
	OriginMalformed:         PreflightDeniedMalformedOrigin,
	OriginNotAllowed:        PreflightDeniedOrigin,
	MethodMalformed:         PreflightDeniedMalformed,
	MethodForbidden:         PreflightDeniedMethod,
	MethodNotAllowed:        PreflightDeniedMethod,
	HeadersMalformed:        PreflightDeniedMalformed,
	HeadersTooLong:          PreflightDeniedMalformed,
	HeaderNotAllowed:        PreflightDeniedHeader,
	AuthorizationNotAllowed: PreflightDeniedHeader,
}
