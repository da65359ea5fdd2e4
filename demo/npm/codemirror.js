// What the page's editor is made of: one module, so that the page loads no other, from nowhere.

export { autocompletion, acceptCompletion, closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion } from '@codemirror/autocomplete';
export { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
export { json } from '@codemirror/lang-json';
export { bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, syntaxHighlighting, syntaxTree } from '@codemirror/language';
export { forEachDiagnostic, forceLinting, lintGutter, lintKeymap, linter, openLintPanel, setDiagnostics } from '@codemirror/lint';
export { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
export { Annotation, Compartment, EditorSelection, EditorState, Prec } from '@codemirror/state';
export { drawSelection, EditorView, highlightActiveLine, highlightSpecialChars, keymap, lineNumbers } from '@codemirror/view';
export { tags } from '@lezer/highlight';
