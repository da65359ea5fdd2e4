// Runs the scenarios and shows what came of them.

import { labels, matches, observe } from './facts.js';
import { sendFrom } from './frames.js';
import { apiFor, isReadable, showOrigins } from './origins.js';
import { scenarios } from './scenarios.js';
import { send } from './send.js';
import { code, el, exchangeItem } from './view.js';

let facts = await (await fetch('/facts')).json();
const page = location.origin;
const cards = new Map();
const own = page === facts.app; // the origin that envoy.yaml allows
let registered = await isRegistered();
let rows;
let following; // a turn to come

const $ = (id) => document.getElementById(id);

// The API that the scenarios ask: that of the policy in envoy.yaml, or, for a page whose origin is
// in the database, the one whose policy is there.
const api = () => (registered ? apiFor(facts, page) : facts.api);
const allowed = () => own || registered;
const other = () => (registered ? `http://stranger.localhost:${location.port}` : facts.other);

for (const [name, text] of Object.entries(facts.database)) {
  for (const node of document.querySelectorAll(`[data-database="${name}"]`)) {
    node.textContent = text;
  }
}
document.querySelector('[data-port]').textContent = location.port;
for (const node of document.querySelectorAll('[data-file]')) {
  node.textContent = facts.file;
}
$('to-app').href = facts.app;
$('run-all').addEventListener('click', () => {
  scenarios.forEach((scenario) => setState(scenario, 'running'));
  inTurn(runAll);
});
for (const scenario of scenarios) {
  addCard(scenario);
}
showAPI();
addEventListener('focus', () => inTurn(takeOver));
const first = inTurn(runAll);
showOrigins(facts, (now) => {
  rows = now;
  following ??= inTurn(follow);
});
await first;

// inTurn does one thing that runs scenarios after the other.
function inTurn(action) {
  inTurn.last = (inTurn.last ?? Promise.resolve()).then(action);
  return inTurn.last;
}

// isRegistered tells whether this page may read the database's API.
async function isRegistered() {
  return !own && isReadable(facts, page).catch(() => false);
}

// follow runs all again if the database now allows this page, or no longer does. Envoy may
// have the news some milliseconds after the page.
async function follow() {
  following = undefined;
  await showPolicy();
  for (const wait of own ? [] : [0, 500]) {
    await new Promise((resolve) => { setTimeout(resolve, wait); });
    const now = await isRegistered();
    if (now !== registered) {
      registered = now;
      showAPI();
      await runAll();
      return;
    }
  }
}

// showAPI shows where the requests go.
function showAPI() {
  for (const [name, text] of Object.entries({ page, api: api(), app: facts.app })) {
    for (const node of document.querySelectorAll(`[data-origin="${name}"]`)) {
      node.textContent = text;
    }
  }
  $('edit').hidden = !facts.file || registered;
  $('from-database').hidden = !registered;
  $('notice').hidden = allowed();
  $('registered').hidden = !registered;
  for (const [scenario, card] of cards) {
    card.querySelector('.code').replaceChildren(...code(scenario.steps.map((step) => [api() + step.path, step.init])));
  }
}

function addCard(scenario) {
  const card = $('card').content.firstElementChild.cloneNode(true);
  card.id = card.dataset.scenario = scenario.id;
  card.querySelector('h2').textContent = scenario.title;
  card.querySelector('.says').textContent = scenario.says;
  card.querySelector('.run').addEventListener('click', () => {
    setState(scenario, 'running');
    inTurn(() => run(scenario));
  });
  if (scenario.elsewhere && own) {
    card.querySelector('.run').after(el('a', { className: 'aside', href: facts.other }, `Open this page as ${facts.other}`));
  }
  cards.set(scenario, card);
  $('cards').append(card);
  $('index').append(el('a', { href: `#${scenario.id}`, title: scenario.title }, el('span', {}, scenario.title)));
}

