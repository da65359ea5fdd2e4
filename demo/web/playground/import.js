// Takes requests from a cURL command that was pasted, or from a HAR file.

import { sentence } from '../explain.js';
import { el } from '../view.js';
import { $, button, show } from './dom.js';
import { unknown } from './state.js';

// largest bounds the file that is read, in bytes: the engine takes it as one string.
const largest = 64 << 20;

// most bounds how many requests there are to choose from.
const most = 500;

/**
 * imports lets the visitor choose a request of a command or a file.
 * @param {(text: string) => {requests: object[], warnings: string[], error: string}} read the engine's
 * @param {(request: object) => void} take
 */
export function imports(read, take) {
  $('try-read').addEventListener('click', () => offer($('try-curl').value, 'command'));
  $('try-har').addEventListener('change', ({ target }) => readFile(target.files[0]));

  const drop = $('try-drop');
  const hasFile = ({ dataTransfer }) => dataTransfer?.types.includes('Files');
  drop.addEventListener('dragover', (event) => {
    if (hasFile(event)) {
      event.preventDefault();
      drop.dataset.dropping = '';
    }
  });
  drop.addEventListener('dragleave', ({ relatedTarget }) => {
    if (!drop.contains(relatedTarget)) {
      delete drop.dataset.dropping;
    }
  });
  drop.addEventListener('drop', (event) => {
    delete drop.dataset.dropping;
    if (hasFile(event)) {
      event.preventDefault();
      readFile(event.dataTransfer.files[0]);
    }
  });

  async function readFile(file) {
    if (!file) {
      return;
    }
    if (file.size > largest) {
      say(`${file.name} is larger than ${largest >> 20} MiB; corsctl explain --har reads it.`);
      return;
    }
    $('try-import').open = true;
    offer(await file.text(), file.name);
  }

  function offer(text, from) {
    $('try-requests').hidden = true;
    if (!text.trim()) {
      say('There is nothing to read yet: paste a command, or choose a file.');
      return;
    }
    const { requests = [], warnings, error } = read(text);
    if (error || requests.length === 0) {
      say(error || `${from} has no request that CORS is about.`, ...(warnings ?? []));
      return;
    }
    if (requests.length === 1) {
      take(requests[0]);
      say(`Taken: ${title(requests[0])}.`, ...notes(requests[0]), ...(warnings ?? []));
      return;
    }
    const sorted = requests.toSorted((a, b) => Boolean(b.failed) - Boolean(a.failed));
    const cut = requests.length > most ? ` The first ${most} are listed; corsctl explain --har takes all.` : '';
    say(`${requests.length} requests, ${requests.filter((r) => r.failed).length} of them failed. Choose one.${cut}`,
      ...(warnings ?? []));
    $('try-requests').hidden = false;
    show($('try-requests'), ...sorted.slice(0, most).map((request, i) => {
      const choose = button(`request-${i}`, title(request), () => {
        for (const other of $('try-requests').querySelectorAll('button')) {
          other.setAttribute('aria-current', other === choose);
        }
        take(request);
        say(`Taken: ${title(request)}.`, ...notes(request));
      }, 'try-choice');
      return el('li', { className: request.failed ? 'failed' : '' }, choose);
    }));
  }
}

function title({ method, url, origin, failed }) {
  return `${method} ${url}${origin ? `, by a page of ${origin}` : ''}${failed ? ', failed' : ''}`;
}

// notes say how a request was read, and what isn't known of it.
function notes({ origin, names, notes: read }) {
  return [
    ...(read ?? []).map(sentence),
    names?.length && `Of ${names.join(', ')} only the name is recorded: “${unknown}” stands for the value.`,
    !origin && 'The page’s origin isn’t recorded: write it above.',
  ].filter(Boolean);
}

function say(first, ...more) {
  show($('try-imported'), el('p', {}, first), ...more.map((text) => el('p', { className: 'try-warning' }, text)));
}
