// The playground: a policy and a request, what comes of them by the engine, and, where the demo
// runs, what really comes of them.

import { createEditor } from '../editor.js';
import { loadEngine } from '../engine.js';
import { sentence } from '../explain.js';
import { isServed } from '../frames.js';
import { followLog } from '../log.js';
import { el } from '../view.js';
import { $, button, copy, copyButton, fold, lines, show } from './dom.js';
import { examples } from './examples.js';
import { fields } from './fields.js';
import { imports } from './import.js';
import * as link from './link.js';
import { compare, doubt, nearest, obstacle, outcomes, report, sendReally, table, toSend, upstreamOf } from './live.js';
import { showLog } from './log.js';
import { give, plural, sameText, showFindings } from './policy.js';
import { inWords, showSteps, showVerdict, showWords } from './result.js';
import { captured, complete, keep, kept, plain } from './state.js';

const root = $('playground');

/** facts are the demo's, of the Envoy that runs; null in a copy of the page without it. */
let facts;
let engine;
let editor;
let form;
let offered; // the examples
let expected; // what the engine says of the state that is shown

start().catch((error) => {
  root.dataset.state = 'failed';
  $('try-loading').hidden = true;
  complain(`This part could not be loaded (${error.message}). It needs WebAssembly, and the page’s own files.`);
});

async function start() {
  root.hidden = false;
  [engine, facts] = await Promise.all([loadEngine(), findFacts()]);
  offered = examples(facts ? { app: facts.app, api: facts.api, other: facts.other }
    : { app: 'https://app.example.com', api: 'https://api.example.com', other: 'https://other.example' });
  showExamples();
  root.dataset.live = Boolean(facts);
  $('try-alone').hidden = Boolean(facts);
  $('try-apply').hidden = $('try-send').hidden = $('try-log').hidden = !facts;

  const state = await initial();
  editor = createEditor($('try-editor'), { engine, text: state.policy, label: 'Policy', onChange: changed });
  form = fields(changed);
  form.write(state);
  wire();
  decide();
  $('try-loading').hidden = true;
  root.dataset.state = 'ready';
}

// findFacts returns what the demo says of itself, or null if none is there.
async function findFacts() {
  try {
    const response = await fetch('facts');
    return response.headers.get('Content-Type')?.startsWith('application/json') ? await response.json() : null;
  } catch {
    return null;
  }
}

// initial is the state of the link, or else of the last visit, or else the first example, with
// the policy that Envoy has.
async function initial() {
  const [first] = offered;
  const state = {
    policy: facts?.policy ?? first.policy, request: { ...first.request }, upstream: plain(), filter: true,
  };
  if (link.isLink(location.hash)) {
    const linked = await fromLink();
    return linked ? complete(linked, state) : state;
  }
  return complete(kept(), state);
}

async function fromLink() {
  try {
    const state = await link.read(location.hash);
    complain('');
    return state;
  } catch (error) {
    complain(`${error.message} Here is a policy to begin with instead.`);
    return undefined;
  }
}

function complain(text) {
  $('try-broken').textContent = text;
  $('try-broken').hidden = !text;
}

function wire() {
  $('try-example').addEventListener('change', ({ target }) => {
    const example = offered[target.value];
    if (example) {
      setState({ policy: example.policy, request: { ...example.request }, upstream: plain(), filter: true });
    }
    target.value = '';
  });
  $('try-link').addEventListener('click', async () => {
    const fragment = await link.write(state());
    history.replaceState(null, '', fragment);
    const copied = await copy(location.href);
    say(copied ? 'The link is copied.' : 'The link stands in the address bar.');
    $('try-link').textContent = copied ? 'Copied' : 'See the address bar';
    setTimeout(() => { $('try-link').textContent = 'Copy link'; }, 2_000);
  });
  addEventListener('hashchange', async () => {
    const linked = link.isLink(location.hash) && await fromLink();
    if (linked) {
      setState(complete(linked, state()));
    }
  });
  imports((text) => engine.requests(text), (request) => setState({ ...state(), request: captured(request) }));
  if (!facts) {
    return;
  }
  $('try-give').addEventListener('click', async () => {
    const answer = await give(editor.getText());
    take(answer?.accepted && { policy: answer.policy, applied: true });
  });
  $('try-back').addEventListener('click', async () => {
    const answer = await give();
    if (answer?.accepted) {
      editor.setText(answer.policy);
      take({ policy: answer.policy, applied: false });
    }
  });
  $('try-take').addEventListener('click', () => editor.setText(facts.policy));
  $('try-go').addEventListener('click', send);
  followLog({
    async policy() {
      take(await findFacts());
    },
    async connected(is) {
      take(is && await findFacts());
    },
  });
  showLog((request) => {
    setState(complete({ ...state(), request: { ...state().request, ...request }, filter: true }, state()));
    $('try-request').focus(); // which shows it, too
  });
}

