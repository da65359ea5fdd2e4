// The engine: what the filter and a browser make of a request, from the packages that the
// filter consists of, compiled to WebAssembly (demo/engine). Nothing is decided here.

/**
 * @typedef {[name: string, value: string]} Header
 *
 * @typedef {object} Request What a script asks for.
 * @property {string} origin
 * @property {string} method
 * @property {string} url
 * @property {Header[]} headers
 * @property {string[]} [names] headers of which only the names are known, of a recorded preflight
 * @property {boolean} credentials the credentials mode is "include"
 * @property {boolean} [forced] a preflight is made in any case: a listener on the upload
 * @property {string} [initiator] "fetch", or "XMLHttpRequest" for Chromium's words
 * @property {string} [route] the name of Envoy's route
 * @property {'allowed'|'denied'|'failed'|''} [lookup] what a look-up of the origin comes to; '' is denied
 * @property {boolean} [body] it has one
 * @property {string} [source] of requests(): where in the HAR file it was
 * @property {boolean} [failed] of requests(): the browser withheld the answer
 * @property {string[]} [notes] of requests(): how it was read
 *
 * @typedef {object} Finding
 * @property {'error'|'warning'} severity
 * @property {string} kind
 * @property {string} path such as policies[0].allow_origins[1]
 * @property {string} message
 * @property {string} instead what to do, in words; '' if the message says it
 * @property {string} [replacement] what to write from `from` to `to` instead, which mends it
 * @property {number} line from 1
 * @property {number} column from 1, in characters
 * @property {number} from in UTF-16 code units
 * @property {number} to
 *
 * @typedef {object} Upstream What answers behind the filter.
 * @property {number} [status] 200
 * @property {Header[]} [headers]
 * @property {number} [preflights] its status for preflights, if that is another one
 * @property {Header[]} [preflight_headers] its headers for preflights, if they are others
 *
 * @typedef {object} Answer
 * @property {number} status
 * @property {Header[]} headers names are in lower case
 * @property {boolean} forwarded the upstream answers
 * @property {string} details Envoy's response_code_details
 * @property {string} reason what the policy makes of the request, in words; '' without one
 * @property {string} logged the reason as the access log has it; '' if the policy allows it
 * @property {boolean} allowed the policy allows it
 * @property {string} outcome as what it is counted, '' if it isn't
 *
 * @typedef {object} Step
 * @property {string} id such as "cross-origin", "header-1", "preflight-allow-origin"; once in a walk
 * @property {string} title a question
 * @property {string} text the answer, in whole sentences
 * @property {string} section a URL into the standard, or ''
 * @property {'yes'|'no'|'pass'|'fail'|'info'} result
 *
 * @typedef {object} Policy
 * @property {string} path such as policies[1]; '' if the configuration is one policy
 * @property {string} [name]
 * @property {boolean} applies
 * @property {boolean} matches it would apply if there were no other
 * @property {string} why
 * @property {number} from where it stands, in UTF-16 code units
 *
 * @typedef {object} Shadowed
 * @property {boolean} allowed
 * @property {string} reason
 * @property {string} outcome
 * @property {'same'|'looser'|'stricter'} compared with the answer that the page gets
 * @property {string} why the difference in words, or ''
 *
 * @typedef {object} Walk
 * @property {string} [error] why there is no walk: then all else is empty, and verdict.readable false
 * @property {Request} request as the browser makes it, without what it drops
 * @property {Header[]} dropped headers that no script can set
 * @property {Step[]} steps
 * @property {Policy[]} policies the one that applies first
 * @property {'enforce'|'shadow'|'off'|'none'|'waiting'|'bypassed'} mode of the policy that applies; none: no
 *   policy applies; waiting: the policy source has served none yet; bypassed: without the filter
 * @property {object|null} lookup {not_asked}, or {cluster, authority, path, result, outcomes}, of which each has
 *   result, allowed and because
 * @property {null|{reasons: string[], cached: boolean, request: {method: string, url: string, headers: Header[]}|null,
 *   answer: Answer|null, max_age: number}} preflight request and answer are null if it is cached
 * @property {null|{request: {method: string, url: string, headers: Header[]}, answer: Answer}} actual null if it is
 *   never sent
 * @property {string[]} exposed names beyond the safelisted ones, in lower case or as listed; ['*'] are all
 * @property {{readable: boolean, because: string, reason: string, section: string, step: string, step_id: string,
 *   chromium: {readable: boolean, message?: string, cors_error?: string, differs?: string},
 *   firefox: {readable: boolean, message?: string, differs?: string}}} verdict
 *   step_id is the id of the step that fails; chromium and firefox are what these do, and differs in what else they may
 *   do otherwise, in sentences
 * @property {{path: string, edit: string, or: string, warnings: string[], text: string, from: number}[]} changes
 *   text: the configuration with this one made, or ''
 * @property {string} changed the configuration with all changes made, or ''
 * @property {string[]} notes
 * @property {null|{preflight: Shadowed|null, actual: Shadowed|null}} shadow in shadow mode
 */

