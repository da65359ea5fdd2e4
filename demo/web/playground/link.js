// The link to what is tried: the policy and the request, in the fragment of the page's URL, which
// browsers send to no server.

const start = '#try=';
const version = '1';

// longest bounds what a link may unpack to, in bytes: a few bytes could stand for very many.
const longest = 4 << 20;

/**
 * isLink tells whether a fragment is such a link, a broken one too.
 * @param {string} fragment with its "#"
 */
export const isLink = (fragment) => fragment.startsWith(start);

/**
 * write returns the fragment, with its "#", that read understands.
 * @param {import('./state.js').State} state
 */
export async function write(state) {
  const text = new Blob([JSON.stringify({ ...withoutSecrets(state), policy: state.policy })]);
  const packed = await bytesOf(text.stream().pipeThrough(new CompressionStream('deflate-raw')));
  return `${start}${version}.${encode(packed)}`;
}

/**
 * read returns the value that was written. It fails with a sentence for the visitor.
 * @param {string} fragment
 * @returns {Promise<unknown>} anything that is JSON: whoever makes links may write it
 */
export async function read(fragment) {
  const [given, packed = ''] = fragment.slice(start.length).split('.');
  if (given !== version) {
    throw new Error(/^\d+$/.test(given)
      ? 'This link was made by another version of the page, and can’t be read.'
      : 'This link is not complete, or was changed on its way.');
  }
  try {
    const stream = new Blob([decode(packed)]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await bytesOf(stream)));
  } catch {
    throw new Error('This link is not complete, or was changed on its way.');
  }
}

// secret matches names of headers and parameters whose values may be nobody else's business.
const secret = /auth|cookie|credential|csrf|key|password|secret|session|sig|token|xsrf/i;

// isSecret tells whether the value of a header or a parameter may be secret: no verdict depends on one.
const isSecret = (name) => secret.test(name) && !/^access-control-/i.test(name);

/**
 * withoutSecrets leaves out values that may be secret: in URLs, and in headers, be they pairs or fields.
 * @param {any} value of JSON, but the text of a policy
 */
export function withoutSecrets(value) {
  if (typeof value === 'string') {
    return value.replace(/^(https?:\/\/)[^/?#@]*@/i, '$1...@')
      .replace(/([?&#][^=&#]*)=([^&#]*)/g, (whole, name) => (isSecret(name) ? `${name}=...` : whole));
  }
  if (Array.isArray(value)) {
    const [name, text] = value;
    return value.length === 2 && typeof name === 'string' && typeof text === 'string' && isSecret(name)
      ? [name, '...'] : value.map(withoutSecrets);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  return Object.fromEntries(Object.entries(value).map(([name, field]) => (
    [name, typeof field === 'string' && isSecret(name) ? '...' : withoutSecrets(field)])));
}

// bytesOf reads a stream to its end, or fails where it is too long.
async function bytesOf(stream) {
  const reader = stream.getReader();
  const parts = [];
  for (let length = 0; ;) {
    const { done, value } = await reader.read();
    if (done) {
      return new Uint8Array(await new Blob(parts).arrayBuffer());
    }
    parts.push(value);
    length += value.length;
    if (length > longest) {
      await reader.cancel();
      throw new Error('too long');
    }
  }
}

// encode writes bytes as base64url (RFC 4648, section 5), without padding.
function encode(bytes) {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function decode(text) {
  if (!/^[\w-]+$/.test(text)) {
    throw new Error('not base64url');
  }
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}
