// Sends the requests of a scenario, and notes what a script learns of the answers.

// send runs the steps of a scenario one after the other. The exchange id in the
// URL is how the server finds what Envoy logged and what the API received.
export async function send(api, steps, exchange) {
  const outcomes = [];
  for (const step of steps) {
    const more = step.path.includes('?') ? '&' : '?';
    outcomes.push(await sendOne(`${api}${step.path}${more}exchange=${exchange}`, step.init));
  }
  return outcomes;
}

async function sendOne(url, init) {
  try {
    const response = await fetch(url, init);
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await response.text(),
    };
  } catch (error) {
    // All that a script learns of a refusal; the reason is on the console, and in Envoy's log.
    return { error: `${error.name}: ${error.message}` };
  }
}
