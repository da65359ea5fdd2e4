// The policy: its editor, what is wrong with it, and the policy that Envoy has.

import { el } from '../view.js';
import { $, button, show } from './dom.js';

/**
 * showFindings lists what the filter says of the policy; each leads to its place in the text.
 * @param {{ok: boolean, findings: object[]}} checked
 * @param {{select(from: number, to: number): void, replace(from: number, to: number, text: string): void}} editor
 */
export function showFindings({ ok, findings }, editor) {
  const count = (severity) => findings.filter((f) => f.severity === severity).length;
  const errors = count('error');
  const warnings = count('warning');
  $('try-summary').textContent = ok && warnings === 0 ? 'The filter takes this policy.'
    : ok ? `The filter takes this policy, with ${plural(warnings, 'warning')}.`
      : `The filter refuses this policy: ${plural(errors, 'error')}, ${plural(warnings, 'warning')}.`;
  $('try-summary').dataset.ok = ok;
  $('try-findings').hidden = findings.length === 0;
  show($('try-findings'), ...findings.map((finding, i) => {
    const { severity, path, message, instead, line, column, from, to, replacement } = finding;
    const where = `${line}:${column}${path ? ` ${path}` : ''}`;
    const place = button(`finding-${i}`, where, () => editor.select(from, to), 'try-choice');
    place.setAttribute('aria-label', `${where}: go there in the policy`);
    const fix = replacement !== undefined && button(`fix-${i}`, `Write ${replacement}`,
      () => editor.replace(from, to, replacement));
    return el('li', { className: severity },
      el('b', {}, severity === 'error' ? 'Error' : 'Warning'), ' ', place, ' ',
      el('span', {}, message), instead ? el('span', {}, `; ${instead}`) : '', fix || '');
  }));
}

/** plural counts things. */
export function plural(n, word) {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}

/** sameText tells whether two configurations say the same, however they are laid out. */
export function sameText(a, b) {
  const normal = (text) => {
    try {
      return JSON.stringify(JSON.parse(text));
    } catch {
      return text.trim();
    }
  };
  return normal(a) === normal(b);
}

/**
 * give has Envoy take a policy, or without one that of its file, and shows what it says to that.
 * @param {string} [policy]
 * @returns {Promise<{accepted: boolean, policy: string, reasons: string[]} | undefined>}
 */
export async function give(policy) {
  const says = (className, text, reasons = []) => show($('try-answer'), el('div', { className },
    el('p', {}, text), reasons.length ? el('ul', {}, ...reasons.map((reason) => el('li', {}, reason))) : ''));
  try {
    const response = await fetch('policy', policy === undefined ? { method: 'DELETE' }
      : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: policy });
    if (response.headers.get('Content-Type')?.startsWith('application/json') !== true) {
      says('bad', `The demo refused it: ${(await response.text()).trim()}`);
      return undefined;
    }
    const answer = await response.json();
    if (answer.accepted) {
      says('good', policy === undefined ? 'Accepted: it is that of the file again.' : 'Accepted.');
    } else {
      says('bad', 'Envoy refuses this policy, and goes on with the one that it has.', answer.reasons ?? []);
    }
    return answer;
  } catch (error) {
    says('bad', `The demo does not answer (${error.message}). Is it still running?`);
    return undefined;
  }
}
