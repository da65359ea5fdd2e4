// The requests of the page. What is to be expected of them isn't here: that depends on the
// policy that Envoy has, and the engine says it.

/**
 * @typedef {object} Scenario
 * @property {string} id
 * @property {string} title what is sent, whatever comes of it
 * @property {string} says what it shows of CORS, whatever the policy is
 * @property {(api: string) => string} code what is shown, and runs
 * @property {string[]} shows the facts that are shown even if they are as expected; see facts.js
 * @property {boolean} [elsewhere] a frame of another origin sends it
 * @property {{status: number, body: string}} [gateway] Envoy answers in place of the API, which isn't there
 */

/** scenarios are in the order in which they are shown. @type {Scenario[]} */
export const scenarios = [
  {
    id: 'simple-get',
    title: 'A simple GET',
    says: 'A GET with nothing but ordinary headers is sent without asking. The answer decides '
      + 'whether the script may read it, and of the answer’s headers it sees only the few that are '
      + 'always safe and those in Access-Control-Expose-Headers.',
    code: (api) => `await fetch('${api}/greeting');`,
    shows: ['script', 'envoy', 'upstream', 'allowOrigin', 'cookie', 'exposed'],
  },
  {
    id: 'preflighted-post',
    title: 'A POST that needs a preflight',
    says: 'XML and the header X-PINGOTHER are more than a form could send. The browser first asks '
      + 'with OPTIONS, and sends the POST only if the answer allows it.',
    code: (api) => `await fetch('${api}/people', {
  method: 'POST',
  headers: {
    'Content-Type': 'application/xml',
    'X-PINGOTHER': 'pingpong',
  },
  body: '<person><name>Arun</name></person>',
});`,
    shows: ['script', 'envoy', 'upstream', 'allowOrigin', 'maxAge'],
  },
  {
    id: 'cached-preflight',
    title: 'The same POST, twice',
    says: 'The browser may remember the answer to a preflight, for as long as Access-Control-Max-Age '
      + 'says, and then need not ask again for the same URL. A refusal isn’t remembered.',
    code: (api) => `for (let i = 0; i < 2; i++) {
  await fetch('${api}/people', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/xml',
      'X-PINGOTHER': 'pingpong',
    },
    body: '<person><name>Arun</name></person>',
  });
}`,
    shows: ['script', 'envoy', 'upstream', 'allowOrigin', 'maxAge'],
  },
  {
    id: 'credentialed',
    title: 'A request with credentials',
    says: 'Cookies go to another origin only if the script asks for it, and the answer is handed '
      + 'over only if it allows credentials and names the origin; * is not enough.',
    code: (api) => `await fetch('${api}/account', {
  credentials: 'include',
});`,
    shows: ['script', 'envoy', 'upstream', 'allowOrigin', 'cookie'],
  },
  {
    id: 'delete',
    title: 'A DELETE',
    says: 'The answer to a preflight lists the methods that the API accepts from other origins, '
      + 'beside GET, HEAD and POST. The browser does not send any other.',
    code: (api) => `await fetch('${api}/people/1', {
  method: 'DELETE',
});`,
    shows: ['script', 'envoy', 'upstream', 'allowOrigin'],
  },
  {
    id: 'custom-header',
    title: 'A GET with X-Requested-With',
    says: 'A preflight also lists the headers that the script wants to send, and each one must be '
      + 'allowed. Some libraries add this one to every request.',
    code: (api) => `await fetch('${api}/people', {
  headers: { 'X-Requested-With': 'XMLHttpRequest' },
});`,
    shows: ['script', 'envoy', 'upstream', 'allowOrigin'],
  },
  {
    id: 'another-origin',
    title: 'From a page of another origin',
    says: 'localhost and 127.0.0.1 are the same machine and still two origins, and so is each name. '
      + 'CORS is no firewall: what a form could send reaches the API in any case. '
      + 'It decides who may read the answer.',
    elsewhere: true,
    code: (api) => `await fetch('${api}/greeting').catch(() => {});
await fetch('${api}/people/1', {
  method: 'PUT',
  body: 'Arun',
});`,
    shows: ['script', 'envoy', 'upstream', 'allowOrigin'],
  },
  {
    id: 'error-answer',
    title: 'An error of the gateway',
    says: 'No server is behind this path, and Envoy itself answers. An error without CORS headers '
      + 'looks like a CORS error to the script, and hides the status that would tell what went wrong.',
    code: (api) => `await fetch('${api}/down');`,
    shows: ['script', 'envoy', 'upstream', 'allowOrigin', 'body'],
    gateway: { status: 503, body: 'no healthy upstream' },
  },
];
