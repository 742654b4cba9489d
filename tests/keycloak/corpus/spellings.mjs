// Spellings of the head of a request: its path, target, method, headers and framing. Each dimension is a table of names and functions of a draft.

import { body, encoded, escapeAll, headed, pairs, target } from './draft.mjs';

const last = (path, change) => path.replace(/[^/]+$/, change);
const before = (path, text) => path.replace(/\/([^/]*)$/, `${text}$1`);
/** Behind the realm, or behind the first segment where there is none. */
const inside = (path, text) => path.replace(/^(\/(?:admin\/)?realms\/[^/]+|\/[^/]+)\//, `$1${text}`);
const realm = (path, change) => path.replace(/(\/realms\/)([^/]+)/, (_, start, name) => `${start}${change(name)}`);
const first = (word) => `%${word.codePointAt(0).toString(16)}${word.slice(1)}`;

const paths = {
  'a trailing slash': (p) => `${p}/`,
  'two trailing slashes': (p) => `${p}//`,
  'two slashes in front': (p) => `/${p}`,
  'two slashes behind the realm': (p) => inside(p, '//'),
  'two slashes before the last segment': (p) => before(p, '//'),
  'a dot segment': (p) => before(p, '/./'),
  'a dot segment at the end': (p) => `${p}/.`,
  'a dot-dot segment': (p) => inside(p, '/x/../'),
  'a dot-dot segment at the end': (p) => `${p}/x/..`,
  'dot-dot and the same again': (p) => last(p, (word) => `${word}/../${word}`),
  'dot-dot above the root': (p) => `/..${p}`,
  'an encoded dot segment': (p) => before(p, '/%2e/'),
  'an encoded dot-dot segment': (p) => inside(p, '/x/%2e%2e/'),
  'a half encoded dot-dot segment': (p) => inside(p, '/x/.%2E/'),
  'an encoded dot at the end': (p) => `${p}/%2e`,
  'dot-dot with a parameter': (p) => inside(p, '/x/..;/'),
  'dot-dot with an encoded slash': (p) => inside(p, '/x/..%2f'),
  'dot-dot with an encoded backslash': (p) => inside(p, '/x/..%5c'),
  'an encoded slash': (p) => before(p, '%2F'),
  'an encoded slash in small letters': (p) => inside(p, '%2f'),
  'a doubly encoded slash': (p) => before(p, '%252F'),
  'a backslash': (p) => before(p, '\\'),
  'an encoded backslash': (p) => before(p, '%5C'),
  'an encoded letter': (p) => last(p, first),
  'all letters encoded': (p) => last(p, escapeAll),
  'an encoded letter in the realm': (p) => realm(p, first),
  'an encoded letter in the first segment': (p) => p.replace(/^\/(\w+)/, (_, word) => `/${first(word)}`),
  'a doubly encoded letter': (p) => last(p, (word) => first(word).replace('%', '%25')),
  'capitals at the end': (p) => last(p, (word) => word.toUpperCase()),
  'capitals everywhere': (p) => p.toUpperCase(),
  'the realm in capitals': (p) => realm(p, (name) => name.toUpperCase()),
  'a path parameter': (p) => `${p};a=b`,
  'an empty path parameter': (p) => `${p};`,
  'a path parameter of the realm': (p) => realm(p, (name) => `${name};a=b`),
  'a path parameter of the first segment': (p) => p.replace(/^\/(\w+)/, '/$1;abc'),
  'a session id in the path': (p) => inside(p, ';jsessionid=1/'),
  'an encoded path parameter': (p) => `${p}%3Ba=b`,
  'an encoded NUL': (p) => `${p}%00`,
  'an encoded NUL before the last segment': (p) => before(p, '/%00'),
  'an encoded space': (p) => `${p}%20`,
  'an encoded tab': (p) => before(p, '/%09'),
  'an encoded line end': (p) => `${p}%0d%0a`,
  'a raw tab': (p) => `${p}\t`,
  'a raw byte beyond ASCII': (p) => `${p}\u00e9`,
  'a full-width letter': (p) => last(p, (word) => (/^[a-z]/.test(word) ? `%EF%BD%${(word.charCodeAt(0) + 0x20).toString(16).toUpperCase()}${word.slice(1)}` : word)),
  'an overlong slash': (p) => before(p, '%c0%af'),
  'overlong dots': (p) => inside(p, '/x/%c0%ae%c0%ae/'),
  'a dot at the end': (p) => `${p}.`,
  'an ending': (p) => `${p}.json`,
  'a plus at the end': (p) => `${p}+`,
  'a broken escape': (p) => `${p}%zz`,
  'a Unicode escape': (p) => last(p, (word) => `%u00${word.charCodeAt(0).toString(16)}${word.slice(1)}`),
  'an encoded question mark': (p) => `${p}%3f`,
  'the base path of old': (p) => `/auth${p}`,
  'an encoded hash': (p) => `${p}%23x`,
};

const targets = {
  'an absolute-form target': (draft, { origin }) => `${origin}${target(draft)}`,
  'an absolute-form target elsewhere': (draft) => `http://elsewhere.example${target(draft)}`,
  'an absolute-form target with https': (draft, { origin }) => `${origin.replace('http:', 'https:')}${target(draft)}`,
  'an absolute-form target with a user': (draft, { origin }) => `${origin.replace('//', '//user@')}${target(draft)}`,
  'an absolute-form target in capitals': (draft, { origin }) => `${origin.replace('http', 'HTTP')}${target(draft)}`,
  'an absolute-form target without a host': (draft) => `http://${target(draft)}`,
  'a fragment': (draft) => `${target(draft)}#x`,
  'a fragment in the path': (draft) => target({ ...draft, path: `${draft.path}#/x` }),
  'a target without its slash': (draft) => target(draft).slice(1),
  'an empty query': (draft) => (draft.query?.length ? undefined : `${draft.path}?`),
  'two question marks': (draft) => target(draft).replace(draft.path, `${draft.path}?`),
  'something in the query': (draft) => target({ ...draft, query: [...(draft.query ?? []), ['x', 'y']] }),
  'the deciding field in the query as well': (draft) => draft.key && target({ ...draft, query: [...(draft.query ?? []), [draft.key, draft.decoy]] }),
};

const inQuery = (change) => (draft) => {
  const value = draft.query?.find(([name]) => name === draft.queryKey)?.[1];
  return value === undefined ? undefined : { ...draft, rawQuery: change(encoded(draft.query), draft.queryKey, value) };
};
const odd = (change) => inQuery((text, name) => text.replace(`${name}=`, `${change(name)}=`));
const queries = {
  'the name encoded': odd(escapeAll),
  'one letter of the name encoded': odd(first),
  'the name in capitals': odd((name) => name.toUpperCase()),
  'brackets behind the name': odd((name) => `${name}[]`),
  'the value encoded': inQuery((text, name, value) => text.replace(`${name}=${encodeURIComponent(value)}`, `${name}=${escapeAll(value)}`)),
  'twice, the decoy first': inQuery((text, name) => `${name}=decoy&${text}`),
  'twice, the decoy last': inQuery((text, name) => `${text}&${name}=decoy`),
  'twice the same': inQuery((text, name, value) => `${text}&${name}=${encodeURIComponent(value)}`),
  'twice, the decoy by an encoded name': inQuery((text, name) => `${escapeAll(name)}=decoy&${text}`),
  'the other order': inQuery((text) => text.split('&').reverse().join('&')),
  'semicolons': inQuery((text) => text.replaceAll('&', ';')),
  'an escaped ampersand': inQuery((text) => text.replaceAll('&', '&amp;')),
  'empty parameters': inQuery((text) => `&&=&${text}&`),
  'a broken escape': inQuery((text) => `${text}&x=%zz`),
  'a NUL behind the value': inQuery((text, name, value) => text.replace(`${name}=${encodeURIComponent(value)}`, `${name}=${encodeURIComponent(value)}%00`)),
  'raw spaces': inQuery((text) => text.replaceAll('%20', ' ')),
  'plus signs': inQuery((text) => text.replaceAll('%20', '+')),
};

const override = (...headers) => (draft) => headed(draft, ...headers);
const as = (method) => (draft) => (draft.method === method ? undefined : { ...draft, method });
const methods = {
  ...Object.fromEntries(['GET', 'POST', 'PUT', 'PATCH', 'HEAD', 'DELETE', 'OPTIONS', 'QUERY', 'TRACE'].map((method) => [method, as(method)])),
  'a method in small letters': (draft) => ({ ...draft, method: draft.method.toLowerCase() }),
  'a method in mixed letters': (draft) => ({ ...draft, method: draft.method[0] + draft.method.slice(1).toLowerCase() }),
  'another method that is overridden': (draft) => headed({ ...draft, method: draft.method === 'GET' ? 'POST' : 'GET' }, ['X-HTTP-Method-Override', draft.method], ['X-HTTP-Method', draft.method], ['X-Method-Override', draft.method]),
  'another method that is overridden in the query': (draft) => ({ ...draft, method: draft.method === 'GET' ? 'POST' : 'GET', query: [...(draft.query ?? []), ['_method', draft.method]] }),
  'an override to another method': override(['X-HTTP-Method-Override', 'HEAD'], ['X-Method-Override', 'HEAD']),
  'everything in the query of a GET': (draft) => draft.form && { ...draft, method: 'GET', query: [...(draft.query ?? []), ...draft.form], form: undefined },
};

const headers = {
  'two hosts, a foreign one first': (draft, { host }) => ({ ...draft, headers: [['Host', 'elsewhere.example'], ['Host', host], ...(draft.headers ?? [])] }),
  'two hosts, a foreign one last': (draft, { host }) => ({ ...draft, headers: [['Host', host], ['Host', 'elsewhere.example'], ...(draft.headers ?? [])] }),
  'a foreign host': override(['Host', 'elsewhere.example']),
  'an empty host': override(['Host', '']),
  'a host with a user': (draft, { host }) => headed(draft, ['Host', `x@${host}`]),
  'forwarded headers': override(['X-Forwarded-Host', 'elsewhere.example'], ['X-Forwarded-Proto', 'https'], ['X-Forwarded-Port', '1'], ['X-Forwarded-For', '127.0.0.1']),
  'a forwarded prefix': override(['X-Forwarded-Prefix', '/x'], ['X-Forwarded-Path', '/']),
  'a Forwarded header': override(['Forwarded', 'for=127.0.0.1;host=elsewhere.example;proto=https']),
  'an original URL': override(['X-Original-URL', '/'], ['X-Rewrite-URL', '/'], ['X-Original-Method', 'GET']),
  'names with underscores': override(['X_Forwarded_Host', 'elsewhere.example'], ['Content_Type', 'text/plain'], ['Transfer_Encoding', 'chunked']),
  'Connection names the authorization': override(['Connection', 'close, Authorization']),
  'Connection names the content type': override(['Connection', 'close, Content-Type']),
  'Connection names the cookie': override(['Connection', 'close, Cookie']),
  'Connection names the host': override(['Connection', 'close, Host']),
  'Connection names the length': override(['Connection', 'close, Content-Length']),
  'a second authorization': override(['Authorization', 'Basic eDp5']),
  'a second authorization in front': (draft) => ({ ...draft, headers: [['Authorization', 'Bearer x'], ...(draft.headers ?? [])] }),
  'the scheme of the authorization in capitals': (draft) => withAuthorization(draft, (value) => value.replace(/^\w+/, (word) => word.toUpperCase())),
  'a tab in the authorization': (draft) => withAuthorization(draft, (value) => value.replace(' ', '\t')),
  'two spaces in the authorization': (draft) => withAuthorization(draft, (value) => value.replace(' ', '  ')),
  'an upgrade to h2c': override(['Connection', 'Upgrade, HTTP2-Settings'], ['Upgrade', 'h2c'], ['HTTP2-Settings', 'AAMAAABkAAQAAP__']),
  'an upgrade to a WebSocket': override(['Connection', 'Upgrade'], ['Upgrade', 'websocket'], ['Sec-WebSocket-Version', '13'], ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ==']),
  'a page is wanted': override(['Accept', 'text/html']),
  'a compressed answer is wanted': override(['Accept-Encoding', 'gzip, br']),
  'half of the answer is wanted': override(['Range', 'bytes=5-']),
  'only a changed answer is wanted': override(['If-None-Match', '*'], ['If-Modified-Since', 'Thu, 01 Jan 2099 00:00:00 GMT']),
  'from another origin': override(['Origin', 'https://elsewhere.example']),
  'an encoding of Content-Location': override(['Content-Location', '/'], ['Destination', '/']),
};

function withAuthorization(draft, change) {
  if (!draft.headers?.some(([name]) => name === 'Authorization')) return undefined;
  return { ...draft, headers: draft.headers.map(([name, value]) => [name, name === 'Authorization' ? change(value) : value]) };
}

const chunk = (part, extension = '') => `${part.length.toString(16)}${extension}\r\n${part}\r\n`;
function chunks(draft, extension, trailers = '') {
  const bytes = Buffer.from(body(draft));
  const text = bytes.toString('latin1');
  const half = Math.ceil(text.length / 2);
  const list = [text.slice(0, half), text.slice(half)].filter(Boolean).map((part) => chunk(part, extension));
  return Buffer.from(`${list.join('')}0\r\n${trailers}\r\n`, 'latin1');
}
const chunked = (coding, { extension, trailers, more = [] } = {}) => (draft) =>
  draft.method === 'GET' ? undefined : { ...headed(draft, ['Transfer-Encoding', coding], ...more), ...fixed(draft), body: chunks(draft, extension, trailers) };
/** The content type that the body had before it was replaced. */
const fixed = (draft) => ({ type: draft.type ?? (draft.form ? 'application/x-www-form-urlencoded' : draft.json === undefined ? null : 'application/json') });
const length = (draft) => String(Buffer.byteLength(body(draft)));
const reshaped = (change) => (draft) => ({ ...draft, reshape: (bytes) => Buffer.from(change(bytes.toString('latin1')), 'latin1') });
const head = (change) => reshaped((text) => text.replace(/^[\s\S]*?\r\n\r\n/, change));

const framing = {
  'HTTP/1.0': (draft) => ({ ...draft, version: '1.0' }),
  'HTTP/1.0, kept alive': (draft) => headed({ ...draft, version: '1.0' }, ['Connection', 'keep-alive']),
  'HTTP/1.2': (draft) => ({ ...draft, version: '1.2' }),
  'HTTP/2.0 in words': (draft) => ({ ...draft, version: '2.0' }),
  'HTTP/1.0 in chunks': (draft) => chunked('chunked')({ ...draft, version: '1.0' }),
  'chunks': chunked('chunked'),
  'chunks with extensions': chunked('chunked', { extension: ';a=b;c="d"' }),
  'chunks with trailers': chunked('chunked', { trailers: 'Content-Type: text/plain\r\nAuthorization: Basic eDp5\r\n', more: [['Trailer', 'Content-Type']] }),
  'chunks and a length': (draft) => chunked('chunked', { more: [['Content-Length', length(draft)]] })(draft),
  'chunks and no length': (draft) => chunked('chunked', { more: [['Content-Length', '0']] })(draft),
  'chunked, identity': chunked('chunked, identity'),
  'identity, chunked': chunked('identity, chunked'),
  'chunked twice': chunked('chunked', { more: [['Transfer-Encoding', 'chunked']] }),
  'chunked with a tab': chunked('\tchunked'),
  'chunked in capitals': chunked('CHUNKED'),
  'two equal lengths': (draft) => headed(draft, ['Content-Length', length(draft)], ['Content-Length', length(draft)]),
  'two lengths': (draft) => headed(draft, ['Content-Length', '0'], ['Content-Length', length(draft)]),
  'a length with a sign': (draft) => headed(draft, ['Content-Length', `+${length(draft)}`]),
  'a space before the colon': (draft) => headed(draft, ['Content-Length ', length(draft)]),
  'Expect: 100-continue': override(['Expect', '100-continue']),
  'another expectation': override(['Expect', 'the-unexpected']),
  'an empty line in front': reshaped((text) => `\r\n${text}`),
  'bare line feeds in the head': head((text) => text.replaceAll('\r\n', '\n')),
  'a folded header': head((text) => text.replace(/Connection: /, 'Connection:\r\n ')),
  'two spaces in the request line': head((text) => text.replace(' ', '  ')),
  'a tab in the request line': head((text) => text.replace(' ', '\t')),
  'behind another request in the same bytes': (draft, { host }) => ({
    ...draft,
    reshape: (bytes) => Buffer.concat([Buffer.from(`GET /robots.txt HTTP/1.1\r\nHost: ${host}\r\n\r\n`), bytes]),
    behind: () => '',
  }),
};

const made = (dimension, table, change) => pairs(table).map(([name, spell]) => ({ dimension, name, spell: change ? change(spell) : spell }));

/** All spellings of the head. */
export const heads = [
  ...made('path', paths, (spell) => (draft) => {
    const path = spell(draft.path);
    return path === draft.path ? undefined : { ...draft, path };
  }),
  ...made('target', targets, (spell) => (draft, at) => {
    const odd = spell(draft, at);
    return odd ? { ...draft, target: odd } : undefined;
  }),
  ...made('query', queries),
  ...made('method', methods),
  ...made('header', headers),
  ...made('framing', framing),
];