// takeOver runs all again if the policy was edited while the visitor was away.
async function takeOver() {
  const before = facts.policy;
  await showPolicy();
  if (facts.policy !== before) {
    await runAll();
  }
}

async function showPolicy() {
  try {
    facts = await (await fetch('/facts')).json();
  } catch {
    // The demo has stopped; the cards will say so.
  }
  $('policy').textContent = registered ? policyOf(rows?.document) : facts.policy;
  $('refused').hidden = !facts.refused || registered;
  $('refused').querySelector('ul').replaceChildren(...(facts.reasons ?? []).map((reason) => el('li', {}, reason)));
  $('refused').querySelector('span').hidden = Boolean(facts.reasons?.length);
}

// policyOf writes the policy in a document of cors-policyd, a line a field.
function policyOf(document = '') {
  if (!document) {
    return '';
  }
  const [policy] = JSON.parse(document).policies;
  const fields = Object.entries(policy).map(([name, value]) => {
    const text = Array.isArray(value) ? `[${value.map((v) => JSON.stringify(v)).join(', ')}]` : JSON.stringify(value);
    return `  "${name}": ${text}`;
  });
  return `{\n${fields.join(',\n')}\n}`;
}

async function runAll() {
  for (const scenario of scenarios) {
    setState(scenario, 'running');
  }
  await showPolicy();
  for (const scenario of scenarios) {
    await run(scenario);
  }
}

async function run(scenario) {
  setState(scenario, 'running');
  const exchange = `${scenario.id}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  try {
    const outcomes = scenario.elsewhere && allowed()
      ? await sendFrom(other(), api(), scenario.steps, exchange)
      : await send(api(), scenario.steps, exchange);
    const response = await fetch(`/observed?exchange=${exchange}&fetches=${outcomes.length}`);
    show(scenario, outcomes, await response.json());
  } catch (error) {
    show(scenario, [], []);
    cards.get(scenario).querySelector('.why').textContent = `The demo itself does not answer (${error.message}). Is it still running?`;
  }
}

function show(scenario, outcomes, records) {
  const card = cards.get(scenario);
  const expected = (allowed() ? scenario.allowed : scenario.refused)(page, other());
  const seen = observe(outcomes, records);

  let pass = true;
  const rows = Object.keys(expected).map((fact) => {
    const same = matches(fact, expected[fact], seen[fact]);
    pass &&= same;
    const row = el('tr', { className: same ? 'same' : 'other' },
      el('th', { scope: 'row' }, labels[fact]),
      el('td', { className: 'expected' }, expected[fact]),
      el('td', { className: 'seen' }, seen[fact]));
    row.dataset.fact = fact;
    return row;
  });
  card.querySelector('.facts tbody').replaceChildren(...rows);
  card.querySelector('.why').textContent = scenario.why[allowed() ? 'allowed' : 'refused'];
  card.querySelector('.exchange').replaceChildren(...(records.length
    ? records.map((record, i) => exchangeItem(record, records.slice(0, i)))
    : [el('li', { className: 'empty' }, 'Envoy logged no request.')]));
  setState(scenario, pass ? 'pass' : 'fail');
}

function setState(scenario, state) {
  const card = cards.get(scenario);
  card.dataset.state = state;
  card.querySelector('.run').disabled = state === 'running';
  card.querySelector('.verdict').textContent = { running: 'Running', pass: 'As expected', fail: 'Not as expected' }[state];
  $('index').children[scenarios.indexOf(scenario)].dataset.state = state;

  const states = [...cards.values()].map((c) => c.dataset.state);
  const running = states.includes('running');
  const passed = states.filter((s) => s === 'pass').length;
  $('score').textContent = running ? 'Running' : `${passed} of ${states.length} as expected`;
  $('run-all').disabled = running;
  document.documentElement.dataset.state = running ? 'running' : passed === states.length ? 'pass' : 'fail';
}
