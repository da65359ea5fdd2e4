// Sends the request from a page of its origin, through the Envoy of the demo, and compares what
// happened with what the engine makes of the policy that Envoy has.

import { isServed, sendFrom } from '../frames.js';
import { el } from '../view.js';
import { lookups } from './state.js';

/**
 * obstacle says why the demo can't send a request as it is, or returns "".
 * @param {{request: import('./state.js').Request, filter: boolean}} state
 * @param {object} facts the demo's
 */
export function obstacle({ request, filter }, facts) {
  const { origin, url } = request;
  const port = new URL(facts.api).port;
  if (!isServed(origin)) {
    return `The demo has no page of ${origin || 'that origin'}: it serves localhost, 127.0.0.1 and names under `
      + `localhost, over http on port ${location.port}, and null in a sandboxed frame.`;
  }
  if (filter && !isAPI(url, port)) {
    return `Envoy’s API of the demo is at port ${port} of localhost, 127.0.0.1 and names under localhost, and `
      + `this URL is elsewhere.`;
  }
  if (request.forced) {
    return 'The demo sends by fetch(), which has no listener on the upload.';
  }
  return '';
}

function isAPI(url, port) {
  const { protocol, hostname, port: at } = URL.canParse(url) ? new URL(url) : {};
  return protocol === 'http:' && at === port && /^(127\.0\.0\.1|([a-z0-9-]+\.)*localhost)$/.test(hostname);
}

/**
 * nearest returns the request that the demo can send and that is decided as the one given, or
 * else the first that it can send.
 * @param {import('./state.js').Request} request
 * @param {object} facts
 * @param {(requests: object[]) => object[]} walk
 */
export function nearest(request, facts, walk) {
  const api = new URL(facts.api);
  const url = isAPI(request.url, api.port) ? request.url : facts.api + pathOf(request.url);
  const origins = isServed(request.origin) ? [request.origin]
    : [facts.app, facts.other, `http://stranger.localhost:${location.port}`, 'null'];
  const candidates = origins.map((origin) => ({ ...request, origin, url, forced: false }));
  const decided = ({ verdict, actual }) => `${verdict.readable} ${Boolean(actual)}`;
  const [wanted, ...walks] = [request, ...candidates].map((r) => walk(r)).map((w) => (w.error ? '' : decided(w)));
  return candidates[Math.max(walks.indexOf(wanted), 0)];
}

function pathOf(url) {
  const { pathname, search } = URL.canParse(url) ? new URL(url) : new URL(url.replace(/^(?!\/)/, '/'), 'http://x');
  return pathname + search;
}

/**
 * sendReally sends a request, and returns what the browser made of it, what Envoy logged, and
 * what the upstream saw.
 * @param {{request: import('./state.js').Request, filter: boolean}} state
 * @param {object} facts
 */
