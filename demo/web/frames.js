// Has requests sent by pages of other origins: frames of this server under its other names, and
// for the origin null one in a sandbox.

import { record, send } from './send.js';
import { el } from './view.js';

const frames = new Map(); // by origin; each is there for good
const loaded = new Set(); // origins

// isServed tells whether the demo can have requests sent from an origin.
export function isServed(origin) {
  return origin === 'null' || isPage(origin);
}

// isPage tells whether an origin is that of a page of the demo.
export function isPage(origin) {
  const url = URL.canParse(origin) && new URL(origin);
  return url.origin === origin && url.protocol === 'http:' && url.port === location.port
    && /^(127\.0\.0\.1|([a-z0-9-]+\.)*localhost)$/.test(url.hostname);
}

// isReady tells whether a page of an origin is there.
export function isReady(origin) {
  return origin === location.origin || loaded.has(origin);
}

// prepare loads the frame of an origin, so that it is there when it is needed.
export function prepare(origin) {
  if (origin !== location.origin && !frames.has(origin)) {
    frames.set(origin, load(origin));
  }
  return frames.get(origin);
}

// sendFrom has a page of an origin run the steps of a scenario, and returns what it learns. It
// returns no outcomes if the page doesn't answer.
export async function sendFrom(origin, api, steps, exchange) {
  return origin === location.origin ? send(api, steps, exchange) : order(origin, { api, steps, exchange });
}

// recordFrom has a page of an origin run code, and returns what it learns, as sendFrom does.
export async function recordFrom(origin, code, exchange) {
  return origin === location.origin ? record(code, exchange) : order(origin, { code, exchange });
}

// order has the frame of an origin do something.
async function order(origin, what) {
  const frame = await prepare(origin);
  if (!frame) {
    frames.delete(origin);
    return [];
  }
  const { port1, port2 } = new MessageChannel();
  frame.contentWindow.postMessage(what, origin === 'null' ? '*' : origin, [port2]);
  return new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
    setTimeout(resolve, 15_000, []);
  });
}

// load resolves to undefined if the frame does not report within ten seconds.
function load(origin) {
  const frame = el('iframe', { hidden: true, title: `A page of ${origin}` });
  if (origin === 'null') {
    frame.sandbox = 'allow-scripts';
  }
  frame.src = `${origin === 'null' ? location.origin : origin}/frame.html`;
  return new Promise((resolve) => {
    const end = (loaded) => {
      clearTimeout(timer);
      removeEventListener('message', receive);
      if (!loaded) {
        frame.remove();
      }
      resolve(loaded);
    };
    const receive = ({ source }) => {
      if (source === frame.contentWindow) {
        loaded.add(origin);
        end(frame);
      }
    };
    addEventListener('message', receive);
    const timer = setTimeout(end, 10_000);
    document.body.append(frame);
  });
}
