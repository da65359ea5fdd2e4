// Shows what the engine says of a request: the verdict, and each step on the way there.

import { el } from '../view.js';
import { $, button, code, copyButton, fold, keyed, lines, show } from './dom.js';
import { command, snippet } from './words.js';

/**
 * showVerdict shows the verdict, in Chromium's words too, and what to change.
 * @param {object} walk what engine.walk returns
 * @param {(text: string) => void} apply takes the policy with a change made
 */
export function showVerdict(walk, apply) {
  const { readable, because, chromium } = walk.verdict;
  show($('try-verdict'),
    el('p', { className: `try-verdict ${readable ? 'good' : 'bad'}` },
      el('b', {}, headline(walk)), ' ', because ? sentence(because) : ''),
    chromium?.message && el('div', {},
      el('h4', {}, 'On Chromium’s console'), el('p', { className: 'try-console' }, chromium.message)),
    walk.shadow && shadow(walk.shadow),
    walk.changes?.length > 0 && el('div', { className: 'try-changes' },
      el('h4', {}, 'The smallest change that lets the script read it'), ...changes(walk.changes, apply)),
    readable && el('p', { className: 'try-exposed' }, exposed(walk.exposed ?? [])));
}

/** headline says in a few words what becomes of a request. */
export function headline({ verdict, actual, preflight }) {
  if (verdict.readable) {
    return 'The script reads the answer.';
  }
  if (!actual && !preflight) {
    return 'The browser doesn’t send it.';
  }
  return actual ? 'The request is sent, and the script can’t read the answer.' : 'The browser stops at the preflight.';
}

function shadow(value) {
  const text = typeof value === 'string' ? value : value.text ?? value.because ?? JSON.stringify(value);
  return el('p', { className: 'hint' }, `Shadow mode: ${text}`);
}

// changes shows the edits; the last has the text with all of them made.
function changes(list, apply) {
  const items = list.map(({ path, edit, or, warnings }) => el('li', {},
    path ? el('code', {}, `${path}: `) : '', el('span', {}, edit),
    or ? el('span', {}, `; or ${or}`) : '',
    ...(warnings ?? []).map((warning) => el('p', { className: 'try-warning' }, `Then corsctl validate warns: ${warning}`))));
  const made = list.findLast(({ text }) => text)?.text;
  return [
    el('ul', {}, ...items),
    made ? button('apply-change', list.length > 1 ? 'Make these changes in the policy' : 'Make this change in the policy',
      () => apply(made)) : '',
  ].filter(Boolean);
}

function exposed(names) {
  return names.length
    ? `Beside the headers that every script may read, it can read ${list(names)}.`
    : 'Of the headers it can read those that every script may: Cache-Control, Content-Language, Content-Length, '
      + 'Content-Type, Expires, Last-Modified and Pragma.';
}

/** showSteps shows the way to the verdict. */
export function showSteps(walk) {
  show($('try-steps'),
    fold('steps', 'Step by step, as the Fetch standard walks it', true, el('ol', { className: 'try-walk' }, ...walk.steps.map(step))),
    walk.preflight && fold('preflight', 'The preflight', true, ...exchange(walk.preflight)),
    walk.actual && fold('actual', 'The actual request', true, ...exchange(walk.actual)),
    walk.dropped?.length > 0 && el('p', { className: 'hint' },
      `The browser drops ${list(walk.dropped.map(([name]) => name))}: a script can’t set what only browsers may.`),
    walk.policies?.length > 0 && fold('policies', `Policies considered: ${walk.policies.length}`, walk.policies.length > 1,
      el('ul', { className: 'try-policies' }, ...walk.policies.map(policy))));
}

const marks = { yes: ['→', 'yes'], no: ['–', 'no'], pass: ['✓', 'passed'], fail: ['✕', 'failed'], info: ['·', ''] };

function step({ id, title, text, section, result }) {
  const [mark, word] = marks[result] ?? marks.info;
  const link = keyed(`section-${id}`, el('a', { href: section, className: 'try-section' }, 'Fetch'));
  link.setAttribute('aria-label', `${title}, in the Fetch standard`);
  const sign = el('span', { className: `try-mark ${result}` }, mark);
  sign.setAttribute('aria-hidden', 'true');
  return el('li', {}, sign,
    el('div', {},
      el('p', { className: 'try-title' }, el('b', {}, title), el('span', { className: 'try-quiet' }, word && ` (${word})`),
        ' ', section ? link : ''),
      text ? el('p', {}, text) : ''));
}

// exchange shows a request and what is answered.
function exchange({ reasons, cached, request, answer }) {
  const { method, url, headers } = request;
  const from = answer?.forwarded ? 'from the upstream' : 'from Envoy';
  return [
    reasons?.length ? el('p', {}, `The browser asks first, because ${list(reasons)}.`) : '',
    cached ? el('p', {}, 'It has asked before, and the answer still holds: nothing is sent.') : '',
    el('div', { className: 'columns' },
      el('section', {}, el('h4', {}, 'Request'), lines(`${method} ${pathOf(url)}`, headers ?? [])),
      answer ? el('section', {}, el('h4', {}, `Answer, ${from}`), lines(String(answer.status), answer.headers ?? [])) : ''),
    answer?.details && answer.details !== 'via_upstream'
      ? el('p', { className: 'hint' }, 'Envoy logs it with ', el('code', {}, answer.details)) : '',
  ].filter(Boolean);
}

function pathOf(url) {
  return URL.canParse(url ?? '') ? new URL(url).pathname + new URL(url).search : url ?? '';
}

function policy({ path, name, applies, matches, why }) {
  const state = applies ? 'applies' : matches ? 'matches, too' : 'does not match';
  return el('li', { className: applies ? 'applies' : '' },
    el('code', {}, name || path || 'the policy'), ` ${state}: ${why}.`);
}

/** showWords shows the request as code, and as a command. */
export function showWords(request, file) {
  const script = snippet(request);
  const line = command(request, file);
  show($('try-snippets'),
    el('div', {}, el('div', { className: 'head' }, el('h4', {}, 'In a script'), copyButton('copy-fetch', 'Copy the script', () => script)),
      keyed('fetch', code('The request in a script', script))),
    el('div', {}, el('div', { className: 'head' }, el('h4', {}, 'In a terminal'), copyButton('copy-command', 'Copy the command', () => line)),
      keyed('command', code('The command that explains it', line))));
}

/** list writes words as people do: "a", "a and b", "a, b and c". */
export function list(words) {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** sentence writes words as a sentence. */
export function sentence(words) {
  return words[0].toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? '' : '.');
}
