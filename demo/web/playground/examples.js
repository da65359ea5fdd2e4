// Policies to begin with, each with a request that shows what it is about.

/**
 * examples are written for an app, its API, and another origin: those of the demo where it runs,
 * so that each can be sent.
 * @param {{app: string, api: string, other: string}} origins
 */
export function examples({ app, api, other }) {
  const { hostname, protocol, port } = new URL(api);
  const apiAt = (name) => `${protocol}//${name}${port && `:${port}`}`;
  const subdomain = (name) => (hostname === 'localhost' ? `${name}.localhost` : hostname.replace(/^[^.]*/, name));
  const get = (url, more) => ({
    origin: app, method: 'GET', url, headers: [], credentials: false, forced: false, lookup: '', ...more,
  });
  const json = [['Content-Type', 'application/json']];
  return [
    {
      name: 'One app and its API',
      policy: {
        allow_origins: [app],
        allow_methods: ['PUT', 'PATCH'],
        allow_headers: ['Content-Type'],
        expose_headers: ['X-Request-Id'],
        allow_credentials: true,
        max_age: 7200,
      },
      request: get(`${api}/orders/7`, { method: 'PUT', headers: json, credentials: true }),
    },
    {
      name: 'Several policies, by host and path',
      policy: {
        defaults: { allow_headers: ['Content-Type'], max_age: '10m' },
        policies: [
          { name: 'api', allow_origins: [app], allow_methods: ['PUT'], allow_credentials: true },
          { name: 'admin', match: { paths: [{ prefix: '/admin' }] }, allow_origins: [other] },
          { name: 'shop', match: { hosts: [subdomain('shop')] }, allow_origins: [app, other] },
        ],
      },
      request: get(`${apiAt(subdomain('shop'))}/cart`, { method: 'POST', headers: json }),
    },
    {
      name: 'Public assets, for every origin',
      policy: { allow_origins: ['*'], expose_headers: ['*'], max_age: '2h' },
      request: get(`${api}/fonts/inter.woff2`, { origin: other }),
    },
    {
      name: 'Debug: the console says what is missing',
      policy: { allow_origins: [app], allow_methods: ['PUT'], debug: true },
      request: get(`${api}/orders/7`, { method: 'DELETE' }),
    },
    {
      name: 'Shadow: decide and count, change nothing',
      policy: { allow_origins: [app], allow_methods: ['PUT'], mode: 'shadow' },
      request: get(`${api}/orders/7`, { method: 'PUT' }),
    },
    {
      name: 'Preflights of others go to the upstream',
      policy: { allow_origins: [app], allow_methods: ['PUT'], unmatched_preflights: 'forward' },
      request: get(`${api}/orders/7`, { method: 'DELETE' }),
    },
    {
      name: 'Origins that are looked up',
      policy: {
        name: 'tenants',
        allow_origins: [app],
        origin_lookup: { cluster: 'policies', path: '/v1/lookup' },
      },
      request: get(`${api}/orders`, { origin: other }),
    },
  ].map((example) => ({ ...example, policy: write(example.policy) }));
}

// write writes a policy a field a line, and what is in a list a line each only where it is policies.
function write(value, indent = '') {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const nested = value.some((item) => typeof item === 'object' && Object.keys(item).length > 1);
    return nested
      ? `[\n${value.map((item) => inner + write(item, inner)).join(',\n')}\n${indent}]`
      : `[${value.map(line).join(', ')}]`;
  }
  if (typeof value !== 'object') {
    return JSON.stringify(value);
  }
  const fields = Object.entries(value).map(([name, field]) => {
    const flat = name === 'match' || name === 'origin_lookup';
    return `${inner}${JSON.stringify(name)}: ${flat ? line(field) : write(field, inner)}`;
  });
  return `{\n${fields.join(',\n')}\n${indent}}`;
}

// line writes a value in one line, as people do.
function line(value) {
  if (Array.isArray(value)) {
    return `[${value.map(line).join(', ')}]`;
  }
  if (typeof value !== 'object') {
    return JSON.stringify(value);
  }
  return `{${Object.entries(value).map(([name, field]) => `${JSON.stringify(name)}: ${line(field)}`).join(', ')}}`;
}