let loading;

/**
 * loadEngine loads engine.wasm and wasm_exec.js, once, from beside this module.
 * @returns {Promise<Engine>}
 */
export function loadEngine() {
  loading ??= load().catch((error) => {
    loading = undefined; // so that one can try again
    throw error;
  });
  return loading;
}

async function load() {
  if (!globalThis.Go) {
    await import(new URL('wasm_exec.js', import.meta.url));
  }
  const go = new globalThis.Go();
  const url = new URL('engine.wasm', import.meta.url);
  const { instance } = await instantiate(url, go.importObject);
  const exited = go.run(instance); // which goes on, and has set corsEngine
  if (!globalThis.corsEngine) {
    await exited;
    throw new Error('engine.wasm has ended');
  }
  return new Engine(globalThis.corsEngine);
}

// instantiate compiles while it loads, where the server says application/wasm.
async function instantiate(url, imports) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`engine.wasm: ${response.status} ${response.statusText}`);
  }
  if (response.headers.get('Content-Type')?.startsWith('application/wasm') && WebAssembly.instantiateStreaming) {
    return WebAssembly.instantiateStreaming(response, imports);
  }
  return WebAssembly.instantiate(await response.arrayBuffer(), imports);
}

/** What the engine is asked. Each call returns at once, and throws what the engine has failed by. */
export class Engine {
  #call;

  #schema;

  #checked; // last, as the editor and the page around it each ask

  constructor(call) {
    this.#call = call;
  }

  /**
   * check says what is wrong or doubtful with a configuration.
   * @param {string} text
   * @returns {{ok: boolean, findings: Finding[]}}
   */
  check(text) {
    if (this.#checked?.text !== text) {
      this.#checked = { text, result: this.#ask('check', text) };
    }
    return this.#checked.result;
  }

  /** schema is the JSON Schema of the configuration. */
  schema() {
    this.#schema ??= this.#ask('schema');
    return this.#schema;
  }

  /**
   * requests reads a curl command, or the CORS requests of a HAR file.
   * @param {string} text
   * @returns {{requests: Request[], warnings: string[], error: string}}
   */
  requests(text) {
    return this.#ask('requests', text);
  }

  /**
   * walk has a browser that was just started make the request, or several one after the
   * other, so that it remembers preflights.
   * @param {string} text the configuration
   * @param {Request|Request[]} request
   * @param {{upstream?: Upstream, filter?: boolean}} [options] filter: false is the bare upstream
   * @returns {Walk|Walk[]} as many as there are requests
   */
  walk(text, request, options = {}) {
    const walks = this.#ask('walk', text, [request].flat(), options);
    return Array.isArray(request) ? walks : walks[0];
  }

  #ask(name, ...args) {
    const result = JSON.parse(this.#call(name, JSON.stringify(args)));
    if (result.error && !result.requests) { // beside requests it is a result
      throw new Error(result.error);
    }
    return result;
  }
}
