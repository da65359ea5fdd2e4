// What can be written at a place of a configuration, by its JSON Schema.

/**
 * @typedef {object} Place Where in a text one writes.
 * @property {(string|number)[]} path of the object or the list around it: names of fields, and indices
 * @property {'document'|'name'|'value'} what may stand here: all of it, the name of a field, or a value
 * @property {string} [field] the field that the value is of
 * @property {number} from where what is being written begins, with its quote
 * @property {number} to where it ends
 * @property {string[]} names that the object has already
 * @property {number} comma where a comma is missing before it, or -1
 *
 * @typedef {object} Suggestion
 * @property {string} label
 * @property {string} text what to write
 * @property {number} cursor where in it to go on
 * @property {string} kind "field" or "value"
 * @property {string} description
 */

const word = /[\w.*:/+-]/;

/**
 * placeAt finds the place of an offset in a text, which need not be whole JSON.
 * @param {string} text
 * @param {number} offset
 * @returns {Place|null} null where nothing of a configuration can be written
 */
export function placeAt(text, offset) {
  let from = offset;
  while (from > 0 && word.test(text[from - 1])) {
    from -= 1;
  }
  const before = read(text, offset);
  if (before.string >= 0) {
    from = before.string;
  } else if (from < offset) { // a bare word, which isn't read as one
    before.stack = read(text, from).stack;
  }
  const container = before.stack.at(-1);
  if (!container) {
    return text.trim() ? null : { path: [], what: 'document', from: 0, to: text.length, names: [], comma: -1 };
  }
  const path = before.stack.slice(0, -1).map((c) => (c.list ? c.index : c.name));
  const names = namesIn(text, container.start, from);
  const place = { path, from, to: end(text, offset, before.string >= 0), names, comma: -1 };
  switch (container.list ? (container.state === 'after' ? 'after' : 'value') : container.state) {
    case 'after': // the comma is forgotten
      return { ...place, what: container.list ? 'value' : 'name', comma: container.last };
    case 'name':
      return { ...place, what: 'name' };
    case 'value':
      return { ...place, what: 'value', field: container.list ? undefined : container.name };
    default: // a colon is to come
      return null;
  }
}

// end is where what is being written at an offset ends.
function end(text, offset, quoted) {
  let to = offset;
  if (quoted) {
    while (to < text.length && text[to] !== '"' && text[to] !== '\n') {
      to += text[to] === '\\' ? 2 : 1;
    }
    return text[to] === '"' ? to + 1 : Math.min(to, text.length);
  }
  while (to < text.length && word.test(text[to])) {
    to += 1;
  }
  return to;
}

// read reads a text up to an offset: the containers that are open there, and where the string
// begins that is, or -1.
function read(text, offset) {
  const stack = [];
  const done = (at) => {
    const c = stack.at(-1);
    if (c && (c.list || c.state === 'value')) {
      c.state = 'after';
      c.last = at;
    }
  };
  for (let i = 0; i < offset; i += 1) {
    const c = stack.at(-1);
    switch (text[i]) {
      case '{':
      case '[':
        stack.push({ list: text[i] === '[', start: i, state: text[i] === '[' ? 'value' : 'name', index: 0 });
        break;
      case '}':
      case ']':
        stack.pop();
        done(i + 1);
        break;
      case ',':
        if (c) {
          c.state = c.list ? 'value' : 'name';
          c.index += 1;
        }
        break;
      case ':':
        if (c && !c.list) {
          c.state = 'value';
        }
        break;
      case '"': {
        const start = i;
        for (i += 1; i < offset && text[i] !== '"' && text[i] !== '\n'; i += 1) {
          i += text[i] === '\\' ? 1 : 0;
        }
        if (i >= offset) {
          return { stack, string: start };
        }
        if (c && !c.list && c.state === 'name') {
          c.name = text.slice(start + 1, i);
          c.state = 'colon';
        } else {
          done(i + 1);
        }
        break;
      }
      default:
        if (word.test(text[i])) { // a number, true, false, null
          while (i + 1 < offset && word.test(text[i + 1])) {
            i += 1;
          }
          done(i + 1);
        }
    }
  }
  return { stack, string: -1 };
}

