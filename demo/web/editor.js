// The editor of a configuration: CodeMirror, with completion by the schema and the engine's
// findings in the text.

import {
  acceptCompletion, autocompletion, bracketMatching, closeBrackets, closeBracketsKeymap, completionKeymap,
  defaultKeymap, EditorState, EditorView, foldGutter, foldKeymap, forceLinting, forEachDiagnostic,
  highlightSpecialChars, HighlightStyle, history, historyKeymap, indentOnInput, indentWithTab, json, keymap,
  lineNumbers, linter, lintGutter, search, searchKeymap, startCompletion, syntaxHighlighting, tags,
} from './codemirror.js';
import { placeAt, Schema } from './complete.js';

/**
 * @typedef {object} Editor
 * @property {() => string} getText
 * @property {(text: string) => void} setText which one can undo
 * @property {(from: number, to: number, text: string) => void} replace as if it were typed
 * @property {(from: number, to?: number) => void} select shows and selects a part, and goes there
 * @property {() => void} focus
 * @property {() => void} destroy
 */

let editors = 0;

/**
 * createEditor puts an editor into an element.
 * @param {HTMLElement} parent
 * @param {object} options
 * @param {import('./engine.js').Engine} options.engine
 * @param {string} [options.text]
 * @param {string} [options.label] its name for screen readers
 * @param {(text: string) => void} [options.onChange] after each change
 * @returns {Editor}
 */
export function createEditor(parent, { engine, text = '', label = 'Configuration', onChange = () => {} }) {
  editors += 1;
  const help = document.createElement('p');
  help.id = `editor-help-${editors}`;
  help.hidden = true; // to all but screen readers, who are told it as the editor's description
  help.textContent = 'Tab indents. To leave the editor with the keyboard, press Escape, and then Tab. '
    + 'Ctrl+Space offers what can be written, F8 goes to the next problem, Ctrl+period mends it, Ctrl+F searches.';
  const schema = new Schema(engine.schema());
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(), foldGutter(), lintGutter(), highlightSpecialChars(), history(), indentOnInput(),
        bracketMatching(), closeBrackets(), search({ top: true }), json(), EditorView.lineWrapping,
        syntaxHighlighting(colours), theme,
        autocompletion({ override: [(context) => complete(schema, context)], icons: false }),
        linter(({ state }) => diagnostics(engine.check(state.doc.toString())), { delay: 200 }),
        keymap.of([
          { key: 'Tab', run: acceptCompletion }, indentWithTab, { key: 'F8', run: (v) => goToProblem(v, 1) },
          { key: 'Shift-F8', run: (v) => goToProblem(v, -1) }, { key: 'Mod-.', run: mend }, ...closeBracketsKeymap,
          ...completionKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...defaultKeymap,
        ]),
        EditorView.contentAttributes.of({ tabindex: '0', 'aria-label': label, 'aria-describedby': help.id }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) {
            onChange(update.state.doc.toString());
          }
        }),
      ],
    }),
  });
  parent.append(help);
  forceLinting(view);

  const change = (from, to, insert, options = {}) => {
    view.dispatch({ changes: { from, to, insert }, ...options });
    forceLinting(view);
  };
  return {
    getText: () => view.state.doc.toString(),
    setText: (next) => change(0, view.state.doc.length, next),
    replace(from, to, next) {
      change(from, to, next, { userEvent: 'input' });
      view.focus();
    },
    select(from, to = from) {
      const length = view.state.doc.length;
      view.dispatch({
        selection: { anchor: Math.min(from, length), head: Math.min(to, length) }, scrollIntoView: true,
      });
      view.focus();
    },
    focus: () => view.focus(),
    destroy() {
      view.destroy();
      help.remove();
    },
  };
}

// diagnostics are findings as the editor shows them, each with what mends it.
function diagnostics({ findings }) {
  return findings.map(({ severity, from, to, path, message, instead, replacement }) => ({
    from,
    to,
    severity,
    message: `${path ? `${path}: ` : ''}${message}${instead ? `; ${instead}` : ''}`,
    actions: replacement === undefined ? [] : [{
      name: `Write ${shorten(replacement)}`,
      apply(view, start, end) {
        view.dispatch({ changes: { from: start, to: end, insert: replacement }, userEvent: 'input' });
        forceLinting(view);
        view.focus();
      },
    }],
  }));
}