export async function sendReally({ request, filter }, facts) {
  const url = new URL(request.url);
  const exchange = `try-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  const init = {
    method: request.method,
    headers: request.headers,
    credentials: request.credentials ? 'include' : 'same-origin',
    cache: 'no-store',
  };
  const api = filter ? url.origin : facts.bare;
  const [outcome] = await sendFrom(request.origin, api, [{ path: url.pathname + url.search, init }], exchange);
  if (!outcome) {
    throw new Error(`the page of ${request.origin} does not answer`);
  }
  const answer = await fetch(`observed?exchange=${exchange}&fetches=1`);
  return { outcome, records: await answer.json() };
}

const isChromium = /\bChrom(e|ium)\//.test(navigator.userAgent);

// What every script may read of an answer, https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name.
const safelisted = [
  'cache-control', 'content-language', 'content-length', 'content-type', 'expires', 'last-modified', 'pragma',
];

/**
 * compare returns what was expected and what was seen, fact by fact.
 * @param {object} walk over the policy that Envoy has, with the answer of the upstream as it was seen
 * @param {{outcome: object, records: object[]}} seen
 * @param {boolean} filter
 */
export function compare(walk, { outcome, records }, filter) {
  const { preflight, actual, verdict } = walk;
  const row = (fact, name, expected, was) => ({ fact, name, expected, seen: was, same: expected === was });
  const script = row('script', 'The script', verdict.readable ? `reads ${actual.answer.status}` : 'network error',
    outcome.error ? 'network error' : `reads ${outcome.status}`);
  if (isChromium && verdict.chromium.readable !== verdict.readable) {
    // What it does instead is known, but not what it sends meanwhile.
    return [{ ...script, expected: 'network error by the standard, but not in Chromium', same: !outcome.error }];
  }
  const rows = [script];
  const sent = [preflight, actual].filter((part) => part && !part.cached);
  const forwarded = sent.filter(({ answer }) => answer.forwarded);
  if (filter) {
    rows.push(row('envoy', 'At Envoy',
      listed(sent.map(({ request, answer }) => `${request.method} ${answer.status}`)),
      listed(records.map(({ envoy }) => `${envoy.method} ${envoy.status}`))));
  }
  rows.push(row('upstream', 'At the upstream', listed(forwarded.map(({ request }) => request.method)),
    listed(records.filter((r) => r.upstream || answeredByEnvoy(r)).map((r) => (r.upstream ?? r.envoy).method))));
  if (verdict.readable && !outcome.error) {
    const beyond = Object.keys(outcome.headers).filter((name) => !safelisted.includes(name)).sort();
    const may = walk.exposed.map((name) => name.toLowerCase());
    const there = new Set(actual.answer.headers.map(([name]) => name.toLowerCase()));
    const visible = (name) => !safelisted.includes(name) && (may.includes(name) || may.includes('*'));
    const expected = [...there].filter(visible);
    const last = row('headers', 'Headers beyond the safelist', listed(expected.sort()), listed(beyond));
    if (may.includes('*')) { // Envoy’s own, such as Date, are among them.
      last.expected = `all, such as ${last.expected}`;
      last.same = expected.every((name) => beyond.includes(name));
    }
    rows.push(last);
  }
  return rows;
}

// answeredByEnvoy tells whether a request would have reached the upstream, had Envoy one for it: a
// 503 or a redirect is Envoy's own, and comes after the filter.
function answeredByEnvoy({ envoy, upstream }) {
  return !upstream && !envoy.details?.startsWith('cors') && envoy.method !== 'OPTIONS';
}

function listed(items) {
  return items.length ? items.join(', ') : 'nothing';
}

/**
 * upstreamOf is what the upstream answered, or Envoy in its place, for the engine to go on from.
 * @param {{outcome: object, records: object[]}} seen
 * @param {boolean} filter
 */
export function upstreamOf({ outcome, records }, filter) {
  const plain = { status: 200, headers: [], preflights: 200 };
  if (!filter) {
    return outcome.error ? plain : { ...plain, status: outcome.status, headers: Object.entries(outcome.headers) };
  }
  const preflight = records.find(({ envoy, upstream }) => upstream && isPreflight(envoy));
  const actual = records.findLast(({ envoy }) => !isPreflight(envoy));
  return {
    status: actual?.envoy.status ?? plain.status,
    headers: actual?.upstream?.answer ?? [],
    preflights: preflight?.envoy.status ?? plain.preflights,
  };
}

function isPreflight(envoy) {
  return envoy.method === 'OPTIONS' && Boolean(envoy.origin && envoy['access-control-request-method']);
}

/**
 * outcomes are what a look-up of the origin may come to, in the order in which they are tried: what
 * the visitor says first. Only Envoy knows.
 */
export function outcomes(said) {
  return [said, ...lookups.filter((outcome) => outcome !== said)];
}

/** table shows a comparison. */
export function table(rows) {
  return el('table', { className: 'facts' },
    el('thead', {},
      el('tr', {}, el('td', {}), el('th', { scope: 'col' }, 'Expected'), el('th', { scope: 'col' }, 'Seen'))),
    el('tbody', {}, ...rows.map(({ fact, name, expected, seen, same }) => {
      const node = el('tr', { className: same ? 'same' : 'other' }, el('th', { scope: 'row' }, name),
        el('td', { className: 'expected' }, expected), el('td', { className: 'seen' }, seen));
      node.dataset.fact = fact;
      return node;
    })));
}

/** report is what to send to who mends the filter. */
export function report({ state, policy, rows, seen }) {
  return [
    'What the engine expects is not what happened.',
    '',
    ...rows.map((row) => `- ${row.name}: expected ${row.expected}, seen ${row.seen}${row.same ? '' : '  <-- differs'}`),
    '',
    'Policy in Envoy:', '```json', policy, '```',
    'Request:', '```json', JSON.stringify({ ...state.request, filter: state.filter }, null, 2), '```',
    'Seen:', '```json', JSON.stringify(seen, null, 2), '```',
    `Browser: ${navigator.userAgent}`,
  ].join('\n');
}
