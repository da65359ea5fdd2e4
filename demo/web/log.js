// Follows the demo's log: the requests that Envoy has logged, and other policies, as they come.

const followers = new Set();
let source;
let last = 0; // the id of the latest event
let lost; // a timer
let connected;

/**
 * Calls the functions of a follower from now on. A page has one connection, whatever the number
 * of followers, and none while nobody sees it: browsers have but six to a server, for all pages.
 * @param {{request?: (line: object) => void, policy?: () => void, connected?: (is: boolean) => void}} follower
 *   request gets a line of Envoy's access log, policy is called when the facts are others, and
 *   connected when the demo begins or ceases to answer.
 */
export function followLog(follower) {
  followers.add(follower);
  if (connected !== undefined) {
    follower.connected?.(connected);
  }
  open();
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    close();
    // The next connection is told to the followers: they may miss what the log will have forgotten.
    clearTimeout(lost);
    lost = connected = undefined;
  } else {
    open();
  }
});

function open() {
  if (source || document.hidden || !followers.size) {
    return;
  }
  source = new EventSource('log');
  source.onopen = () => connect(true);
  source.onmessage = (event) => take(event, (follower) => follower.request?.(JSON.parse(event.data)));
  source.addEventListener('policy', (event) => take(event, (follower) => follower.policy?.()));
  source.onerror = () => {
    // Each answer ends after a while, and the browser asks again at once.
    lost ??= setTimeout(() => connect(false), 1_000);
    if (source.readyState === EventSource.CLOSED) {
      close();
      setTimeout(open, 1_000);
    }
  };
}

function close() {
  source?.close();
  source = undefined;
}

// take hands an event on, once: who opens a new connection gets those that are kept.
function take({ lastEventId }, tell) {
  if (Number(lastEventId) > last) {
    last = Number(lastEventId);
    followers.forEach(tell);
  }
}

function connect(is) {
  clearTimeout(lost);
  lost = undefined;
  if (connected !== is) {
    connected = is;
    followers.forEach((follower) => follower.connected?.(is));
  }
}
