// The playground: a policy and a request, what comes of them by the engine, and, where the demo
// runs, what really comes of them.

import { createEditor } from '../editor.js';
import { loadEngine } from '../engine.js';
import { isServed } from '../frames.js';
import { followLog } from '../log.js';
import { el } from '../view.js';
import { $, button, copy, copyButton, fold, lines, show } from './dom.js';
import { examples } from './examples.js';
import { fields } from './fields.js';
import { imports } from './import.js';
import * as link from './link.js';
import { compare, nearest, obstacle, outcomes, report, sendReally, table, upstreamOf } from './live.js';
import { showLog } from './log.js';
import { give, sameText, showFindings } from './policy.js';
import { headline, showSteps, showVerdict, showWords } from './result.js';
import { complete, keep, kept, plain } from './state.js';

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
  complain(`The engine could not be loaded (${error.message}). The page needs WebAssembly, and its own files beside it.`);
});

async function start() {
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
    policy: facts?.policy ?? first.policy, request: { ...first.request, lookup: '' }, upstream: plain(), filter: true,
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
      setState({ policy: example.policy, request: { ...example.request, lookup: '' }, upstream: plain(), filter: true });
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
  imports((text) => engine.requests(text), (request) => setState(complete({ ...state(), request }, state())));
  if (!facts) {
    return;
  }
  $('try-give').addEventListener('click', async () => take(await give(editor.getText())));
  $('try-back').addEventListener('click', async () => {
    const answer = await give();
    if (answer?.accepted) {
      editor.setText(answer.policy);
    }
    take(answer);
  });
  $('try-take').addEventListener('click', () => editor.setText(facts.policy));
  $('try-go').addEventListener('click', send);
  followLog({
    async policy() {
      take(await findFacts());
    },
  });
  showLog((request) => {
    setState(complete({ ...state(), request: { ...state().request, ...request }, filter: true }, state()));
    $('try-request').scrollIntoView({ block: 'start' });
  });
}

// take takes note of the policy that Envoy has.
function take(answer) {
  if (answer) {
    facts = { ...facts, policy: answer.policy };
    showDifference();
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

// decide asks the engine, and shows what it says.
function decide() {
  const now = state();
  const checked = engine.check(now.policy);
  showFindings(checked, editor);
  form.offer({ origins: suggestions(), looksUp: /"origin_?lookup"/i.test(now.policy) });
  showUpstream(now.upstream);
  const request = whole(now.request);
  showWords(request, facts?.file || 'policy.json');
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
    link.write(now).then((fragment) => history.replaceState(null, '', fragment));
  }
  if (facts) {
    showDifference();
    showPlan(now, request);
  }
}

// whole is a request with a whole URL: who gives a path means the API.
function whole(request) {
  return request.url.startsWith('/') ? { ...request, url: (facts?.api ?? 'https://api.example.com') + request.url } : request;
}

function suggestions() {
  return facts ? [facts.app, facts.other, `http://shop.localhost:${location.port}`, 'null', 'https://app.example.com']
    : ['https://app.example.com', 'https://other.example', 'http://localhost:3000', 'null'];
}

function showWalk(walk) {
  const out = $('try-explained');
  out.dataset.result = walk === undefined ? 'invalid' : walk.error ? 'unknown' : walk.verdict.readable ? 'readable' : 'blocked';
  if (!walk || walk.error) {
    const text = walk?.error ?? 'The filter refuses the policy, so there is nothing to decide by: first mend what is listed there.';
    show($('try-verdict'), el('p', { className: 'try-verdict' }, text));
    show($('try-steps'));
    sayLater(text);
    return;
  }
  showVerdict(walk, (text) => editor.setText(text));
  showSteps(walk);
  sayLater(`${headline(walk)} ${walk.verdict.because ?? ''}`);
}

function showUpstream({ status, headers, preflights }) {
  $('try-upstream-says').textContent = `${status}${headers.length ? `, ${headers.length} of its own headers` : ', no CORS headers'}`
    + `${preflights === 200 ? '' : `, ${preflights} for a preflight`}`;
}

// say tells who listens, rather than sees.
function say(text) {
  $('try-says').textContent = text;
}

let saying;

// sayLater tells the verdict when typing has come to a rest, and only if it is another one.
function sayLater(text) {
  clearTimeout(saying);
  saying = setTimeout(() => {
    if ($('try-says').textContent !== text) {
      say(text);
    }
  }, 1_000);
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
    show($('try-from'), `From ${from}, ${to}.`);
    return;
  }
  const near = nearest(request, facts, (r) => engine.walk(now.policy, r, { upstream: now.upstream, filter: now.filter }));
  show($('try-from'), `${why} `, near && isServed(near.origin) && button('nearest',
    `Take ${near.origin} and ${near.url} instead`, () => setState({ ...now, request: near })));
}

