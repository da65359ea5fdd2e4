// Builds the parts of a card.

import { corsAnswer, isPreflight } from './facts.js';

// el makes an element with properties and children.
export function el(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// code writes a script, with its strings marked.
export function code(text) {
  return text.split(/('[^'\n]*')/).map((part, i) => (i % 2 ? el('span', { className: 'string' }, part) : part));
}

/**
 * exchange shows the requests of an exchange: how far each got, its headers, its answer's, and
 * what the browser did then.
 * @param {object[]} records the server's
 * @param {import('./send.js').Outcome[]} outcomes what the script learned of its requests
 */
export function exchange(records, outcomes) {
  const calls = callsOf(records);
  const known = calls.length === outcomes.length; // else nobody knows which is whose
  return calls.flatMap(({ preflight, actual }, i) => {
    const outcome = known ? outcomes[i] : undefined;
    const remembered = !preflight && calls[0].preflight && calls[0].actual;
    return [
      preflight && item(preflight, i, actual ? `The browser took it as permission, and sent the ${actual.envoy.method}.`
        : 'The browser did not send the request that it asked for.', !actual),
      actual && item(actual, i, (remembered && i ? 'The browser remembered the answer to the preflight. ' : '')
        + (!outcome ? '' : outcome.error ? 'The browser withheld the answer from the script.' : 'The script could read the answer.'),
      Boolean(outcome?.error)),
    ].filter(Boolean);
  });
}

// callsOf takes a preflight and the request after it for one call of fetch.
function callsOf(records) {
  const calls = [];
  for (const record of records) {
    if (isPreflight(record.envoy)) {
      calls.push({ preflight: record });
    } else if (calls.at(-1)?.preflight && !calls.at(-1).actual) {
      calls.at(-1).actual = record;
    } else {
      calls.push({ actual: record });
    }
  }
  return calls;
}

function item({ envoy, upstream, reason }, call, then, withheld) {
  return el('li', {},
    el('h4', {},
      `${envoy.method} ${envoy.path.split('?')[0]} `,
      el('span', { className: 'role' }, isPreflight(envoy) ? 'preflight' : '')),
    lane(envoy, upstream, withheld),
    el('p', { className: 'because' }, `${answered(envoy, upstream, reason)} ${then}`.trim()),
    el('div', { className: 'columns' },
      column('Request', requestHeaders(envoy, upstream), `${call}-${envoy.method}`),
      column(`Answer: ${envoy.status}`, answerHeaders(envoy, upstream), `${call}-${envoy.method}`)));
}

// lane draws the way from the browser over Envoy to the API, and back.
function lane(envoy, upstream, withheld) {
  const way = upstream ? 'passed on to the API' : 'answered by Envoy';
  const kept = withheld && !isPreflight(envoy);
  const node = el('div', { className: 'lane', role: 'img' },
    el('span', { className: 'stop' }, 'Browser'),
    hop(envoy.method, kept ? `${envoy.status}, withheld` : envoy.status, withheld ? 'bad' : 'good'),
    el('span', { className: 'stop' }, 'Envoy'),
    upstream ? hop(envoy.method, envoy.status, '') : hop('not asked', '', 'idle'),
    el('span', { className: `stop ${upstream ? '' : 'idle'}` }, 'API'));
  node.setAttribute('aria-label', `${envoy.method} ${way}, status ${envoy.status}${kept ? ', withheld from the script' : ''}`);
  return node;
}

function hop(there, back, kind) {
  return el('span', { className: `hop ${kind}` },
    el('span', { className: 'there' }, there),
    el('span', { className: 'back' }, back));
}

// answered says who answered, and what the filter has to say of it.
function answered(envoy, upstream, reason) {
  const logged = envoy.cors_reason ? ` The filter logged: ${envoy.cors_reason}.` : '';
  if (upstream) {
    return `The API answered.${logged}`;
  }
  return envoy.details?.startsWith('cors:') ? `The filter answered, without the API: ${reason}.`
    : `Envoy answered, without the API: ${reason}.${logged}`;
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

function answerHeaders(envoy, upstream) {
  const groups = [['CORS headers', pick(envoy, [...corsAnswer, 'vary'])]];
  if (upstream) {
    groups.push(['from the API', upstream.answer]);
  }
  return groups;
}

function pick(envoy, names) {
  return names.filter((name) => envoy[name]).map((name) => [name, envoy[name]]);
}

// column lists headers in groups: [label, [[name, value], …], folded].
function column(title, groups, key) {
  return el('section', {}, el('h5', {}, title), ...groups.map(([label, headers, folded]) => {
    const lines = headers.map(([name, text]) => el('p', { className: 'line' }, el('b', {}, `${name}: `), text));
    if (!lines.length) {
      lines.push(el('p', { className: 'line none' }, 'none'));
    }
    if (!folded) {
      return el('div', {}, el('h6', {}, label), ...lines);
    }
    const details = el('details', {}, el('summary', {}, label), ...lines);
    details.dataset.key = details.firstElementChild.dataset.key = `${key}-more`;
    return details;
  }));
}
