// A card: a request, what was expected and seen of it, and why.

import { explanation } from './explain.js';
import { differing, labels, onlyIn } from './facts.js';
import { copyButton, fold, show } from './playground/dom.js';
import { code, el, exchange } from './view.js';

const verdicts = {
  running: 'Running', pass: 'As expected', fail: 'Not as expected', seen: 'Seen', away: 'Not run',
};

/** A Card shows a scenario. */
export class Card {
  /**
   * @param {import('./scenarios.js').Scenario} scenario
   * @param {(card: Card) => void} run runs the scenario
   */
  constructor(scenario, run) {
    this.scenario = scenario;
    this.node = document.getElementById('card').content.firstElementChild.cloneNode(true);
    this.node.id = this.node.dataset.scenario = scenario.id;
    const $ = (selector) => this.node.querySelector(selector);
    const title = $('.fold');
    title.textContent = scenario.title;
    title.id = `${scenario.id}-title`;
    this.node.setAttribute('aria-labelledby', title.id);
    $('.body').id = `${scenario.id}-body`;
    title.setAttribute('aria-controls', $('.body').id);
    title.addEventListener('click', () => this.open(!this.isOpen));
    $('.says').textContent = scenario.says;
    $('.run').setAttribute('aria-label', `Run: ${scenario.title}`);
    $('.run').addEventListener('click', () => this.state === 'running' || run(this));
    this.mark = el('a', { href: `#${scenario.id}`, title: scenario.title }, el('span', {}));
    this.mark.addEventListener('click', () => this.open(true));
  }

  get state() {
    return this.node.dataset.state;
  }

  /** The state of a card is running, pass, fail, seen where nothing was expected, or away without the demo. */
  set state(state) {
    this.node.dataset.state = this.mark.dataset.state = state;
    // Not disabled, which would lose the focus.
    this.node.querySelector('.run').setAttribute('aria-disabled', state === 'running');
    this.node.querySelector('.verdict').textContent = verdicts[state];
    this.mark.firstElementChild.textContent = `${this.scenario.title}: ${verdicts[state].toLowerCase()}`;
  }

  get isOpen() {
    return !this.node.querySelector('.body').hidden;
  }

  open(is) {
    this.node.querySelector('.body').hidden = !is;
    this.node.querySelector('.fold').setAttribute('aria-expanded', is);
  }

  /**
   * prepare shows what is about to run.
   * @param {string} text the code
   * @param {string} [origin] of the page that runs it, if that isn't this one
   */
  prepare(text, origin) {
    this.node.querySelector('.code').replaceChildren(...code(text));
    show(this.node.querySelector('.where'), origin && `Sent by a hidden frame from ${origin}.`,
      origin?.startsWith('http') && [' ', el('a', { href: origin }, 'Open this page from there')]);
  }

  /**
   * show shows what came of it.
   * @param {object} run
   * @param {object} [run.expected] facts; undefined if there is nothing to expect
   * @param {object} run.seen facts
   * @param {import('./engine.js').Walk[]} run.walks
   * @param {import('./send.js').Outcome[]} run.outcomes
   * @param {object[]} run.records
   * @param {string} [run.doubt] why what differs need not be a bug
   * @param {string} run.report for a bug
   */
  show({ expected, seen, walks, outcomes, records, doubt, report }) {
    this.seen = seen;
    const differs = expected ? differing(expected, seen) : [];
    const $ = (selector) => this.node.querySelector(selector);
    $('.outcome').textContent = `The script: ${seen.script}`;
    $('.facts').classList.toggle('unexpected', !expected);
    $('.facts tbody').replaceChildren(...Object.keys(labels)
      .filter((fact) => this.scenario.shows.includes(fact) || differs.includes(fact) || fact === 'reason' && seen.reason !== 'none')
      .map((fact) => row(fact, expected?.[fact] ?? '', seen[fact], differs.includes(fact))));
    show($('.differs'), differs.length > 0 && (doubt ? [el('p', {}, el('b', {}, 'Not as expected. '), doubt)] : bug(report)));
    show($('.why'), differs.length > 0 && el('h4', {}, 'Why it was expected'), ...walks.map((walk, i) => explanation(walk, `steps-${i}`,
      walks.length > 1 ? `${i + 1}. ${walk.request.method} ${new URL(walk.request.url).pathname}` : '')));
    show($('.exchange'), ...(records.length ? exchange(records, outcomes)
      : [el('li', { className: 'empty' }, 'Envoy logged no request.')]));
    this.state = !expected || doubt && differs.length ? 'seen' : differs.length ? 'fail' : 'pass';
    if (differs.length) {
      this.open(true);
    }
  }

  /** fail shows nothing: the demo doesn't answer. */
  fail() {
    this.seen = undefined;
    const $ = (selector) => this.node.querySelector(selector);
    $('.outcome').textContent = '';
    $('.facts tbody').replaceChildren();
    show($('.differs'));
    show($('.why'));
    show($('.exchange'), el('li', { className: 'empty' }, 'It is not known what came of it.'));
    this.state = 'away';
  }
}

function row(fact, expected, seen, differs) {
  const node = el('tr', { className: differs ? 'other' : 'same' },
    el('th', { scope: 'row' }, labels[fact]),
    el('td', { className: 'expected' }, differs ? onlyIn(expected, seen) : expected),
    el('td', { className: 'seen' }, differs ? onlyIn(seen, expected) : seen));
  node.dataset.fact = fact;
  return node;
}

// bug says that what has happened isn't what the engine says, which decides in the filter, too.
function bug(report) {
  const text = el('pre', { className: 'code', tabIndex: 0 }, report);
  text.setAttribute('role', 'group');
  text.setAttribute('aria-label', 'The report');
  return [
    el('p', {}, el('b', {}, 'This is a bug: '), 'the code that decides in the filter expects something else of this policy. Please ',
      el('a', { href: 'https://github.com/proxy-wasm-cors/proxy-wasm-cors/issues/new' }, 'report it'), ', with the text below.'),
    copyButton('copy-report', 'Copy the report', () => report),
    fold('report', 'The report', false, text),
  ];
}