// send sends the request, and shows what came of it.
async function send() {
  const now = state();
  now.request = whole(now.request);
  const policy = facts.policy;
  const walk = (lookup, upstream = plain()) => engine.walk(policy, { ...now.request, lookup }, { upstream, filter: now.filter });
  $('try-send').dataset.state = 'sending';
  $('try-go').disabled = true;
  try {
    const before = walk(now.request.lookup);
    const seen = await sendReally(now, facts, Boolean(before.preflight || before.actual));
    const rows = outcomes(now.request.lookup)
      .map((lookup) => compare(walk(lookup, upstreamOf(seen, now.filter)), seen, now.filter));
    const right = rows.find((r) => r.every(({ same }) => same)) ?? rows[0];
    showSent({ state: now, policy, rows: right, seen });
  } catch (error) {
    $('try-send').dataset.state = 'failed';
    show($('try-sent'), el('p', { className: 'try-verdict bad' }, `It could not be sent: ${error.message}.`));
    show($('try-seen'));
  }
  $('try-go').disabled = false;
}

// showSent shows what the browser did, what Envoy logged, and what the upstream saw.
function showSent({ state: sent, policy, rows, seen }) {
  const { outcome, records } = seen;
  const same = rows.every((row) => row.same);
  $('try-send').dataset.state = same ? 'same' : 'differs';
  show($('try-sent'),
    el('p', { className: `try-verdict ${outcome.error ? 'bad' : 'good'}` },
      el('b', {}, outcome.error ? 'The script got a network error.' : `The script read the answer: ${outcome.status}.`)),
    same ? el('p', {}, sameText(policy, sent.policy) ? 'As the engine expects.'
      : 'As the engine expects of the policy that Envoy has, which is not the one in the editor.')
      : el('div', { className: 'try-bug' },
        el('p', {}, el('b', {}, 'This is not what the engine expects: a bug. '), 'Please report it.'),
        copyButton('report', 'Copy the report', () => report({ state: sent, policy, rows, seen }))));
  const headers = outcome.error ? [] : Object.entries(outcome.headers);
  show($('try-seen'),
    table(rows),
    headers.length > 0 && fold('visible', `Headers that the script could read: ${headers.length}`, false,
      lines(`${outcome.status}`, headers)),
    records.length > 0 && fold('records', `What Envoy logged: ${records.length} ${records.length === 1 ? 'line' : 'lines'}`, true,
      ...records.map(({ envoy, reason }) => lines(`${envoy.method} ${envoy.path.split('?')[0]}: ${envoy.status}, ${reason}`,
        Object.entries(envoy).filter(([name]) => /^(origin|access-control-.*|vary|cors_.*)$/.test(name))))),
    ...records.filter((r) => r.upstream).map(({ envoy, upstream }, i) => fold(`upstream-${i}`,
      `What the upstream saw: ${envoy.method}`, false, lines(`${envoy.method} ${envoy.path.split('?')[0]}`, upstream.request))));
}
