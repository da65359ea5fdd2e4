// What the parts of the playground are built with.

import { el } from '../view.js';

export const $ = (id) => document.getElementById(id);

/**
 * show gives a node other children. What was open there stays open, and the focus stays where it
 * was: in the details, or on the control, with the same data-key.
 * @param {Element} node
 * @param {...(Node|string|false|null|undefined)} children those that are nothing are left out
 */
export function show(node, ...children) {
  const active = node.contains(document.activeElement) ? document.activeElement : undefined;
  const focused = (active?.matches('summary') ? active.parentElement : active)?.dataset.key;
  const details = (from) => from.querySelectorAll('details[data-key]');
  const open = new Map([...details(node)].map((d) => [d.dataset.key, d.open]));
  node.replaceChildren(...children.flat().filter(Boolean));
  for (const d of details(node)) {
    d.open = open.get(d.dataset.key) ?? d.open;
  }
  if (focused) {
    const like = node.querySelector(`[data-key="${CSS.escape(focused)}"]`);
    (like?.matches('details') ? like.querySelector('summary') : like)?.focus({ preventScroll: true });
  }
}

/** keyed names an element, so that show finds its like again. */
export function keyed(key, node) {
  node.dataset.key = key;
  return node;
}

/** button makes a button that does something. */
export function button(key, text, act, className = 'button') {
  const node = keyed(key, el('button', { type: 'button', className }, text));
  node.addEventListener('click', act);
  return node;
}

/**
 * copyButton makes a button that copies text, and says for a moment that it did.
 * @param {string} key
 * @param {string} name what the button says
 * @param {() => string | Promise<string>} text
 */
export function copyButton(key, name, text) {
  const node = button(key, name, async () => {
    node.textContent = await copy(await text()) ? 'Copied' : 'The browser doesn’t let this page copy';
    setTimeout(() => { node.textContent = name; }, 2_000);
  });
  return node;
}

/** copy puts text on the clipboard, and tells whether it could. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** fold makes details with a summary. */
export function fold(key, summary, open, ...children) {
  return keyed(key, el('details', { open }, el('summary', {}, summary), ...children));
}

/** code makes a block of code that can be reached, as it may be wider than there is room. */
export function code(name, text) {
  const node = el('pre', { className: 'code', tabIndex: 0 }, text);
  node.setAttribute('role', 'region');
  node.setAttribute('aria-label', name);
  return node;
}

/** lines makes the lines of a message: its first, and its headers. */
export function lines(first, headers) {
  return el('div', { className: 'try-message' },
    el('p', { className: 'line try-first' }, first),
    ...headers.map(([name, value]) => el('p', { className: 'line' }, el('b', {}, `${name}: `), value)));
}
