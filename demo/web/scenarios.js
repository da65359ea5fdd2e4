// The requests, and what must be seen of each: from an origin that the policy
// allows, and from any other.
//
// Facts are short texts, compared as they stand; facts.js writes what was seen
// in the same words:
//   page         what the script gets
//   envoy        the requests at Envoy and their status
//   upstream     the methods that reached the API
//   allowOrigin  Access-Control-Allow-Origin of the last answer
//   maxAge       Access-Control-Max-Age of the preflight's answer
//   cookie       whether the page's cookie reached the API
//   exposed      which of X-Request-Id and X-Served-By the script can read
//   body         the answer's body, where it is not the API's
//   reason       why Envoy refused, from its response_code_details

const person = '<person><name>Arun</name></person>';

const post = {
  path: '/people',
  init: {
    method: 'POST',
    headers: { 'Content-Type': 'application/xml', 'X-PINGOTHER': 'pingpong' },
    body: person,
  },
};

const failed = 'network error';
const refusedOrigin = (page) => `origin ${page} is not in allow_origins`;

export const scenarios = [
  {
    id: 'simple-get',
    title: 'A simple GET',
    says: 'A GET with nothing but ordinary headers is sent without asking. The answer decides '
      + 'whether the script may read it.',
    steps: [{ path: '/greeting' }],
    allowed: (page) => ({
      page: 'reads 200', envoy: 'GET 200', upstream: 'GET', allowOrigin: page,
      cookie: 'not sent', exposed: 'X-Request-Id',
    }),
    refused: () => ({
      page: failed, envoy: 'GET 200', upstream: 'GET', allowOrigin: 'none',
      cookie: 'not sent', exposed: 'none',
    }),
    why: {
      allowed: 'The answer names this page’s origin. Of its own headers a script sees only '
        + 'the few that are always safe and those in Access-Control-Expose-Headers, so X-Served-By stays hidden.',
      refused: 'CORS is no firewall: the API was asked and has answered. The answer does not name '
        + 'this page’s origin, so the browser keeps it from the script.',
    },
  },
  {
    id: 'preflighted-post',
    title: 'A POST that needs a preflight',
    says: 'XML and the header X-PINGOTHER are more than a form could send. The browser first asks '
      + 'with OPTIONS, and sends the POST once it is allowed.',
    steps: [post],
    allowed: (page) => ({
      page: 'reads 200', envoy: 'OPTIONS 204, POST 200', upstream: 'POST', allowOrigin: page, maxAge: '7200',
    }),
    refused: (page) => ({
      page: failed, envoy: 'OPTIONS 403', upstream: 'nothing', allowOrigin: 'none', maxAge: 'none',
      reason: refusedOrigin(page),
    }),
    why: {
      allowed: 'Envoy allowed the origin, the method and both headers, and answered itself: the API '
        + 'saw only the POST. Max-Age lets the browser remember that for 24 hours (Chromium: 2).',
      refused: 'Envoy refused the preflight, so the browser never sent the POST.',
    },
  },
  {
    id: 'cached-preflight',
    title: 'The same POST, twice',
    says: 'With Access-Control-Max-Age the browser keeps the answer to a preflight, and need not '
      + 'ask again for the same URL.',
    steps: [post, post],
    allowed: (page) => ({
      page: 'reads 200, reads 200', envoy: 'OPTIONS 204, POST 200, POST 200', upstream: 'POST, POST',
      allowOrigin: page, maxAge: '7200',
    }),
    refused: (page) => ({
      page: `${failed}, ${failed}`, envoy: 'OPTIONS 403, OPTIONS 403', upstream: 'nothing',
      allowOrigin: 'none', maxAge: 'none', reason: refusedOrigin(page),
    }),
    why: {
      allowed: 'One preflight for two requests. (With “Disable cache” ticked in the developer '
        + 'tools there are two.)',
      refused: 'A refusal is not kept: the browser asked twice, and Envoy refused twice.',
    },
  },
  {
    id: 'credentialed',
    title: 'A request with a cookie',
    says: 'Cookies go to another origin only if the script asks for it, and the answer is handed '
      + 'over only if it allows credentials and names the origin; * is not enough.',
    steps: [{ path: '/account', init: { credentials: 'include' } }],
    allowed: (page) => ({
      page: 'reads 200', envoy: 'GET 200', upstream: 'GET', allowOrigin: page, cookie: 'sent',
    }),
    refused: () => ({
      page: failed, envoy: 'GET 200', upstream: 'GET', allowOrigin: 'none', cookie: 'not sent',
    }),
    why: {
      allowed: 'The page set the cookie cors_demo for its host. Cookies know no ports, so the API '
        + 'gets it too, and the answer carries Access-Control-Allow-Credentials: true.',
      refused: 'The answer allows neither this origin nor credentials. The cookie did not even '
        + 'leave: it is SameSite=Lax, and this page and the API are different sites.',
    },
  },
  {
    id: 'method-not-allowed',
    title: 'A method that is not allowed',
    says: 'The answer to a preflight lists the methods that the API accepts from other origins. '
      + 'The browser does not send any other.',
    steps: [{ path: '/people/1', init: { method: 'DELETE' } }],
    allowed: () => ({
      page: failed, envoy: 'OPTIONS 403', upstream: 'nothing', allowOrigin: 'none',
      reason: 'method DELETE is not in allow_methods',
    }),
    refused: (page) => ({
      page: failed, envoy: 'OPTIONS 403', upstream: 'nothing', allowOrigin: 'none',
      reason: refusedOrigin(page),
    }),
    why: {
      allowed: 'The policy allows PUT and PATCH beside the methods of forms. The DELETE was never '
        + 'sent, and Envoy’s access log says why.',
      refused: 'The origin alone is reason enough. The DELETE was never sent.',
    },
  },
  {
    id: 'header-not-allowed',
    title: 'A header that is not allowed',
    says: 'A preflight also lists the headers that the script wants to send, and each one must be '
      + 'allowed.',
    steps: [{ path: '/people', init: { headers: { 'X-Requested-With': 'XMLHttpRequest' } } }],
    allowed: () => ({
      page: failed, envoy: 'OPTIONS 403', upstream: 'nothing', allowOrigin: 'none',
      reason: 'header x-requested-with is not in allow_headers',
    }),
    refused: (page) => ({
      page: failed, envoy: 'OPTIONS 403', upstream: 'nothing', allowOrigin: 'none',
      reason: refusedOrigin(page),
    }),
    why: {
      allowed: 'A GET, but not a simple one: the header is not in allow_headers. Some libraries '
        + 'add it to every request, which then all fail.',
      refused: 'The origin alone is reason enough. The GET was never sent.',
    },
  },
  {
    id: 'origin-not-allowed',
    title: 'An origin that is not allowed',
    says: 'localhost and 127.0.0.1 are the same machine and still two origins. A script sees of a '
      + 'refusal only a network error.',
    steps: [{ path: '/greeting' }, { path: '/people/1', init: { method: 'PUT', body: 'Arun' } }],
    elsewhere: true, // sent by a frame from the other origin
    allowed: (page, other) => ({
      page: `${failed}, ${failed}`, envoy: 'GET 200, OPTIONS 403', upstream: 'GET', allowOrigin: 'none',
      reason: refusedOrigin(other),
    }),
    refused: (page) => ({
      page: `${failed}, ${failed}`, envoy: 'GET 200, OPTIONS 403', upstream: 'GET', allowOrigin: 'none',
      reason: refusedOrigin(page),
    }),
    why: {
      allowed: 'Sent by a frame from such an origin. The simple GET reaches the API, as it would without '
        + 'Envoy, and its answer is withheld. The PUT ends at Envoy.',
      refused: 'The simple GET reaches the API, as it would without Envoy, and its answer is '
        + 'withheld. The PUT ends at Envoy.',
    },
  },
  {
    id: 'error-answer',
    title: 'An error that stays readable',
    says: 'An error without CORS headers looks like a CORS error to the script, and hides the '
      + 'status that would tell what went wrong.',
    steps: [{ path: '/down' }],
    allowed: (page) => ({
      page: 'reads 503', envoy: 'GET 503', upstream: 'nothing', allowOrigin: page, body: 'no healthy upstream',
    }),
    refused: () => ({
      page: failed, envoy: 'GET 503', upstream: 'nothing', allowOrigin: 'none', body: 'none',
    }),
    why: {
      allowed: 'No server is behind this path, and Envoy itself answers 503. The filter is first in '
        + 'the chain, so that answer has its CORS headers too, and the script can read and retry.',
      refused: 'For an allowed origin the 503 is readable; here it is a network error like the others.',
    },
  },
];
