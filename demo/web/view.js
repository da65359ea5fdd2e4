// Builds the parts of a card.

import { isPreflight, isRefused } from './facts.js';

// el makes an element with properties and children.
export function el(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// code writes fetch calls as they would stand in a script; equal calls become a loop.
export function code(calls) {
  const written = calls.map(([url, init]) => `await fetch(${literal(url)}${init ? `, ${literal(init)}` : ''});`);
  const text = calls.length > 1 && calls.every((call) => call[1] === calls[0][1])
    ? `for (let i = 0; i < ${calls.length}; i++) {\n${written[0].replaceAll(/^/gm, '  ')}\n}`
    : written.join('\n');
  return text.split(/('[^'\n]*')/).map((part, i) => (i % 2 ? el('span', { className: 'string' }, part) : part));
}

function literal(value, indent = '') {
  if (typeof value === 'string') {
    return `'${value}'`;
  }
  const fields = Object.entries(value).map(([name, field]) => {
    const key = /^\w+$/.test(name) ? name : `'${name}'`;
    return `${indent}  ${key}: ${literal(field, `${indent}  `)},\n`;
  });
  return `{\n${fields.join('')}${indent}}`;
}

// exchangeItem shows one request: how far it got, its headers, its answer's, and
// why. The earlier ones are those of the same exchange.
export function exchangeItem({ envoy, upstream, reason }, earlier) {
  const readableByPage = Boolean(envoy['access-control-allow-origin']);
  return el('li', {},
    el('h3', {},
      `${envoy.method} ${envoy.path.split('?')[0]} `,
      el('span', { className: 'role' }, isPreflight(envoy) ? 'preflight' : '')),
    lane(envoy, upstream, readableByPage),
    el('p', { className: 'because' }, because(envoy, upstream, reason, earlier)),
    el('div', { className: 'columns' },
      column('Request', requestHeaders(envoy, upstream)),
      column(`Answer: ${envoy.status}`, answerHeaders(envoy, upstream))));
}

// lane draws the way from the browser over Envoy to the API, and back.
function lane(envoy, upstream, readableByPage) {
  const withheld = !readableByPage && !isPreflight(envoy);
  const way = upstream ? 'passed on to the API' : 'answered by Envoy';
  const node = el('div', { className: 'lane', role: 'img' },
    el('span', { className: 'stop' }, 'Browser'),
    hop(envoy.method, withheld ? `${envoy.status}, withheld` : envoy.status, withheld || isRefused(envoy) ? 'bad' : 'good'),
    el('span', { className: 'stop' }, 'Envoy'),
    upstream ? hop(envoy.method, envoy.status, '') : hop('not asked', '', 'idle'),
    el('span', { className: `stop ${upstream ? '' : 'idle'}` }, 'API'));
  node.setAttribute('aria-label', `${envoy.method} ${way}, status ${envoy.status}${withheld ? ', withheld from the script' : ''}`);
  return node;
}

function hop(there, back, kind) {
  return el('span', { className: `hop ${kind}` },
    el('span', { className: 'there' }, there),
    el('span', { className: 'back' }, back));
}

// because says in plain words what happened to a request.
function because(envoy, upstream, reason, earlier) {
  const allowOrigin = envoy['access-control-allow-origin'];
  if (isRefused(envoy)) {
    return upstream ? 'The API answered the preflight, and allowed nothing.' : `Refused by Envoy: ${reason}.`;
  }
  if (isPreflight(envoy)) {
    return upstream ? 'The API answered the preflight.' : 'Allowed by Envoy, which did not ask the API.';
  }
  const remembered = earlier.length > 1 && isPreflight(earlier[0].envoy) && !isPreflight(earlier.at(-1).envoy)
    ? 'Sent without a preflight, since the browser kept the answer to the first. ' : '';
  const answer = upstream ? 'The API’s answer' : `Envoy’s own answer (${reason})`;
  return allowOrigin
    ? `${remembered}${answer}, with the page’s origin in Access-Control-Allow-Origin: the script may read it.`
    : `${remembered}${answer}, without Access-Control-Allow-Origin: the browser withholds it from the script.`;
}

// Headers that say nothing of CORS: shown on demand only.
const usual = /^(accept|accept-encoding|accept-language|cache-control|content-length|pragma|priority|referer|user-agent|sec-.*|x-forwarded-proto|x-envoy-.*|x-request-id)$/;

function requestHeaders(envoy, upstream) {
  if (!upstream) {
    return [['as Envoy received it', pick(envoy, ['origin', 'access-control-request-method', 'access-control-request-headers'])]];
  }
  const rest = upstream.request.filter(([name]) => usual.test(name));
  return [
    ['as the API received it', upstream.request.filter(([name]) => !usual.test(name))],
    [`${rest.length} more`, rest, true],
  ];
}

const corsAnswer = [
  'access-control-allow-origin', 'access-control-allow-credentials', 'access-control-allow-methods',
  'access-control-allow-headers', 'access-control-expose-headers', 'access-control-max-age', 'vary',
];

function answerHeaders(envoy, upstream) {
  const groups = [['CORS headers, from Envoy', pick(envoy, corsAnswer)]];
  if (upstream) {
    groups.push(['from the API', upstream.answer]);
  }
  return groups;
}

function pick(envoy, names) {
  return names.filter((name) => envoy[name]).map((name) => [name, envoy[name]]);
}

// column lists headers in groups: [label, [[name, value], …], folded].
function column(title, groups) {
  return el('section', {}, el('h4', {}, title), ...groups.map(([label, headers, folded]) => {
    const lines = headers.map(([name, text]) => el('p', { className: 'line' }, el('b', {}, `${name}: `), text));
    if (!lines.length) {
      lines.push(el('p', { className: 'line none' }, 'none'));
    }
    return folded
      ? el('details', {}, el('summary', {}, label), ...lines)
      : el('div', {}, el('h5', {}, label), ...lines);
  }));
}
