// The origins in the database: shows them, adds and removes them, and measures how long it is
// from the click until browsers do otherwise.

import { isPage, isReady, isServed, prepare, sendFrom } from './frames.js';
import { el } from './view.js';

const $ = (id) => document.getElementById(id);
const patience = 5_000; // ms
const times = new Map(); // what was measured of an origin, for its row
const removing = new Set();
let rows = { origins: [] };

// apiFor returns the database's API under the name that a page has itself, so that cookies get there too.
export function apiFor(facts, origin) {
  return `http://${origin === 'null' ? location.hostname : new URL(origin).hostname}:${new URL(facts.database.api).port}`;
}

// isReadable tells whether a page of an origin may read what the database's API answers.
export async function isReadable(facts, origin) {
  return (await probe(facts, origin)).readable;
}

// probe has a page of an origin ask once, and tells when the page knew what came of it. It fails
// if the API does not answer at all, which looks the same to the page.
async function probe(facts, origin) {
  const api = apiFor(facts, origin);
  const [outcome] = await sendFrom(origin, api, [{ path: '/probe', init: { cache: 'no-store' } }], 'probe');
  const at = performance.now();
  if (!outcome) {
    throw new Error(`no page of ${origin} answers`);
  }
  if (outcome.error) {
    await fetch(`${api}/probe`, { mode: 'no-cors', cache: 'no-store' });
  }
  return { readable: !outcome.error, at };
}

