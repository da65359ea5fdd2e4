// Runs the scenarios, and shows what came of them beside what the engine expects.

import { Card } from './card.js';
import { loadEngine } from './engine.js';
import { changes, sentence } from './explain.js';
import { differing, expect, observe } from './facts.js';
import { prepare as prepareFrame, recordFrom } from './frames.js';
import { followLog } from './log.js';
import { apiFor, isReadable, showOrigins } from './origins.js';
import { show } from './playground/dom.js';
import { scenarios } from './scenarios.js';
import { execute } from './send.js';
import { el } from './view.js';

const $ = (id) => document.getElementById(id);
const page = location.origin;
const pause = (time) => new Promise((resolve) => { setTimeout(resolve, time); });

/** @type {import('./engine.js').Engine | undefined} undefined where it can't be loaded */
let engine;
let facts; // the demo's, of the Envoy that runs
let rows; // of the database
let registered = false; // the database allows this page, and the policy of Envoy doesn't
let away = false; // the demo doesn't answer
let following; // a turn to come
let retry; // a timer
let ranBy; // the policy of Envoy by which all cards have run
let changed = 0; // when Envoy had to ask for other origins

const cards = scenarios.map((scenario) => new Card(scenario, (card) => {
  card.state = 'running';
  showScore(); // at once, as it may not be its turn yet
  inTurn(() => runCards([card]));
}));

async function start() {
  try {
    engine = await loadEngine();
  } catch (error) {
    $('no-engine').hidden = false;
    $('no-engine').querySelector('span').textContent = error.message;
  }
  for (const node of document.querySelectorAll('[data-live]')) {
    node.hidden = false;
  }
  for (const [name, text] of Object.entries(facts.database)) {
    for (const node of document.querySelectorAll(`[data-database="${name}"]`)) {
      node.textContent = text;
    }
  }
  document.querySelector('[data-port]').textContent = location.port;
  for (const node of document.querySelectorAll('[data-file]')) {
    node.textContent = facts.file;
  }
  for (const card of cards) {
    $('cards').append(card.node);
    $('index').append(card.mark);
    card.state = 'running';
  }
  showScore();
  cards[0].open(true);
  openLinked();
  addEventListener('hashchange', openLinked);
  $('run-all').addEventListener('click', () => document.documentElement.dataset.state === 'running' || inTurn(runAll));
  $('fold-all').addEventListener('click', () => {
    const open = !cards.every((card) => card.isOpen);
    cards.forEach((card) => card.open(open));
    $('fold-all').textContent = open ? 'Fold all' : 'Unfold all';
  });

  rows = await ask('origins').catch(() => undefined);
  registered = await isRegistered();
  const first = inTurn(runAll);
  showOrigins(facts, (now) => {
    if (rows?.document !== now.document || rows?.stopped !== now.stopped) {
      changed = performance.now();
    }
    rows = now;
    following ??= inTurn(follow);
  });
  followLog({
    policy: () => inTurn(update),
    connected: (is) => (is ? inTurn(update) : setAway()),
  });
  await first;
}

// inTurn does one thing that runs scenarios after the other.
function inTurn(action) {
  inTurn.last = (inTurn.last ?? Promise.resolve()).then(action);
  return inTurn.last;
}

// findFacts returns the demo's facts, once it answers; undefined if this is a copy of the page
// without a demo.
async function findFacts() {
  for (;;) {
    try {
      const response = await fetch('facts', { signal: AbortSignal.timeout(5_000) });
      if (response.status < 500) {
        $('away').hidden = true;
        return isJSON(response) ? await response.json() : undefined;
      }
    } catch {
      // It has stopped since it served the page.
    }
    $('away').hidden = false;
    await pause(1_000);
  }
}

const isJSON = (response) => response.ok && response.headers.get('Content-Type')?.startsWith('application/json');

// ask asks the demo, which answers at once or not at all.
async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5_000) });
  if (!isJSON(response)) {
    throw new Error(`${path}: ${response.status}`);
  }
  return response.json();
}

function openLinked() {
  cards.find(({ scenario }) => `#${scenario.id}` === location.hash)?.open(true);
}

// The API that the scenarios ask: that of the policy of Envoy, or, for a page whose origin is in
// the database and not in that policy, the one whose policy is there.
const api = () => (registered ? apiFor(facts, page) : facts.api);
const policy = () => (registered ? rows?.document : facts.policy);

// fetches tells whether the configuration fetches policies, which the page doesn't have then.
function fetches() {
  try {
    const { policy_source: source, policySource } = JSON.parse(facts.policy);
    return Boolean(source ?? policySource);
  } catch {
    return false; // the page shows no policy
  }
}

// greeting is the walk of a simple GET of a page's; undefined if nobody knows.
function greeting(origin, text = policy()) {
  return text && engine?.walk(text, { origin, method: 'GET', url: `${api()}/greeting`, headers: [], credentials: false }) || undefined;
}

