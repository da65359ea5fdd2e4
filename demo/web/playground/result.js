// Shows what the engine says of a request: the verdict, and each step on the way there.

import { headline, sentence } from '../explain.js';
import { el } from '../view.js';
import { $, button, code, copyButton, fold, keyed, lines, show } from './dom.js';
import { browsers, command, own, snippet } from './words.js';

/**
 * showVerdict shows the verdict, in Firefox's words to who has one and in Chromium's to others, and what to change.
 * @param {object} walk what engine.walk returns
 * @param {(text: string) => void} apply takes the policy with a change made
 */
export function showVerdict(walk, apply) {
  const { readable, because } = walk.verdict;
  const shown = own || 'chromium';
  const message = walk.verdict[shown]?.message;
  show($('try-verdict'),
    el('p', { className: `try-verdict ${readable ? 'good' : 'bad'}` },
      el('b', {}, headline(walk)), ' ', because ? sentence(because) : ''),
    message && el('div', {},
      el('h4', {}, `On ${browsers[shown]}’s console`), el('p', { className: 'try-console' }, message)),
    walk.shadow && shadow(walk.shadow),
    walk.changes.length > 0 && el('div', { className: 'try-changes' },
      el('h4', {}, walk.changed ? 'The smallest change that lets the script read it' : 'What would help'),
      ...changes(walk, apply)),
    walk.lookup && lookup(walk.lookup),
    readable && el('p', { className: 'try-exposed' }, exposed(walk)),
    ...walk.notes.map((note) => el('p', { className: 'hint' }, sentence(note))));
}

/** inWords says the verdict. */
export function inWords(walk) {
  const { because } = walk.verdict;
  return because ? `${headline(walk)} ${sentence(because)}` : headline(walk);
}

// shadow says what a policy in shadow mode would do, and how that compares.
function shadow({ preflight, actual }) {
  const says = (what, { reason, compared, why }) => el('li', {},
    `${what}: ${reason}. `, compared === 'same' ? 'The page has the same now.'
      : `That is ${compared} than what the page has now${why ? `: ${why}` : ''}.`);
  return el('div', { className: 'try-changes' }, el('h4', {}, 'In force, the policy would say'), el('ul', {},
    preflight ? says('to the preflight', preflight) : '', actual ? says('to the actual request', actual) : ''));
}

// lookup says what comes of each result of a look-up.
function lookup({ not_asked: notAsked, cluster, path, outcomes }) {
  return el('div', { className: 'try-changes' },
    el('h4', {}, 'The look-up of the origin'),
    notAsked ? el('p', { className: 'hint' }, sentence(`the origin isn’t looked up: ${notAsked}`))
      : el('p', { className: 'hint' }, `The filter asks the cluster ${cluster} for `, el('code', {}, path), '.'),
    el('ul', {}, ...(outcomes ?? []).map(({ result, allowed, because }) => el('li', {},
      el('b', {}, result), allowed ? ': the script reads the answer' : `: it can’t, ${because}`))));
}

// changes shows the edits, and a button that makes them.
function changes({ changes: list, changed }, apply) {
  const items = list.map(({ path, edit, or, warnings }) => el('li', {},
    path ? el('code', {}, `${path}: `) : '', path ? edit : sentence(edit), or ? `; or ${or}` : '',
    ...warnings.map((warning) => el('p', { className: 'try-warning' }, `Then the filter warns: ${warning}.`))));
  const name = list.length > 1 ? 'Make these changes in the policy' : 'Make this change in the policy';
  return [el('ul', {}, ...items), changed ? button('apply-change', name, () => apply(changed)) : ''];
}

// exposed says which headers the script can read.
function exposed({ exposed: names, steps }) {
  if (steps.some(({ id, result }) => id === 'cross-origin' && result === 'no') || names.includes('*')) {
    return 'It can read all headers but Set-Cookie.';
  }
  const safelist = 'Cache-Control, Content-Language, Content-Length, Content-Type, Expires, Last-Modified and Pragma';
  return `Of the headers it can read those that every script may: ${safelist}`
    + `${names.length ? `; and ${list(names)}` : ''}.`;
}

