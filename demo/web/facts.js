// Writes what is expected of an exchange, and what was seen of it, in the same words.
//
//   script       what the script gets of each request
//   envoy        the requests at Envoy and their status
//   upstream     the methods that reached the API
//   allowOrigin  Access-Control-Allow-Origin of the last answer
//   maxAge       Access-Control-Max-Age of the answer to the first preflight
//   cookie       whether the page's cookie reached the API
//   exposed      which of X-Request-Id and X-Served-By the script can read
//   body         the body of the last answer that the script could read
//   reason       how Envoy answered requests that didn't get to the API
//   headers      all CORS headers of all answers
//   logged       the reasons that the filter gives the access log

export const labels = {
  script: 'The script',
  envoy: 'At Envoy',
  upstream: 'At the API',
  allowOrigin: 'Allow-Origin',
  maxAge: 'Max-Age',
  cookie: 'Cookie',
  exposed: 'Exposed',
  body: 'Body',
  reason: 'By Envoy itself',
  headers: 'CORS headers',
  logged: 'Logged reason',
};

/** corsAnswer are the headers of an answer that the log has. */
export const corsAnswer = [
  'access-control-allow-origin', 'access-control-allow-credentials', 'access-control-allow-methods',
  'access-control-allow-headers', 'access-control-expose-headers', 'access-control-max-age',
];

const upstreamHeaders = ['X-Request-Id', 'X-Served-By'];

/**
 * expect writes what the engine expects.
 * @param {import('./engine.js').Walk[]} walks of the requests
 * @param {import('./scenarios.js').Scenario} scenario
 * @param {boolean} cookie whether the browser has a cookie that it would send along
 */
export function expect(walks, { gateway }, cookie) {
  const sent = walks.flatMap(({ preflight, actual, shadow }) => [
    preflight?.answer && { ...preflight, method: 'OPTIONS', shadow: shadow?.preflight },
    actual && { ...actual, method: actual.request.method, shadow: shadow?.actual },
  ]).filter(Boolean);
  const answers = sent.map(({ answer }) => answer);
  const last = walks.at(-1);
  return {
    script: list(walks.map((w) => (w.verdict.readable ? `reads ${w.actual.answer.status}` : 'network error'))),
    envoy: list(sent.map(({ method, answer }) => `${method} ${answer.status}`)),
    upstream: list(sent.filter(({ answer }) => answer.forwarded && !gateway).map(({ method }) => method), 'nothing'),
    allowOrigin: value(answers.at(-1)?.headers, 'access-control-allow-origin') || 'none',
    maxAge: value(sent.find(({ method }) => method === 'OPTIONS')?.answer.headers, 'access-control-max-age') || 'none',
    cookie: cookie && !gateway && walks.some((w) => w.actual && w.request.credentials) ? 'sent' : 'not sent',
    exposed: list(upstreamHeaders.filter((name) => !gateway
      && last?.exposed.some((exposed) => exposed === '*' || exposed.toLowerCase() === name.toLowerCase()))),
    body: last?.verdict.readable ? gateway?.body ?? 'the API’s' : 'none',
    reason: list(sent.filter(({ answer }) => gateway || !answer.forwarded).map(({ answer, method }) => (
      `${method}: ${readable(answer.forwarded ? gateway.body : answer.details)}`))),
    headers: list(sent.flatMap(({ method, answer }, i) => corsHeaders(`${i + 1}. ${method}`, (name) => value(answer.headers, name))), 'none', '\n'),
    logged: list(sent.map(({ answer, shadow }) => loggedReason(answer, shadow)).filter(Boolean)),
  };
}

/**
 * observe writes what was seen.
 * @param {import('./send.js').Outcome[]} outcomes the page's
 * @param {object[]} records the server's
 */
export function observe(outcomes, records) {
  const answers = records.map((r) => r.envoy);
  const reached = records.filter((r) => r.upstream);
  const last = outcomes.at(-1) ?? {};
  return {
    script: list(outcomes.map((o) => (o.error ? 'network error' : `reads ${o.status}`))),
    envoy: list(answers.map((a) => `${a.method} ${a.status}`)),
    upstream: list(reached.map((r) => r.envoy.method), 'nothing'),
    allowOrigin: answers.at(-1)?.['access-control-allow-origin'] ?? 'none',
    maxAge: answers.find(isPreflight)?.['access-control-max-age'] ?? 'none',
    cookie: reached.some((r) => r.upstream.request.some(([name, text]) => name === 'cookie' && text.includes('cors_demo='))) ? 'sent' : 'not sent',
    exposed: list(upstreamHeaders.filter((name) => last.headers?.[name.toLowerCase()])),
    body: last.error ? 'none' : isEcho(last.body) ? 'the API’s' : last.body?.trim() || 'none',
    reason: list(records.filter((r) => !r.upstream).map(({ envoy }) => `${envoy.method}: ${readable(envoy.details)}`)),
    headers: list(answers.flatMap((answer, i) => corsHeaders(`${i + 1}. ${answer.method}`, (name) => answer[name])), 'none', '\n'),
    logged: list(answers.map((a) => a.cors_reason).filter(Boolean)),
  };
}

/** differing are the facts that aren't as expected. */
export function differing(expected, seen) {
  return Object.keys(labels).filter((fact) => expected[fact] !== seen[fact]);
}

/** isPreflight tells whether a request at Envoy asked for permission, as the Fetch standard has it. */
export function isPreflight(answer) {
  return answer.method === 'OPTIONS' && Boolean(answer.origin && answer['access-control-request-method']);
}

/** list writes items after each other. */
export function list(items, none = 'none', separator = ', ') {
  return items.length ? items.join(separator) : none;
}

// loggedReason is what the filter gives the access log of a request: why it isn't allowed, or in
// shadow mode how the policy differs from the answer, if it does.
function loggedReason({ logged, allowed, outcome }, shadow) {
  if (shadow && shadow.compared !== 'same') {
    return `${shadow.compared}: ${shadow.why}`;
  }
  return allowed || !outcome && !shadow ? '' : logged;
}

function value(headers = [], name) {
  return headers.filter(([n]) => n === name).map(([, text]) => text).join(', ');
}

function corsHeaders(request, of) {
  return corsAnswer.filter(of).map((name) => `${request}: ${name}: ${of(name)}`);
}

/** onlyIn are the lines of a text that another doesn't have. */
export function onlyIn(text, other) {
  return list(text.split('\n').filter((line) => !other.split('\n').includes(line)), 'none', '\n');
}

// readable undoes what Envoy does to the details of an answer, which have no spaces.
function readable(details = '') {
  return details.replaceAll(/(allow_(?:origins|methods|headers))|_/g, (_, name) => name ?? ' ').replace(/^cors: /, '');
}

// isEcho tells whether a body is what the API answers: what it has received.
function isEcho(body = '') {
  return body.startsWith('{"body":');
}