// problems are the findings, where they stand now.
function problems({ state }) {
  const list = [];
  forEachDiagnostic(state, (diagnostic, from, to) => list.push({ ...diagnostic, from, to }));
  return list.sort((a, b) => a.from - b.from);
}

// goToProblem selects the next one, or the one before, and has screen readers say it.
function goToProblem(view, direction) {
  const { from } = view.state.selection.main;
  const all = problems(view);
  const next = direction > 0 ? all.find((p) => p.from > from) ?? all[0]
    : all.findLast((p) => p.from < from) ?? all.at(-1);
  if (next) {
    view.dispatch({
      selection: { anchor: next.from, head: next.to },
      scrollIntoView: true,
      effects: EditorView.announce.of(`${next.severity}: ${next.message}`),
    });
  }
  return Boolean(next);
}

// mend does what mends the problem that the cursor is at.
function mend(view) {
  const { from } = view.state.selection.main;
  const problem = problems(view).find((p) => p.from <= from && from <= p.to && p.actions.length > 0);
  problem?.actions[0].apply(view, problem.from, problem.to);
  return Boolean(problem);
}

function shorten(text) {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

// complete offers what may be written where the cursor is.
function complete(schema, context) {
  const text = context.state.doc.toString();
  const place = placeAt(text, context.pos);
  if (!place || !context.explicit && place.from === context.pos && !/["[{,:\s]/.test(text[context.pos - 1] ?? '')) {
    return null;
  }
  if (!context.explicit && place.from === context.pos && place.what !== 'value') {
    return null; // nothing is being written, and one may want to write nothing
  }
  const written = text.slice(place.from, context.pos);
  const bare = !written.startsWith('"');
  const options = schema.suggest(place).map((suggestion, i) => ({
    label: typed(suggestion.label, place.what, bare),
    displayLabel: suggestion.label,
    type: suggestion.kind === 'field' ? 'property' : 'enum',
    sortText: String(i).padStart(3, '0'),
    info: () => described(suggestion.description),
    apply: (view) => apply(view, place, suggestion),
  }));
  return options.length ? { from: place.from, to: context.pos, options, validFor: /^"?[\w.*:/+-]*$/ } : null;
}

// typed is a label as it is being typed: a name may have its quote, and a text lack it.
function typed(label, what, bare) {
  if (what === 'name') {
    return bare ? label : `"${label}`;
  }
  return bare ? label.replace(/^"/, '') : label;
}

// apply writes a suggestion in place of what has been typed, with the commas around it.
function apply(view, place, suggestion) {
  const { doc } = view.state;
  const text = doc.toString();
  const { to } = placeAt(text, view.state.selection.main.head) ?? place;
  let { text: insert, cursor } = suggestion;
  if (place.what === 'name') {
    if (/^\s*:/.test(text.slice(to))) { // only the name is to be another
      insert = JSON.stringify(suggestion.label);
      cursor = insert.length;
    } else if (/^\s*"/.test(text.slice(to))) {
      insert += ',';
    }
  } else if (/^\s*["{[]/.test(text.slice(to)) && place.what === 'value') {
    insert += ',';
  }
  const changes = [{ from: place.from, to, insert }];
  let anchor = place.from + cursor;
  if (place.comma >= 0) {
    changes.unshift({ from: place.comma, insert: ',' });
    anchor += 1;
  }
  view.dispatch({ changes, selection: { anchor }, scrollIntoView: true, userEvent: 'input.complete' });
  if (suggestion.kind === 'field' && cursor > suggestion.label.length + 2) {
    startCompletion(view);
  }
}

// described is a description, of which what stands in backticks is code.
function described(description) {
  const node = document.createElement('div');
  description.split('`').forEach((part, i) => {
    const piece = document.createElement(i % 2 ? 'code' : 'span');
    piece.textContent = part;
    node.append(piece);
  });
  return node;
}

// The colours are the page's, which has them for dark and light.

const colours = HighlightStyle.define([
  { tag: tags.propertyName, color: 'var(--accent)' },
  { tag: tags.string, color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--bad)' },
  { tag: [tags.punctuation, tags.separator, tags.bracket], color: 'var(--soft)' },
]);

const panel = { background: 'var(--well)', color: 'var(--ink)' };
const field = {
  background: 'var(--paper)', color: 'var(--ink)', border: '1px solid var(--soft)', borderRadius: '.25rem',
};
const wavy = (colour) => ({
  backgroundImage: 'none', textDecoration: `underline wavy ${colour}`, textDecorationSkipInk: 'none',
});

const theme = EditorView.theme({
  '&': { color: 'var(--ink)', background: 'var(--paper)', border: '1px solid var(--soft)', borderRadius: '.4375rem',
    overflow: 'hidden', minHeight: 'inherit', maxHeight: '32rem' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '2px' },
  '.cm-scroller': { font: '.8125rem/1.6 var(--mono)', minHeight: 'inherit' },
  '.cm-content': { caretColor: 'var(--ink)', minHeight: 'inherit', minWidth: '0', overflowWrap: 'anywhere' },
  '.cm-content:focus-visible': { outline: 'none' }, // the editor has one
  '.cm-gutters': { background: 'none', color: 'var(--soft)', border: '0' },
  '.cm-foldPlaceholder': { background: 'var(--well)', color: 'var(--ink)', border: '1px solid var(--soft)' },
  '&.cm-focused .cm-matchingBracket': { background: 'none', outline: '1px solid var(--accent)' },
  '&.cm-focused .cm-nonmatchingBracket': { background: 'none', outline: '1px solid var(--bad)' },
  '.cm-selectionMatch, .cm-searchMatch': { background: 'none', outline: '1px dashed var(--accent)' },
  '.cm-searchMatch-selected': { background: 'var(--good-well)', outlineStyle: 'solid' },
  '.cm-lintRange-error': wavy('var(--bad)'),
  '.cm-lintRange-warning': wavy('var(--accent)'),
  '.cm-lintRange-active': { background: 'var(--bad-well)' },
  '.cm-lintPoint::after': { borderBottomColor: 'var(--bad)' },
  '.cm-tooltip': { ...panel, background: 'var(--paper)', border: '1px solid var(--soft)', borderRadius: '.4375rem',
    maxWidth: 'min(32rem, calc(100vw - 2rem))', overflowWrap: 'anywhere' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': {
    font: '.8125rem/1.6 var(--mono)', maxWidth: 'min(28rem, calc(100vw - 3rem))',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]': {
    background: 'var(--accent)', color: 'var(--on-accent)',
    outline: '2px solid var(--accent)', outlineOffset: '-2px', // high contrast shows this, and no background
  },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-completionInfo': { padding: '.5rem .75rem', fontSize: '.8125rem', whiteSpace: 'pre-line' },
  '.cm-diagnostic': {
    padding: '.375rem .75rem', borderLeftColor: 'var(--accent)', whiteSpace: 'pre-wrap', fontSize: '.8125rem',
  },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--bad)' },
  '.cm-diagnosticAction': {
    font: 'inherit', background: 'var(--accent)', color: 'var(--on-accent)', padding: '.25rem .625rem',
    borderRadius: '.25rem', margin: '.25rem 0 0', display: 'block', textAlign: 'left', overflowWrap: 'anywhere',
  },
  '.cm-panels': panel,
  '.cm-panels.cm-panels-top, .cm-panels.cm-panels-bottom': { borderColor: 'var(--line)' },
  '.cm-panel button': { ...field, backgroundImage: 'none', color: 'var(--accent)', cursor: 'pointer' },
  '.cm-panel button[name=close]': { color: 'var(--ink)', border: '0', background: 'none' },
  '.cm-panel.cm-search': { paddingRight: '2rem' },
  '.cm-textfield': field,
  '.cm-panel label': { whiteSpace: 'nowrap' },
});
