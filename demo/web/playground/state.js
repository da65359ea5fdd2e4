// What is tried: a policy, a request, and what the upstream answers by itself.

/**
 * @typedef {[name: string, value: string]} Header
 *
 * @typedef {object} Request
 * @property {string} origin
 * @property {string} method
 * @property {string} url
 * @property {Header[]} headers
 * @property {boolean} credentials
 * @property {boolean} forced whether a preflight is made whatever the rest is: an upload with a listener
 * @property {string} route the name of Envoy's route, for policies that match by it
 * @property {string} [initiator] as the engine has it, for Chromium's words
 * @property {string} lookup what a look-up of the origin comes to, if the policy has one: "", or one of lookups
 *
 * @typedef {object} State
 * @property {string} policy the configuration of the filter, as it is written
 * @property {Request} request
 * @property {{status: number, headers: Header[], preflights: number}} upstream
 * @property {boolean} filter whether the filter is before the upstream
 */

/** lookups are what a look-up may come to, in the words of `corsctl explain --lookup`. */
export const lookups = ['allowed', 'denied', 'failed'];

/**
 * unknown stands for the value of a header of which only the name is known. It is safelisted for
 * no header: a browser that asked for the header didn't find its value so.
 */
export const unknown = '?';

/** captured makes a request of one that the engine has read. */
export function captured({ origin, method, url, headers, names = [], credentials, forced, route = '', initiator }) {
  const all = [...headers, ...names.map((name) => [name, unknown])];
  return { origin, method, url, headers: all, credentials, forced, route, initiator, lookup: '' };
}

/** plain is what an upstream answers that knows nothing of CORS. */
export const plain = () => ({ status: 200, headers: [], preflights: 200 });

/**
 * complete makes a state of what a link or the session has, whatever that is: what is missing, or
 * of another type, is as in the state given.
 * @param {any} value
 * @param {State} state
 * @returns {State}
 */
export function complete(value, state) {
  const text = (v, otherwise) => (typeof v === 'string' ? v : otherwise);
  const status = (v, otherwise) => (Number.isInteger(v) && v >= 200 && v <= 599 ? v : otherwise);
  const headers = (v, otherwise) => (Array.isArray(v)
    ? v.filter((h) => Array.isArray(h) && h.length === 2 && h.every((part) => typeof part === 'string'))
    : otherwise);
  const request = value?.request;
  const upstream = value?.upstream;
  return {
    policy: text(value?.policy, state.policy),
    request: {
      origin: text(request?.origin, state.request.origin),
      method: text(request?.method, state.request.method),
      url: text(request?.url, state.request.url),
      headers: headers(request?.headers, state.request.headers),
      credentials: request ? request.credentials === true : state.request.credentials,
      forced: request ? request.forced === true : state.request.forced,
      route: text(request?.route, ''),
      initiator: text(request?.initiator, undefined),
      lookup: lookups.includes(request?.lookup) ? request.lookup : '',
    },
    upstream: {
      status: status(upstream?.status, state.upstream.status),
      headers: headers(upstream?.headers, state.upstream.headers),
      preflights: status(upstream?.preflights, state.upstream.preflights),
    },
    filter: value?.filter !== false,
  };
}

const key = 'cors-playground';

/** keep remembers a state for a reload of the page. */
export function keep(state) {
  try {
    sessionStorage.setItem(key, JSON.stringify(state));
  } catch {
    // The browser keeps nothing for this page; the link does.
  }
}

/** kept returns what was kept, or null. */
export function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}