// showOrigins shows the rows, and goes on to do so. It calls changed whenever they, or what comes of them, are others.
export async function showOrigins(facts, changed) {
  const { form } = $('origin');
  const page = location.origin;
  const preparing = () => isServed($('origin').value) && prepare($('origin').value);
  $('origin').addEventListener('input', preparing);

  // Enter clicks the button too.
  let clicked = 0;
  form.querySelector('button').addEventListener('click', ({ timeStamp }) => { clicked = timeStamp; });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    add($('origin').value, clicked);
  });
  $('start').addEventListener('click', startAgain);
  if (await update()) {
    const first = page === facts.app ? facts.other : page;
    $('origin').value = rows.origins.includes(first) ? '' : first;
    preparing();
    showRows();
    changed(rows);
  }
  for (;;) {
    if (await update()) {
      showRows();
      changed(rows);
    }
  }

  // update waits for rows that are others than the page has.
  async function update() {
    const before = rows.version;
    try {
      rows = await (await fetch(`/origins?after=${before}`)).json();
    } catch {
      await pause(1_000); // the demo has stopped, as the cards say
    }
    return rows.version !== before;
  }

  function showRows() {
    $('stopped').hidden = !rows.stopped;
    $('stopped').querySelector('code').textContent = rows.stopped;
    $('no-rows').hidden = rows.origins.length > 0;
    $('rows').hidden = !rows.origins.length;
    const body = $('rows').tBodies[0];
    const focused = [...body.rows].findIndex((tr) => tr.contains(document.activeElement));
    // Rows that stay are the same elements, so that a click on one of them finds it.
    const there = new Map([...body.rows].map((tr) => [tr.dataset.origin, tr]));
    rows.origins.forEach((origin, i) => {
      const tr = there.get(origin) ?? row(origin);
      there.delete(origin);
      tr.cells[1].textContent = times.get(origin) ?? 'not measured';
      if (body.rows[i] !== tr) {
        body.insertBefore(tr, body.rows[i] ?? null);
      }
    });
    there.forEach((tr) => tr.remove());
    if (focused >= 0 && !body.contains(document.activeElement)) { // its row has gone
      const next = body.rows[Math.min(focused, body.rows.length - 1)];
      (next?.querySelector('button') ?? $('origin')).focus();
    }
    rows.origins.filter(isServed).slice(0, 8).forEach(prepare);
  }

  function row(origin) {
    const button = el('button', { className: 'button', type: 'button', ariaLabel: `Remove ${origin}` }, 'Remove');
    button.addEventListener('click', ({ timeStamp }) => remove(origin, timeStamp));
    const name = isPage(origin) && origin !== page
      ? el('a', { href: origin, target: '_blank' }, origin)
      : origin;
    const tr = el('tr', {},
      el('th', { scope: 'row' }, name),
      el('td', {}),
      el('td', {}, button));
    tr.dataset.origin = origin;
    return tr;
  }

  async function add(origin, since) {
    const before = await readableNow(origin);
    const answer = rows.origins.includes(origin)
      ? { says: `${origin} is registered already.` }
      : await write('POST', '/origins', { origin });
    const written = ms(since);
    complain(answer);
    if (!answer.says) {
      $('origin').value = '';
      await report(origin, { since, written, before, want: true, warning: answer.warning });
    }
  }

  async function remove(origin, since) {
    if (removing.has(origin)) {
      return;
    }
    removing.add(origin);
    const before = await readableNow(origin);
    const answer = await write('DELETE', `/origins?${new URLSearchParams({ origin })}`);
    const written = ms(since);
    complain(answer);
    if (!answer.says) {
      times.delete(origin);
      await report(origin, { since, written, before, want: false });
    }
    removing.delete(origin);
  }

  // readableNow tells whether a page of an origin could read answers at the click; undefined
  // if there is none yet.
  async function readableNow(origin) {
    return isReady(origin) ? isReadable(facts, origin).catch(() => undefined) : undefined;
  }

  // report says when the row was written, and when browsers did otherwise for the first time.
  async function report(origin, { since, written, before, want, warning = '' }) {
    const [did, table, effect] = want
      ? ['Added', 'in the table', 'allowed'] : ['Removed', 'out of the table', 'blocked'];
    let seen = {};
    if (!isServed(origin)) {
      seen.then = 'The demo has no page of this origin to measure with.';
    } else if (rows.stopped) {
      seen.then = 'Envoy learns of it once cors-policyd runs again.';
    } else if (before === want) {
      seen.then = `Its pages were ${effect} before.`;
    } else {
      seen = await waitFor(origin, want, since, effect);
    }
    const { time, requests, then } = seen;
    while (rows.origins.includes(origin) !== want && ms(since) < patience) {
      await pause(10); // the table is about to show it, too
    }
    if (want && time !== undefined) {
      times.set(origin, `${time} ms after the click`);
      showRows();
    }
    const outcome = time === undefined ? `. ${then}` : `, ${effect} after ${time} ms, at request ${requests} of its page.`;
    $('times').prepend(el('li', {},
      `${did} `, el('b', {}, origin), `: ${table} ${written} ms after the click${outcome} ${warning}`));
    [...$('times').children].slice(4).forEach((old) => old.remove());
    changed(rows);
  }

  // waitFor repeats a request until a page of the origin may read the answer, or no longer may.
  async function waitFor(origin, want, since, effect) {
    try {
      for (let requests = 1; ms(since) < patience; requests++) {
        const { readable, at } = await probe(facts, origin);
        if (readable === want) {
          return { time: Math.round(at - since), requests };
        }
        await pause(5);
      }
      return { then: `After ${patience / 1000} s its pages are not ${effect} yet; another row may have them, too.` };
    } catch (error) {
      return { then: `It could not be seen what came of it: ${error.message}.` };
    }
  }

  // complain says what is wrong with an origin, and offers what to write instead.
  function complain({ says, suggestions }) {
    $('wrong').hidden = !says;
    $('origin').setAttribute('aria-invalid', Boolean(says));
    $('wrong').querySelector('p').textContent = says;
    $('wrong').querySelector('div').replaceChildren(...(suggestions ?? []).map((origin) => {
      const button = el('button', { className: 'button', type: 'button' }, `Add ${origin}`);
      button.addEventListener('click', ({ timeStamp }) => {
        $('origin').value = origin;
        $('origin').focus();
        add(origin, timeStamp);
      });
      return button;
    }));
  }

  async function startAgain() {
    $('start').disabled = true;
    complain(await write('POST', '/policyd'));
    $('start').disabled = false;
  }
}

// write returns an answer of the demo, which says what is wrong, if anything is.
async function write(method, url, body) {
  try {
    const response = await fetch(url, { method, body: body && JSON.stringify(body) });
    const text = await response.text();
    return response.headers.get('Content-Type') === 'application/json' ? JSON.parse(text) : { says: text };
  } catch (error) {
    return { says: `The demo itself does not answer (${error.message}). Is it still running?` };
  }
}

const ms = (since) => Math.round(performance.now() - since);

const pause = (time) => new Promise((resolve) => { setTimeout(resolve, time); });
