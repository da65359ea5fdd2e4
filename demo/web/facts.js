// Turns what was observed into the facts that scenarios.js expects.

export const labels = {
  page: 'The script',
  envoy: 'At Envoy',
  upstream: 'At the API',
  allowOrigin: 'Allow-Origin',
  maxAge: 'Max-Age',
  cookie: 'Cookie',
  exposed: 'Exposed',
  body: 'Body',
  reason: 'Envoy’s reason',
};

// observe returns all facts of an exchange: outcomes are the page's, records the server's.
export function observe(outcomes, records) {
  const answers = records.map((r) => r.envoy);
  const reached = records.filter((r) => r.upstream);
  const last = answers.at(-1) ?? {};
  return {
    page: list(outcomes.map((o) => (o.error ? 'network error' : `reads ${o.status}`))),
    envoy: list(answers.map((a) => `${a.method} ${a.status}`)),
    upstream: list(reached.map((r) => r.envoy.method), 'nothing'),
    allowOrigin: last['access-control-allow-origin'] ?? 'none',
    maxAge: answers.find(isPreflight)?.['access-control-max-age'] ?? 'none',
    cookie: reached.some((r) => r.upstream.request.some(([name, value]) => name === 'cookie' && value.includes('cors_demo='))) ? 'sent' : 'not sent',
    exposed: list(['X-Request-Id', 'X-Served-By'].filter((name) => outcomes.at(-1)?.headers?.[name.toLowerCase()])),
    body: outcomes.at(-1)?.body?.trim() || 'none',
    reason: records.find((r) => isRefused(r.envoy))?.reason ?? 'none',
  };
}

// matches tells whether a fact is as expected. A reason may say more than expected.
export function matches(fact, expected, seen) {
  return fact === 'reason' ? seen.startsWith(expected) : seen === expected;
}

export function isPreflight(answer) {
  return answer.method === 'OPTIONS' && Boolean(answer.origin && answer['access-control-request-method']);
}

export function isRefused(answer) {
  return isPreflight(answer) && !answer['access-control-allow-origin'];
}

function list(items, none = 'none') {
  return items.length ? items.join(', ') : none;
}