// take takes note of other facts, such as the policy that Envoy has.
function take(others) {
  if (others) {
    facts = { ...facts, ...others };
    decide();
  }
}

function showExamples() {
  $('try-example').append(...offered.map(({ name }, i) => el('option', { value: i }, name)));
}

/** @returns {import('./state.js').State} */
function state() {
  return { policy: editor.getText(), ...form.read() };
}

function setState(next) {
  form.write(next);
  if (next.policy !== editor.getText()) {
    editor.setText(next.policy);
  }
  changed();
}

let deciding;

// changed decides again, once what changes has come to a rest for a moment.
function changed() {
  root.dataset.state = 'deciding';
  clearTimeout(deciding);
  deciding = setTimeout(() => {
    decide();
    root.dataset.state = 'ready';
  }, 80);
}

// decide shows what the engine says, if it has not failed itself.
function decide() {
  try {
    offer(editor.getText());
    ask(state());
  } catch (error) {
    complain(`The engine has failed: ${error.message}. Please report it, with the link to this page.`);
  }
}

// offer offers the fields that a policy asks for, before they are read.
function offer(policy) {
  const looksUp = /"origin_?lookup"/i.test(policy);
  form.offer({ origins: suggestions(), routes: /"routes"/.test(policy), looksUp });
}

// ask asks the engine of a state, and shows what it says.
function ask(now) {
  const checked = engine.check(now.policy);
  showFindings(checked, editor);
  showUpstream(now.upstream);
  const request = whole(now.request);
  showWords(request, fileOf(now.policy));
  if (checked.ok) {
    const walk = engine.walk(now.policy, request, { upstream: now.upstream, filter: now.filter });
    if (JSON.stringify(walk) !== JSON.stringify(expected)) {
      expected = walk;
      showWalk(walk);
    }
  } else {
    expected = undefined;
    showWalk(undefined);
  }
  keep(now);
  if (link.isLink(location.hash)) { // The address goes on to say what is shown.
    keepLink(now);
  }
  if (facts) {
    showDifference();
    showPlan(now, request);
  }
}

let writing = 0;

// keepLink has the address say what is shown, unless it has become another one meanwhile.
async function keepLink(now) {
  const turn = ++writing;
  const before = location.hash;
  const fragment = await link.write(now);
  if (turn === writing && location.hash === before) {
    history.replaceState(null, '', fragment);
  }
}

// fileOf is the file that has a policy, or ''.
function fileOf(policy) {
  return facts && !facts.applied && sameText(policy, facts.policy) ? facts.file : '';
}

// whole is a request with a whole URL: who gives a path means the API.
function whole(request) {
  const { url } = request;
  return url.startsWith('/') ? { ...request, url: (facts?.api ?? 'https://api.example.com') + url } : request;
}

function suggestions() {
  return facts ? [facts.app, facts.other, `http://shop.localhost:${location.port}`, 'null', 'https://app.example.com']
    : ['https://app.example.com', 'https://other.example', 'http://localhost:3000', 'null'];
}

function showWalk(walk) {
  const out = $('try-explained');
  const decided = walk && !walk.error;
  out.dataset.result = decided ? walk.verdict.readable ? 'readable' : 'blocked' : walk ? 'unknown' : 'invalid';
  $('try-why').hidden = !decided;
  if (!decided) {
    const text = walk ? sentence(walk.error)
      : 'The filter refuses the policy, so there is nothing to decide by: first mend what is listed there.';
    show($('try-verdict'), el('p', { className: 'try-verdict' }, text));
    show($('try-steps'));
    sayLater(text);
    return;
  }
  showVerdict(walk, (text) => editor.setText(text));
  showSteps(walk);
  sayLater(inWords(walk));
}

function showUpstream({ status, headers, preflights }) {
  const own = headers.length === 0 ? 'no CORS headers' : plural(headers.length, 'header');
  const other = preflights === 200 ? '' : `, ${preflights} for a preflight`;
  $('try-upstream-says').textContent = `${status}, ${own}${other}`;
}

// say tells who listens, rather than sees.
function say(text) {
  $('try-says').textContent = text;
}

let saying;
let said; // the latest verdict; that of the page as it is opened is just there

// sayLater tells the verdict when typing has come to a rest, and only if it is another one.
function sayLater(text) {
  clearTimeout(saying);
  said ??= text;
  if (text !== said) {
    saying = setTimeout(() => {
      said = text;
      say(text);
    }, 1_000);
  }
}

// showDifference says whether Envoy has what the editor has.
function showDifference() {
  const same = sameText(editor.getText(), facts.policy);
  $('try-differs').textContent = same ? 'Envoy has this policy.' : 'Envoy has another policy than the one here.';
  $('try-differs').dataset.same = same;
  $('try-take').hidden = same;
}