// isAllowed tells whether the policy lets a page of an origin read an answer.
function isAllowed(origin, text = policy()) {
  return greeting(origin, text)?.verdict.readable ?? origin === facts.app;
}

// isRefused tells whether the policy is known not to let this page read an answer.
const isRefused = () => !fetches() && !isAllowed(page, facts.policy);

// isRegistered tells whether this page may read the database's API, and not the other one.
async function isRegistered() {
  return isRefused() && isReadable(facts, page).catch(() => false);
}

// from is the origin that sends a scenario's requests: for one that is to come from elsewhere the
// first that the policy doesn't allow.
function from({ elsewhere }) {
  if (!elsewhere) {
    return page;
  }
  const origins = [facts.other, `http://stranger.localhost:${location.port}`, facts.app].filter((origin) => origin !== page);
  return origins.find((origin) => !isAllowed(origin)) ?? origins[0];
}

// follow runs all again if the database now allows this page, or no longer does. Envoy may
// have the news some time after the page.
async function follow() {
  following = undefined;
  if (away) {
    return;
  }
  const document = rows?.document;
  const want = Boolean(document) && isRefused() && isAllowed(page, document);
  let now = await isRegistered();
  for (const end = performance.now() + patience(); engine && now !== want && performance.now() < end;) {
    await pause(100);
    now = await isRegistered();
  }
  if (now !== registered) {
    registered = now;
    await runAll();
  } else {
    showPolicy();
  }
}

// patience is how long Envoy may take to hear of other origins: it asks again after some
// seconds if cors-policyd was away.
const patience = () => (rows?.stopped ? 500 : Math.max(0, changed + 10_000 - performance.now()));

// update runs all again if Envoy has another policy, or the demo was away.
async function update() {
  const was = away;
  if (await readFacts()) {
    if (was || facts.policy !== ranBy) {
      registered = await isRegistered();
      await runAll();
    }
    showPolicy();
  }
}

// readFacts tells whether the demo answers.
async function readFacts() {
  try {
    facts = await ask('facts');
    away = false;
    $('away').hidden = true;
    return true;
  } catch {
    setAway();
    return false;
  }
}

// setAway says, once, that nothing answers, and tries again until something does.
function setAway() {
  away = true;
  $('away').hidden = false;
  cards.forEach((card) => card.fail());
  showScore();
  clearTimeout(retry);
  retry = setTimeout(() => inTurn(update), 1_000);
}

// showPolicy shows the policy that Envoy has, and what it means for this page.
function showPolicy() {
  for (const [name, text] of Object.entries({ page, api: api(), own: facts.api, app: facts.app, database: apiFor(facts, page) })) {
    for (const node of document.querySelectorAll(`[data-origin="${name}"]`)) {
      node.textContent = text;
    }
  }
  $('policy').textContent = registered ? written(rows?.document) : facts.policy;
  $('edit').hidden = !facts.file || registered || facts.applied;
  $('applied').hidden = !facts.applied || registered;
  $('from-database').hidden = !registered;
  $('refused').hidden = !facts.refused || registered;
  $('refused').querySelector('ul').replaceChildren(...(facts.reasons ?? []).map((reason) => el('li', {}, reason)));
  $('refused').querySelector('span').hidden = Boolean(facts.reasons?.length);

  const walk = greeting(page, facts.policy);
  // What a look-up or a policy source has said, only the answers tell.
  const read = (fetches() || walk?.lookup) && cards[0].seen?.script.startsWith('reads');
  const refused = Boolean(walk) && !walk.verdict.readable && !read;
  $('notice').hidden = !refused || registered;
  $('registered').hidden = !registered;
  if (refused) {
    const { because } = walk.verdict;
    $('because').textContent = because ? sentence(because) : '';
    $('registered-because').textContent = because ? sentence(because) : '';
    show($('to-let'), ...walk.notes.map((note) => el('p', {}, sentence(note))), ...changes(walk.changes));
  }
  $('to-app').hidden = page === facts.app || !isAllowed(facts.app, facts.policy);
  $('to-app').href = facts.app;
}

// written writes the policy in a document of cors-policyd, a line a field.
function written(document = '') {
  if (!document) {
    return '';
  }
  const [first] = JSON.parse(document).policies;
  const fields = Object.entries(first).map(([name, value]) => {
    const text = Array.isArray(value) ? `[${value.map((v) => JSON.stringify(v)).join(', ')}]` : JSON.stringify(value);
    return `  "${name}": ${text}`;
  });
  return `{\n${fields.join(',\n')}\n}`;
}

async function runAll() {
  await runCards(cards);
}

// runCards runs cards one after the other, by the policy that Envoy has now; again if it has
// another one before the end.
async function runCards(some) {
  some.forEach((card) => { card.state = 'running'; });
  showScore();
  for (let policyBefore; await readFacts() && policyBefore !== policy();) {
    policyBefore = policy();
    if (some === cards) {
      ranBy = facts.policy;
    }
    showPolicy();
    for (const card of some) {
      card.state = 'running';
      if (away || !await run(card)) {
        setAway();
        return;
      }
      showScore();
    }
  }
  showPolicy();
  showScore();
}

