// The live log of what Envoy sees.

import { isPreflight } from '../facts.js';
import { followLog } from '../log.js';
import { el } from '../view.js';
import { $, button } from './dom.js';
import { unknown } from './state.js';

const most = 200; // lines

/**
 * showLog shows each line of Envoy's access log as it comes.
 * @param {(request: object) => void} take gets what a line says of its request
 */
export function showLog(take) {
  const entries = []; // the latest first, those of a pause too
  const body = $('try-lines').querySelector('tbody');
  let paused = false;
  let waiting = 0; // entries that came during the pause
  let connected = true;
  let count = 0;

  followLog({
    request(line) {
      entries.unshift({ id: count++, line });
      entries.splice(most);
      if (paused) {
        waiting++;
      } else {
        add(entries[0]);
      }
      offerOrigin(line.origin);
      say();
    },
    connected(is) {
      connected = is;
      say();
    },
  });

  $('try-filter').addEventListener('change', showAll);
  $('try-pause').addEventListener('click', () => {
    paused = !paused;
    waiting = 0;
    $('try-pause').setAttribute('aria-pressed', paused);
    $('try-pause').textContent = paused ? 'Go on with the log' : 'Pause the log';
    if (!paused) {
      showAll();
    }
    say();
  });
  $('try-clear').addEventListener('click', () => {
    entries.length = 0;
    waiting = 0;
    showAll();
  });
  say();

  function matches({ line }) {
    const origin = $('try-filter').value;
    return !origin || line.origin === origin;
  }

  function add(entry) {
    if (matches(entry)) {
      body.prepend(row(entry.line, entry.id, take));
      while (body.children.length > most) {
        body.lastElementChild.remove();
      }
    }
  }

  function showAll() {
    body.replaceChildren(...entries.filter(matches).map(({ line, id }) => row(line, id, take)));
    say();
  }

  function offerOrigin(origin) {
    const known = [...$('try-filter').options].some(({ value }) => value === origin);
    if (origin && !known && $('try-filter').options.length < 50) {
      $('try-filter').append(el('option', { value: origin }, origin));
    }
  }

  function say() {
    $('try-log-says').textContent = !connected ? 'The demo does not answer. Is it still running?'
      : paused ? `Paused; ${waiting} since then.`
        : entries.length === 0 ? 'Nothing yet. Requests to the API will stand here.'
          : `The latest ${body.children.length}, newest first. A click takes one into the request above.`;
  }
}

function row(line, id, take) {
  const time = new Date(line.time);
  const path = line.path.replace(/[?&]exchange=[^&]*$/, '');
  const preflight = isPreflight(line);
  const name = `${line.method} ${path}`;
  const choose = button(`log-${id}`, name, () => take(requestOf(line, path)), 'try-choice');
  const by = line.origin ? `of ${line.origin}` : 'without origin';
  choose.setAttribute('aria-label', `Take into the request: ${name}, ${by}, line ${id + 1}`);
  const readable = Boolean(line['access-control-allow-origin']);
  return el('tr', { className: line.origin ? readable ? 'good' : 'bad' : '' },
    el('td', {}, el('time', { dateTime: line.time }, time.toLocaleTimeString('en-GB'))),
    el('td', {}, choose),
    el('td', {}, line.origin ?? 'none'),
    el('td', {}, String(line.status)),
    el('td', {}, outcome(line, preflight)));
}

// outcome is what Envoy knows: who may read the answer, and not whether the browser lets it.
function outcome(line, preflight) {
  const reason = line.cors_reason ? `: ${line.cors_reason}` : '';
  const policy = line.cors_policy ? ` (policy ${line.cors_policy})` : '';
  const allowed = line['access-control-allow-origin'];
  if (!line.origin) {
    return 'no Origin';
  }
  if (preflight) {
    const asked = `preflight for ${line['access-control-request-method']}`;
    if (!line.details?.startsWith('cors:')) {
      return `${asked} passed on${reason}${policy}`;
    }
    return line.details === 'cors:_preflight_allowed' ? `${asked} allowed` : `${asked} refused${reason}${policy}`;
  }
  return (allowed ? `allows ${allowed === line.origin ? 'this origin' : allowed}` : 'allows no page') + reason + (reason && policy);
}

// requestOf is what a page asked for, as far as a line of the log says it.
function requestOf(line, path) {
  const names = (line['access-control-request-headers'] ?? '').split(',').map((name) => name.trim()).filter(Boolean);
  return {
    origin: line.origin ?? '',
    method: isPreflight(line) ? line['access-control-request-method'] : line.method,
    url: `http://${line.authority}${path}`,
    headers: names.map((header) => [header, unknown]),
    route: '',
    initiator: undefined,
  };
}