// showPlan says from where the request will be sent, or why it can't be.
function showPlan(now, request) {
  const why = obstacle({ ...now, request }, facts);
  $('try-go').disabled = Boolean(why);
  if (!why) {
    const to = now.filter ? 'through Envoy' : `straight to the upstream, ${facts.bare}`;
    const from = request.origin === location.origin ? 'this page' : `a hidden frame of ${request.origin}`;
    const other = JSON.stringify(now.upstream) !== JSON.stringify(plain())
      && ' The upstream there answers 200, without CORS headers, whatever is written above.';
    const unnamed = request.route && ' The routes of the demo’s Envoy have no names.';
    show($('try-from'), `From ${from}, ${to}.`, other, unnamed);
    return;
  }
  const { policy, upstream, filter } = now;
  const near = nearest(request, facts, (r) => engine.walk(policy, r, { upstream, filter }));
  show($('try-from'), `${why} `, near && isServed(near.origin) && button('nearest',
    `Take ${near.origin} and ${near.url} instead`, () => setState({ ...now, request: near })));
}

// send sends the request, and shows what came of it.
async function send() {
  const now = state();
  now.request = toSend({ ...now, request: whole(now.request) }, facts);
  $('try-send').dataset.state = 'sending';
  $('try-go').disabled = true;
  try {
    let sent = await sendOnce(now);
    while (!sent.rows.every(({ same }) => same) && await hasChanged(sent.known)) {
      sent = await sendOnce(now);
    }
    showSent(sent);
  } catch (error) {
    $('try-send').dataset.state = 'failed';
    const why = error instanceof TypeError ? `the demo does not answer (${error.message}). Is it still running?`
      : `${error.message}.`;
    show($('try-sent'), el('p', { className: 'try-verdict bad' }, `It could not be sent: ${why}`));
    show($('try-seen'));
  }
  $('try-go').disabled = false;
}

// sendOnce sends a request, and compares what came of it with what the policy that Envoy has makes one expect.
async function sendOnce(now) {
  const known = facts;
  const { policy } = known;
  const { filter, request } = now;
  const seen = await sendReally(request);
  const upstream = upstreamOf(seen, filter);
  const compared = outcomes(request.lookup).map((lookup) => {
    const walk = engine.walk(policy, { ...request, lookup }, { upstream, filter });
    return { rows: compare(walk, seen, filter), why: doubt(walk, seen) };
  });
  const fits = compared.find(({ rows }) => rows.every(({ same }) => same)) ?? compared[0];
  return { state: now, known, policy, seen, ...fits };
}

// hasChanged tells whether Envoy may have had another policy meanwhile than the page knew.
async function hasChanged({ changes, policy }) {
  take(await findFacts());
  return facts.changes !== changes || facts.policy !== policy || changes % 2 === 1;
}

// showSent shows what the browser did, what Envoy logged, and what the upstream saw.
function showSent({ state: sent, policy, rows, seen, why }) {
  const { outcome, records } = seen;
  const same = rows.every((row) => row.same);
  $('try-send').dataset.state = same ? 'same' : why ? 'doubtful' : 'differs';
  show($('try-sent'),
    el('p', { className: `try-verdict ${outcome.error ? 'bad' : 'good'}` },
      el('b', {}, outcome.error ? 'The script got a network error.' : `The script read an answer: ${outcome.status}.`)),
    same ? el('p', {}, sameText(policy, sent.policy) ? 'As the engine expects.'
      : 'As the engine expects of the policy that Envoy has, which is not the one in the editor.')
      : why ? el('p', {}, el('b', {}, 'Not as the engine expects. '), why)
      : el('div', { className: 'try-bug' },
        el('p', {}, el('b', {}, 'This is not what the engine expects: a bug. '), 'Please report it.'),
        copyButton('report', 'Copy the report', () => report({ state: sent, policy, rows, seen }))));
  const headers = outcome.error ? [] : Object.entries(outcome.headers);
  show($('try-seen'),
    table(rows),
    headers.length > 0 && fold('visible', `Headers that the script could read: ${headers.length}`, false,
      lines(`${outcome.status}`, headers)),
    sent.filter && records.length > 0 && fold('records', `What Envoy logged: ${plural(records.length, 'line')}`, true,
      ...records.map(logged)),
    ...records.filter((r) => r.upstream).map(({ upstream }, i) => fold(`upstream-${i}`,
      `What the upstream saw: ${upstream.method}`, false, lines(upstream.method, upstream.request))));
}

// logged shows a line of Envoy's log.
function logged({ envoy, reason }) {
  const headers = Object.entries(envoy).filter(([name]) => /^(origin|access-control-.*|vary|cors_.*)$/.test(name));
  return lines(`${envoy.method} ${envoy.path.split('?')[0]}: ${envoy.status}, ${reason}`, headers);
}