// namesIn are the names of the fields of the object that begins at an offset, but for one that
// begins at another.
function namesIn(text, start, except) {
  const names = [];
  if (text[start] !== '{') {
    return names;
  }
  let depth = 0;
  let expected = true; // a name
  for (let i = start; i < text.length; i += 1) {
    const at = i;
    switch (text[i]) {
      case '{':
      case '[':
        depth += 1;
        break;
      case '}':
      case ']':
        depth -= 1;
        if (depth === 0) {
          return names;
        }
        break;
      case ',':
        expected = expected || depth === 1;
        break;
      case '"':
        for (i += 1; i < text.length && text[i] !== '"' && text[i] !== '\n'; i += 1) {
          i += text[i] === '\\' ? 1 : 0;
        }
        if (depth === 1 && expected) {
          expected = false;
          if (at !== except) {
            names.push(text.slice(at + 1, i));
          }
        }
        break;
      default:
    }
  }
  return names;
}

/** A Schema answers what may stand where. */
export class Schema {
  #root;

  constructor(root) {
    this.#root = root;
  }

  /**
   * suggest is what may be written at a place.
   * @param {Place} place
   * @returns {Suggestion[]}
   */
  suggest(place) {
    if (place.what === 'document') {
      return this.#values({ ...this.#root, type: 'object' }, place);
    }
    const around = this.#at(place.path);
    if (!around) {
      return [];
    }
    if (place.what === 'name') {
      return this.#fields(around, place);
    }
    const value = place.field === undefined ? this.#resolve(around.items) : this.#field(around, place.field);
    return value ? this.#values(value, place) : [];
  }

  // at is the schema of what a path leads to.
  #at(path) {
    let schema = this.#root;
    for (const step of path) {
      schema = typeof step === 'number' ? this.#resolve(schema?.items) : this.#field(schema, step);
    }
    return schema;
  }

  #field(object, name) {
    return this.#resolve(object?.properties?.[name]);
  }

  // resolve follows references.
  #resolve(schema) {
    if (!schema) {
      return undefined;
    }
    if (schema.$ref) {
      return this.#resolve(schema.$ref.split('/').slice(1).reduce((s, key) => s?.[key], this.#root));
    }
    const [first] = schema.allOf ?? [];
    return first?.$ref ? { ...this.#resolve(first), ...schema } : schema;
  }

  #fields(object, { path, names }) {
    const taken = new Set(names.map(snake));
    const policy = this.#root.$defs.policy.properties;
    const isTop = (name) => !(name in policy);
    const list = names.some((name) => isTop(snake(name)));
    return Object.entries(object.properties ?? {})
      .filter(([name, schema]) => !schema.doNotSuggest && !taken.has(name))
      // At the top stand the fields of one policy, or a list of policies.
      .filter(([name]) => path.length > 0 || names.length === 0 || isTop(name) === list)
      .map(([name]) => this.#named(name, this.#field(object, name)));
  }

  #named(name, schema) {
    const types = [schema.type].flat();
    const key = `${JSON.stringify(name)}: `;
    const isText = types.includes('string') && !schema.enum && !types.some((t) => t === 'integer' || t === 'number');
    const [open, close] = types.includes('array') ? '[]' : types.includes('object') ? '{}' : isText ? '""' : ['', ''];
    return { label: name, text: `${key}${open}${close}`, cursor: key.length + open.length, kind: 'field',
      description: described(schema) };
  }

  #values(schema, { names }) {
    const types = [schema.type].flat();
    const values = schema.enum ?? (types.includes('boolean') ? [true, false] : [...(schema.examples ?? [])]);
    if (!schema.enum && schema.default !== undefined && !values.some((v) => v === schema.default)) {
      values.push(schema.default);
    }
    if (schema.properties && !schema.examples && names.length === 0) {
      values.push({});
    }
    const seen = new Set();
    return values.filter((value) => value !== null).map((value) => {
      const text = written(value);
      return { label: text, text, cursor: text.length, kind: 'value', description: described(schema) };
    }).filter(({ text }) => !seen.has(text) && seen.add(text));
  }
}

// described is a schema's description, and its default.
function described({ description = '', default: otherwise }) {
  return otherwise === undefined ? description : `${description}\nIf left out: \`${written(otherwise)}\``;
}

// written is a value on one line, as people write it.
function written(value) {
  if (Array.isArray(value)) {
    return `[${value.map(written).join(', ')}]`;
  }
  if (value && typeof value === 'object') {
    return `{${Object.entries(value).map(([name, v]) => `${JSON.stringify(name)}: ${written(v)}`).join(', ')}}`;
  }
  return JSON.stringify(value);
}

// snake is a field's name in the first of its two spellings.
function snake(name) {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
