// Sends requests, and notes what a script learns of the answers.

/**
 * @typedef {object} Outcome What a script learns of a request.
 * @property {number} [status]
 * @property {Object<string, string>} [headers]
 * @property {string} [body]
 * @property {string} [error] all that it learns of a refusal; the reason is on the console, and in Envoy's log
 */

// send runs the steps of a scenario one after the other. The exchange id in the
// URL is how the server finds what Envoy logged and what the API received.
export async function send(api, steps, exchange) {
  const outcomes = [];
  for (const step of steps) {
    await sendOne(api + step.path, step.init, exchange, outcomes).catch(() => {}); // which is an outcome
  }
  return outcomes;
}

/**
 * record runs code that sends requests, and returns what it learned of each.
 * @param {string} code
 * @param {string} exchange the id that goes into the URLs
 * @returns {Promise<Outcome[]>}
 */
export async function record(code, exchange) {
  const outcomes = [];
  await execute(code, (url, init) => sendOne(url, init, exchange, outcomes));
  return outcomes;
}

const AsyncFunction = (async () => {}).constructor;

/**
 * execute runs code with a fetch of its own. The code ends where a fetch fails that it doesn't catch.
 * @param {string} code
 * @param {typeof fetch} fetch
 */
export async function execute(code, fetch) {
  let failure;
  const watched = async (...args) => {
    try {
      return await fetch(...args);
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  try {
    await new AsyncFunction('fetch', code)(watched);
  } catch (error) {
    if (error !== failure) { // the code itself is wrong
      throw error;
    }
  }
}

const patience = 10_000; // ms

async function sendOne(url, init, exchange, outcomes) {
  const outcome = {};
  outcomes.push(outcome);
  try {
    const response = await fetch(`${url}${url.includes('?') ? '&' : '?'}exchange=${exchange}`,
      { ...init, signal: AbortSignal.timeout(patience) });
    outcome.status = response.status;
    outcome.headers = Object.fromEntries(response.headers);
    outcome.body = await response.clone().text();
    return response;
  } catch (error) {
    outcome.error = `${error.name}: ${error.message}`;
    throw error;
  }
}
