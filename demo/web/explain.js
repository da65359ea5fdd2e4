// Shows why the engine expects what it does, in its words.

import { el } from './view.js';
import { fold } from './playground/dom.js';

/**
 * explanation is what the engine says of a request.
 * @param {import('./engine.js').Walk} walk
 * @param {string} key names it among others
 * @param {string} [name] of the request, where there are several
 */
export function explanation(walk, key, name = '') {
  const { readable, because } = walk.verdict;
  return el('div', { className: 'explained' },
    el('p', {},
      name && el('b', {}, `${name}: `),
      el('b', { className: readable ? 'good' : 'bad' }, headline(walk)),
      because ? ` ${sentence(because)}` : ''),
    ...walk.notes.map((note) => el('p', { className: 'hint' }, sentence(note))),
    ...changes(walk.changes),
    fold(key, 'Step by step, as the Fetch standard walks it', false,
      el('ol', { className: 'steps' }, ...walk.steps.map(step))));
}

/** headline says in a few words what becomes of a request. */
export function headline({ error, verdict, actual, preflight }) {
  if (error) {
    return sentence(error);
  }
  if (verdict.readable) {
    return 'The script reads the answer.';
  }
  if (!actual && !preflight) {
    return 'The browser doesn’t send it.';
  }
  return actual ? 'The request is sent, and the script can’t read the answer.' : 'The browser stops at the preflight.';
}

/** changes are the smallest change of the policy that lets the script read the answer. */
export function changes(list) {
  return list.length === 0 ? [] : [el('p', { className: 'change' }, el('b', {}, 'To let it: '),
    ...list.flatMap(({ path, edit, or, warnings }, i) => [
      i ? '; and ' : '', path ? el('code', {}, path) : '', path ? ': ' : '', edit, or ? `; or ${or}` : '',
      ...warnings.map((warning) => ` (though ${warning})`)]), '.')];
}

const marks = { yes: '→', no: '–', pass: '✓', fail: '✕', info: '·' };

function step({ title, text, section, result }) {
  const mark = el('span', { className: `mark ${result}` }, marks[result]);
  mark.setAttribute('aria-hidden', 'true');
  const link = el('a', { href: section }, 'Fetch');
  link.setAttribute('aria-label', `${title}, in the Fetch standard`);
  return el('li', {}, mark, el('div', {}, el('p', {}, el('b', {}, title), ' ', section ? link : ''), text ? el('p', {}, text) : ''));
}

/** sentence writes words as a sentence. */
export function sentence(words) {
  return words[0].toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? '' : '.');
}
