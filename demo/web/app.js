// Runs the scenarios and shows what came of them.

import { labels, matches, observe } from './facts.js';
import { scenarios } from './scenarios.js';
import { send } from './send.js';
import { code, el, exchangeItem } from './view.js';

let facts = await (await fetch('/facts')).json();
const page = location.origin;
const allowed = page === facts.app;
const cards = new Map();

const $ = (id) => document.getElementById(id);

for (const [name, text] of Object.entries({ page, api: facts.api, app: facts.app })) {
  for (const node of document.querySelectorAll(`[data-origin="${name}"]`)) {
    node.textContent = text;
  }
}
for (const node of document.querySelectorAll('[data-file]')) {
  node.textContent = facts.file;
}
$('edit').hidden = !facts.file;
$('notice').hidden = allowed;
$('to-app').href = facts.app;
$('run-all').addEventListener('click', runAll);
for (const scenario of scenarios) {
  addCard(scenario);
}
addEventListener('focus', takeOver);
await runAll();

function addCard(scenario) {
  const card = $('card').content.firstElementChild.cloneNode(true);
  card.id = card.dataset.scenario = scenario.id;
  card.querySelector('h2').textContent = scenario.title;
  card.querySelector('.says').textContent = scenario.says;
  card.querySelector('.code').append(...code(scenario.steps.map((step) => [facts.api + step.path, step.init])));
  card.querySelector('.run').addEventListener('click', () => run(scenario));
  if (scenario.elsewhere && allowed) {
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
  if (facts.policy !== before && !$('run-all').disabled) {
    await runAll();
  }
}

async function showPolicy() {
  try {
    facts = await (await fetch('/facts')).json();
  } catch {
    // The demo has stopped; the cards will say so.
  }
  $('policy').textContent = facts.policy;
  $('refused').hidden = !facts.refused;
  $('refused').querySelector('ul').replaceChildren(...(facts.reasons ?? []).map((reason) => el('li', {}, reason)));
  $('refused').querySelector('span').hidden = Boolean(facts.reasons?.length);
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
    const outcomes = scenario.elsewhere && allowed
      ? await sendElsewhere(exchange)
      : await send(facts.api, scenario.steps, exchange);
    const response = await fetch(`/observed?exchange=${exchange}&fetches=${outcomes.length}`);
    show(scenario, outcomes, await response.json());
  } catch (error) {
    show(scenario, [], []);
    cards.get(scenario).querySelector('.why').textContent = `The demo itself does not answer (${error.message}). Is it still running?`;
  }
}

// sendElsewhere has the scenario sent by a frame of this server under its other
// origin. It returns no outcomes if the frame does not report within ten seconds.
function sendElsewhere(exchange) {
  const frame = el('iframe', { src: `${facts.other}/frame.html?exchange=${exchange}`, hidden: true });
  return new Promise((resolve) => {
    const end = (outcomes) => {
      removeEventListener('message', receive);
      frame.remove();
      resolve(outcomes);
    };
    const receive = ({ source, data }) => {
      if (source === frame.contentWindow && data.exchange === exchange) {
        end(data.outcomes);
      }
    };
    addEventListener('message', receive);
    setTimeout(end, 10_000, []);
    document.body.append(frame);
  });
}

function show(scenario, outcomes, records) {
  const card = cards.get(scenario);
  const expected = (allowed ? scenario.allowed : scenario.refused)(page, facts.other);
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
  card.querySelector('.why').textContent = scenario.why[allowed ? 'allowed' : 'refused'];
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