/** showSteps shows the way to the verdict. */
export function showSteps(walk) {
  const { steps, preflight, actual, dropped, policies } = walk;
  show($('try-steps'),
    el('div', { className: 'try-exchanges' },
      ...[preflight && fold('preflight', 'The preflight', true, ...exchange(preflight)),
      actual && fold('actual', 'The actual request', true, ...exchange(actual)),
      policies.length > 0 && fold('policies', `Policies considered: ${policies.length}`, true,
        el('ul', { className: 'try-policies' }, ...policies.map(policy)))].filter(Boolean)),
    dropped.length > 0 && el('p', { className: 'hint' },
      `The browser drops ${list(dropped.map(([name]) => name))}: a script can’t set what only browsers may.`),
    fold('steps', `As the Fetch standard walks it: ${steps.length} ${steps.length === 1 ? 'step' : 'steps'}`, true,
      el('ol', { className: 'try-walk' }, ...steps.map(step))));
}

const marks = { yes: ['→', 'yes'], no: ['–', 'no'], pass: ['✓', 'passed'], fail: ['✕', 'failed'], info: ['·', ''] };

function step({ id, title, text, section, result }) {
  const [mark, word] = marks[result];
  const link = section && keyed(`section-${id}`, el('a', { href: section, className: 'try-section' }, 'Fetch'));
  if (link) {
    link.setAttribute('aria-label', `${title}, in the Fetch standard`);
  }
  const sign = el('span', { className: `try-mark ${result}` }, mark);
  sign.setAttribute('aria-hidden', 'true');
  const node = el('li', {}, sign, el('div', {},
    el('p', {}, el('b', {}, title), el('span', { className: 'try-quiet' }, word && ` (${word})`), ' ', link),
    el('p', {}, text)));
  node.dataset.step = id;
  node.dataset.result = result;
  return node;
}

// exchange shows a request and what is answered.
function exchange({ reasons, cached, request, answer }) {
  if (cached) {
    return [el('p', {}, 'The browser has asked before, and the answer still holds: nothing is sent.')];
  }
  const { method, url, headers } = request;
  return [
    reasons ? el('p', {}, `The browser asks first, because ${list(reasons)}.`) : '',
    el('div', { className: 'columns' },
      el('section', {}, el('h4', {}, 'Request'), lines(`${method} ${pathOf(url)}`, headers)),
      el('section', {}, el('h4', {}, `Answer, ${answer.forwarded ? 'from the upstream' : 'from Envoy'}`),
        lines(String(answer.status), answer.headers))),
    answer.forwarded ? '' : el('p', { className: 'hint' }, 'Envoy logs it with ', el('code', {}, answer.details)),
  ].filter(Boolean);
}

function pathOf(url) {
  if (!URL.canParse(url)) { // which the engine takes nevertheless
    return url;
  }
  const { pathname, search } = new URL(url);
  return pathname + search;
}

function policy({ path, name, applies, matches, why }) {
  const state = applies ? 'applies' : matches ? 'matches, too' : 'does not match';
  return el('li', { className: applies ? 'applies' : '' },
    el('code', {}, name || path || 'the policy'), ` ${state}: ${why}.`);
}

/**
 * showWords shows the request as code, and as a command.
 * @param {import('./state.js').Request} request
 * @param {string} file that has the policy, or ''
 */
export function showWords(request, file) {
  const script = snippet(request);
  const line = command(request, file || 'policy.json');
  const part = (key, title, copyName, name, text) => el('div', {},
    el('div', { className: 'head' }, el('h4', {}, title), copyButton(`copy-${key}`, copyName, () => text)),
    keyed(key, code(name, text)));
  show($('try-snippets'),
    part('fetch', 'In a script', 'Copy the script', 'The request in a script', script),
    part('command', 'In a terminal', 'Copy the command', 'The command that explains it', line),
    !file && el('p', { className: 'hint' }, 'In ', el('code', {}, 'policy.json'), ' is what stands in the editor.'));
}

// list writes words as people do: "a", "a and b", "a, b and c".
function list(words) {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
