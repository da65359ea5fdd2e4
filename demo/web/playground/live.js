// Sends the request from a page of its origin, through the Envoy of the demo, and compares what
// happened with what the engine makes of the policy that Envoy has.

import { expect, isPreflight, labels, list, observe } from '../facts.js';
import { isServed, sendFrom } from '../frames.js';
import { el } from '../view.js';
import { withoutSecrets } from './link.js';
import { lookups, plain } from './state.js';
import { browsers, own } from './words.js';

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
  if (!URL.canParse(url)) {
    return 'This is no URL that could be sent to.';
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
 * toSend is the request as the demo sends it: its routes have no name, the bare upstream is at
 * another port, and the parameter is the demo's by which it finds what was logged.
 * @param {{request: import('./state.js').Request, filter: boolean}} state that has no obstacle
 * @param {object} facts
 * @returns {import('./state.js').Request}
 */
export function toSend({ request, filter }, facts) {
  const { href } = new URL(filter ? request.url : facts.bare + pathOf(request.url));
  return { ...request, route: '', url: href.replace(/(?<=[?&])exchange=[^&#]*&?/g, '') };
}

/**
 * sendReally sends a request, and returns what the browser made of it, what Envoy logged, and
 * what the upstream saw.
 * @param {import('./state.js').Request} request see toSend
 */
export async function sendReally(request) {
  const url = new URL(request.url);
  const exchange = `try-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  const init = {
    method: request.method,
    headers: request.headers,
    credentials: request.credentials ? 'include' : 'same-origin',
    cache: 'no-store',
  };
  const api = url.href.split('/', 3).join('/'); // its origin, with a user's name
  const [outcome] = await sendFrom(request.origin, api, [{ path: url.pathname + url.search, init }], exchange);
  if (!outcome) {
    throw new Error(`the page of ${request.origin} does not answer`);
  }
  const answer = await fetch(`observed?exchange=${exchange}&fetches=1`);
  return { outcome, records: await answer.json() };
}

// What every script may read, https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name.
const safelisted = [
  'cache-control', 'content-language', 'content-length', 'content-type', 'expires', 'last-modified', 'pragma',
];

/**
 * compare returns what was expected and what was seen, fact by fact.
 * @param {import('../engine.js').Walk} walk over the policy that Envoy has, see upstreamOf
 * @param {{outcome: object, records: object[]}} seen
 * @param {boolean} filter
 * @returns {{fact: string, name: string, expected: string, seen: string, same: boolean}[]}
 */
export function compare(walk, { outcome, records }, filter) {
  const { preflight, actual, verdict } = walk;
  const was = filter ? observe([outcome], records) : {
    script: outcome.error ? 'network error' : `reads ${outcome.status}`,
    upstream: list(records.map(({ upstream }) => upstream.method), 'nothing'),
  };
  if (own && verdict[own].readable !== verdict.readable) {
    // What it does instead is known, but not what it sends meanwhile.
    const expected = `network error by the standard, but not in ${browsers[own]}`;
    return [{ fact: 'script', name: labels.script, expected, seen: was.script, same: !outcome.error }];
  }
  const expected = filter ? expect([walk], { gateway: gatewayOf(records) }) : {
    script: verdict.readable ? `reads ${actual.answer.status}` : 'network error',
    upstream: list([preflight, actual].filter(Boolean).map(({ request }) => request.method), 'nothing'),
  };
  const facts = filter ? ['script', 'envoy', 'upstream', 'reason', 'logged', 'headers'] : ['script', 'upstream'];
  const rows = facts.map((fact) => ({
    fact, name: labels[fact], expected: expected[fact], seen: was[fact], same: expected[fact] === was[fact],
  }));
  return verdict.readable && !outcome.error ? [...rows, compareHeaders(walk, outcome)] : rows;
}

// compareHeaders compares which headers the script can read, beside those that every script may.
function compareHeaders({ exposed, actual }, { headers }) {
  const may = exposed.map((name) => name.toLowerCase());
  const isMore = (name) => !safelisted.includes(name);
  const more = Object.keys(headers).filter(isMore).sort();
  const there = [...new Set(actual.answer.headers.map(([name]) => name))].filter(isMore).sort();
  const expected = there.filter((name) => may.includes(name) || may.includes('*'));
  const row = { fact: 'more', name: 'More headers', expected: list(expected), seen: list(more) };
  return may.includes('*') // Envoy’s own, such as Date, are among them.
    ? { ...row, expected: `all, such as ${row.expected}`, same: expected.every((name) => more.includes(name)) }
    : { ...row, same: row.expected === row.seen };
}

/**
 * doubt says why what is not as expected need not be a bug, or returns "".
 * @param {import('../engine.js').Walk} walk
 * @param {{records: object[]}} seen
 */
export function doubt({ verdict, actual, preflight }, { records }) {
  if (own && verdict[own]?.differs) {
    return verdict[own].differs;
  }
  if (records.length === 0 && (actual || preflight)) {
    return 'No request came as far as the filter. Envoy may have refused it before, as one that is too large, or an '
      + 'extension of the browser, or a proxy, has stopped it.';
  }
  if (records.some(({ envoy }) => envoy?.status >= 300 && envoy.status < 400 && envoy.details !== 'via_upstream')) {
    return 'Envoy redirected the request by itself, as it does where a path has an escaped slash.';
  }
  return '';
}

// isAnswered tells whether a request was answered behind the filter.
function isAnswered({ envoy }) {
  return !envoy.details?.startsWith('cors:');
}

// gatewayOf is what Envoy answered in place of the upstream, after the filter, if it did.
function gatewayOf(records) {
  const { envoy } = records.find((r) => r.envoy && !r.upstream && isAnswered(r)) ?? {};
  return envoy && { status: envoy.status, body: (envoy.details ?? '').replaceAll('_', ' ') };
}

/**
 * upstreamOf is what the upstream answered, or Envoy in its place, for the engine to go on from.
 * @param {{outcome: object, records: object[]}} seen
 * @param {boolean} filter
 */
export function upstreamOf({ outcome, records }, filter) {
  if (!filter) {
    return { ...plain(), status: outcome.status ?? plain().status, headers: Object.entries(outcome.headers ?? {}) };
  }
  const preflight = records.find((r) => isAnswered(r) && isPreflight(r.envoy));
  const actual = records.findLast(({ envoy }) => !isPreflight(envoy));
  return {
    status: actual?.envoy.status ?? plain().status,
    headers: actual?.upstream?.answer ?? [],
    preflights: preflight?.envoy.status ?? plain().preflights,
  };
}

/**
 * outcomes are what a look-up of the origin may come to, in the order in which they are tried: what
 * the visitor says first. Only Envoy knows.
 */
export function outcomes(said) {
  return [said, ...lookups.filter((outcome) => outcome !== said)];
}

// aside are facts that are shown only where they say something.
const aside = ['reason', 'logged', 'headers'];

/** table shows a comparison. */
export function table(rows) {
  return el('table', { className: 'facts' },
    el('thead', {},
      el('tr', {}, el('td', {}), el('th', { scope: 'col' }, 'Expected'), el('th', { scope: 'col' }, 'Seen'))),
    el('tbody', {}, ...rows.filter(isWorthShowing).map(({ fact, name, expected, seen, same }) => {
      const node = el('tr', { className: same ? 'same' : 'other' }, el('th', { scope: 'row' }, name),
        el('td', { className: 'expected' }, expected), el('td', { className: 'seen' }, seen));
      node.dataset.fact = fact;
      return node;
    })));
}

function isWorthShowing({ fact, seen, same }) {
  return !same || !aside.includes(fact) || seen !== 'none' && fact !== 'headers';
}

/** report is what to send to who mends the filter. The body is left out: it repeats the request. */
export function report({ state, policy, rows, seen }) {
  const { body, ...outcome } = seen.outcome;
  return [
    'What the engine expects is not what happened.',
    '',
    ...rows.map((row) => `- ${row.name}: expected ${row.expected}, seen ${row.seen}${row.same ? '' : '  <-- differs'}`),
    '',
    'Policy in Envoy:', '```json', policy, '```',
    'Request:', '```json', JSON.stringify(withoutSecrets({ ...state.request, filter: state.filter }), null, 2), '```',
    'Seen:', '```json', JSON.stringify(withoutSecrets({ ...seen, outcome }), null, 2), '```',
    `Browser: ${navigator.userAgent}`,
  ].join('\n');
}
