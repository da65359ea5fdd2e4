// The request in other words: as a script makes it, and as a command asks for it; and what browsers are called.

/** The browsers whose ways are known, by their names in a verdict. */
export const browsers = { chromium: 'Chromium', firefox: 'Firefox' };

/** own is the name of the visitor's, '' if its ways aren't known. */
export const own = Object.keys(browsers).find((name) => ({
  chromium: /Chrom(e|ium)\//, firefox: /Firefox\//,
})[name].test(navigator.userAgent)) ?? '';

/**
 * snippet writes the request as a script makes it.
 * @param {import('./state.js').Request} request
 */
export function snippet({ method, url, headers, credentials }) {
  const init = [];
  if (method !== 'GET') {
    init.push(`  method: ${quote(method)},`);
  }
  if (headers.length) {
    const lines = repeats(headers)
      ? headers.map(([name, value]) => `    [${quote(name)}, ${quote(value)}],`)
      : headers.map(([name, value]) => `    ${/^[A-Za-z_]\w*$/.test(name) ? name : quote(name)}: ${quote(value)},`);
    const [open, close] = repeats(headers) ? '[]' : '{}';
    init.push(`  headers: ${open}`, ...lines, `  ${close},`);
  }
  if (credentials) {
    init.push("  credentials: 'include',");
  }
  return `await fetch(${quote(url)}${init.length ? `, {\n${init.join('\n')}\n}` : ''});`;
}

/**
 * command writes the command that explains the request with the policy in a file.
 * @param {import('./state.js').Request} request
 * @param {string} file
 */
export function command({ origin, method, url, headers, credentials, route, lookup }, file) {
  return [
    `corsctl explain -c ${shell(file)}`,
    `--origin ${shell(origin)}`,
    ...(method === 'GET' ? [] : [`--method ${shell(method)}`]),
    ...headers.map((header) => `-H ${shell(header.join(': '))}`),
    ...(credentials ? ['--credentials'] : []),
    ...(route ? [`--route ${shell(route)}`] : []),
    ...(lookup ? [`--lookup ${lookup}`] : []),
    `--url ${shell(url)}`,
  ].join(' \\\n  ');
}

// repeats tells whether a header stands more than once, which an object's fields can't.
function repeats(headers) {
  return new Set(headers.map(([name]) => name.toLowerCase())).size < headers.length;
}

// quote writes a string of JavaScript.
function quote(text) {
  const inner = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'");
  return `'${inner}'`;
}

// shell writes a word of a POSIX shell.
function shell(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