// run runs a scenario, and tells whether the demo answers.
async function run(card) {
  const { scenario } = card;
  const origin = from(scenario);
  const code = scenario.code(api());
  card.prepare(code, origin === page ? '' : origin);
  if (origin !== page) {
    await prepareFrame(origin);
  }
  const before = policy();
  for (const since = performance.now(); ;) {
    const exchange = `${scenario.id}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    const outcomes = await recordFrom(origin, code, exchange);
    let records;
    try {
      records = await ask(`observed?exchange=${exchange}&fetches=1`);
    } catch {
      return false;
    }
    const seen = observe(outcomes, records);
    const { expected, walks } = await expectation(scenario, code, origin, before, seen);
    const differs = expected ? differing(expected, seen) : [];
    // A database's news takes Envoy a while.
    if (differs.length && registered && performance.now() - since < patience() && before === policy()) {
      await pause(250);
      continue;
    }
    if (differs.length && (await isChanging() || before !== policy())) {
      return !away && run(card);
    }
    card.show({
      expected, seen, walks, outcomes, records,
      doubt: doubt(walks, records),
      report: report({ scenario, code, origin, before, expected, seen, differs, outcomes, records }),
    });
    return true;
  }
}

// isChanging tells whether Envoy may have had another policy than the page knew.
async function isChanging() {
  const { changes } = facts;
  const is = !await readFacts() || facts.changes !== changes || changes % 2 === 1;
  if (is) {
    await pause(50);
  }
  return is;
}

// expectation is what the engine expects of code. What a look-up comes to only Envoy knows: then
// it is what fits what was seen, if anything does.
async function expectation(scenario, code, origin, text, seen) {
  if (!engine || !text) {
    return { walks: [] };
  }
  const cookie = new URL(api()).hostname === location.hostname && origin === page;
  let first;
  for (const lookup of ['', 'allowed', 'failed']) {
    const walks = await foresee(scenario, code, origin, text, lookup);
    const expected = expect(walks, scenario, cookie);
    first ??= { expected, walks };
    if (!differing(expected, seen).length) {
      return { expected, walks };
    }
    if (!walks.some((walk) => walk.lookup)) {
      break;
    }
  }
  return first;
}

// foresee runs code with the engine in place of the browser and Envoy.
async function foresee({ gateway }, code, origin, text, lookup) {
  const requests = [];
  let walks = [];
  const upstream = gateway ? { status: gateway.status } : { status: 200 };
  await execute(code, async (url, { method = 'GET', headers = {}, credentials, body } = {}) => {
    requests.push({
      origin, method, url, headers: Object.entries(headers), credentials: credentials === 'include', body: body !== undefined, lookup,
    });
    walks = engine.walk(text, requests, { upstream });
    const { verdict, actual } = walks.at(-1);
    if (!verdict.readable) {
      throw new TypeError('Failed to fetch');
    }
    return new Response('', { status: actual.answer.status });
  });
  return walks;
}

// doubt says why what differs need not be a bug.
function doubt(walks, records) {
  const cached = walks.some(({ preflight }) => preflight?.cached)
    && records.length > walks.reduce((n, { preflight, actual }) => n + Boolean(preflight?.answer) + Boolean(actual), 0);
  if (!registered && fetches()) {
    return 'This configuration fetches its policies while Envoy runs, and the page knows only those that stand in it.';
  }
  if (cached) {
    return 'The browser asked again, though it may remember the answer. With “Disable cache” ticked in the developer tools it does that.';
  }
  if (!records.length) {
    return 'No request came to Envoy. An extension of the browser may have stopped it, or a proxy.';
  }
  return '';
}

// report is for who mends it.
function report({ scenario, code, origin, before, expected = {}, seen, differs, outcomes, records }) {
  return [
    `“${scenario.title}” isn't as expected: ${differs.join(', ')}`, '',
    ...Object.keys(seen).map((fact) => `${fact}: expected ${expected[fact]}; seen ${seen[fact]}`), '',
    `Sent from ${origin}:`, code, '',
    'The policy:', before, '',
    'What the script learned:', JSON.stringify(outcomes, null, 2), '',
    'What Envoy logged, and the API received:', JSON.stringify(records, null, 2), '',
    navigator.userAgent,
  ].join('\n');
}

function showScore() {
  const states = cards.map((card) => card.state);
  const running = states.includes('running');
  const of = (state) => states.filter((s) => s === state).length;
  $('score').textContent = running ? 'Running' : away ? 'Not run'
    : of('seen') === states.length ? 'Run' : `${of('pass')} of ${states.length} as expected`;
  $('run-all').setAttribute('aria-disabled', running);
  document.documentElement.dataset.state = running ? 'running' : away ? 'away' : of('fail') ? 'fail' : 'pass';
}

facts = await findFacts();
if (facts) {
  await start();
} else {
  document.documentElement.dataset.state = 'alone';
}
