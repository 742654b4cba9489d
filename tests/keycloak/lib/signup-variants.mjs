// Spellings of one registration request. `served` marks those that honest clients send, which have to work; of all the others it only matters
// that none makes a user without a question. Each is a function of `{ path, query, fields, origin }` to a request.

import { form, multipart, urlencoded } from './wire.mjs';

const type = { 'Content-Type': urlencoded };
const post = (target, body, headers = type, rest = {}) => ({ method: 'POST', target, headers, body, ...rest });
const plain = ({ path, query, fields }) => post(`${path}?${query}`, form(fields));

/** The plain request to another path, made from the right one. */
const at = (change) => (page) => plain({ ...page, path: change(page.path) });
const action = (name) => at((path) => path.replace(/registration$/, name));
/** The plain request with another body or other headers. */
const sent = (make) => (page) => ({ ...plain(page), ...make(page) });
const typed = (value) => sent(() => ({ headers: value === undefined ? {} : { 'Content-Type': value } }));

const encodeAll = (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
const encodedNames = (fields, encode) => Object.entries(fields).map(([name, value]) => `${encode(name)}=${encodeURIComponent(value)}`).join('&');
const chunked = (text, extension = '') => {
  const half = Math.ceil(text.length / 2);
  const chunk = (part) => `${Buffer.byteLength(part).toString(16)}${extension}\r\n${part}\r\n`;
  return `${chunk(text.slice(0, half))}${chunk(text.slice(half))}0\r\n\r\n`;
};
const parts = (fields, head, boundary = 'xyz') =>
  `${Object.entries(fields).map(([name, value]) => `--${boundary}\r\n${head(name)}\r\n\r\n${value}\r\n`).join('')}--${boundary}--\r\n`;
const disposition = (name) => `Content-Disposition: form-data; name="${name}"`;
const multiparted = (make, contentType = 'multipart/form-data; boundary=xyz') => sent(({ fields }) => ({ headers: { 'Content-Type': contentType }, body: make(fields) }));
const innocent = 'harmless@allowed.example';

const honest = [
  ['the plain form', plain],
  ['a trailing slash', at((path) => `${path}/`)],
  ['by the path of the login', action('authenticate')],
  ['by the path of the login, with a trailing slash', action('authenticate/')],
  ['by the path of the forgotten password', action('reset-credentials')],
  ['multipart/form-data', sent(({ fields }) => ({ headers: { 'Content-Type': multipart(fields).type }, body: multipart(fields).body }))],
  ['percent-encoded field names', sent(({ fields }) => ({ body: encodedNames(fields, encodeAll) }))],
  ['one percent-encoded letter in a name', sent(({ fields }) => ({ body: form(fields).replace('email=', '%65mail=') }))],
  ['charset=utf-8', typed(`${urlencoded}; charset=UTF-8`)],
  ['a chunked body', sent(({ fields }) => ({ headers: { ...type, 'Transfer-Encoding': 'chunked' }, body: chunked(form(fields)) }))],
  ['an absolute-form target', (page) => ({ ...plain(page), target: `${page.origin}${page.path}?${page.query}` })],
  ['query parameters in another order', (page) => plain({ ...page, query: page.query.split('&').reverse().join('&') })],
];

const crooked = [
  // by another path
  ['by the path of a required action', action('required-action')],
  ['by the path of the consent', action('consent')],
  ['by the path of the first broker login', action('first-broker-login')],
  ['by the path of the login after a broker', action('post-broker-login')],
  ['by the path of action tokens', action('action-token')],
  ['by a path that does not exist', action('nothing')],
  ['two slashes in front', at((path) => `/${path}`)],
  ['two slashes in the middle', at((path) => path.replace('/login-actions', '//login-actions'))],
  ['two slashes at the end', at((path) => `${path}//`)],
  ['a dot segment', at((path) => path.replace('/login-actions', '/./login-actions'))],
  ['a dot-dot segment', at((path) => path.replace('/login-actions', '/x/../login-actions'))],
  ['an encoded dot segment', at((path) => path.replace('/login-actions', '/%2e/login-actions'))],
  ['an encoded dot-dot segment', at((path) => path.replace('/login-actions', '/x/%2E%2e/login-actions'))],
  ['dot-dot with a parameter', at((path) => path.replace('/login-actions', '/x/..;/login-actions'))],
  ['dot-dot with an encoded slash', at((path) => path.replace('/login-actions', '/x/..%2flogin-actions'))],
  ['an encoded letter in the last segment', at((path) => path.replace('registration', '%72egistration'))],
  ['a doubly encoded letter', at((path) => path.replace('registration', '%2572egistration'))],
  ['an encoded letter in the realm', at((path) => path.replace('/tg/', '/%74g/'))],
  ['an encoded letter in login-actions', at((path) => path.replace('login-actions', 'login%2Dactions'))],
  ['an encoded slash', at((path) => path.replace('/registration', '%2Fregistration'))],
  ['a backslash', at((path) => path.replace('/registration', '\\registration'))],
  ['an encoded backslash', at((path) => path.replace('/registration', '%5Cregistration'))],
  ['a path parameter at the end', at((path) => `${path};a=b`)],
  ['a path parameter in the realm', at((path) => path.replace('/tg/', '/tg;a=b/'))],
  ['a path parameter in realms', at((path) => path.replace('/realms/', '/realms;abc/'))],
  ['a session id as a path parameter', at((path) => path.replace('/login-actions', '/login-actions;jsessionid=1'))],
  ['a path in capitals', at((path) => path.replace('login-actions/registration', 'LOGIN-ACTIONS/REGISTRATION'))],
  ['the realm in capitals', at((path) => path.replace('/tg/', '/TG/'))],
  ['an encoded NUL at the end', at((path) => `${path}%00`)],
  ['an encoded space at the end', at((path) => `${path}%20`)],
  ['an encoded tab in the middle', at((path) => path.replace('/registration', '/%09registration'))],
  ['an encoded line end', at((path) => `${path}%0d%0a`)],
  ['a fragment', (page) => ({ ...plain(page), target: `${page.path}?${page.query}#x` })],
  ['a fragment in the path', (page) => ({ ...plain(page), target: `${page.path}#?${page.query}` })],
  ['full-width letters', at((path) => path.replace('registration', '%EF%BD%92egistration'))],
  ['an overlong slash', at((path) => path.replace('/registration', '%c0%afregistration'))],
  ['an encoded question mark', (page) => ({ ...plain(page), target: `${page.path}%3f${page.query}` })],
  ['two question marks', (page) => ({ ...plain(page), target: `${page.path}??${page.query}` })],
  ['a raw byte beyond ASCII', at((path) => `${path}\u00e9`)],
  ['a raw tab', at((path) => `${path}\t`)],
  ['an absolute-form target with a foreign host', (page) => ({ ...plain(page), target: `http://elsewhere.example${page.path}?${page.query}` })],
  ['an absolute-form target with a user part', (page) => ({ ...plain(page), target: `${page.origin.replace('://', '://user@')}${page.path}?${page.query}` })],
  ['a target without its slash', (page) => ({ ...plain(page), target: `${page.path.slice(1)}?${page.query}` })],

  // by another method
  ['PUT', sent(() => ({ method: 'PUT' }))],
  ['PATCH', sent(() => ({ method: 'PATCH' }))],
  ['a method in small letters', sent(() => ({ method: 'post' }))],
  ['GET with everything in the query', ({ path, query, fields }) => ({ method: 'GET', target: `${path}?${query}&${form(fields)}` })],
  ['GET with a body', sent(() => ({ method: 'GET' }))],
  ['GET with an override header', sent(() => ({ method: 'GET', headers: { ...type, 'X-HTTP-Method-Override': 'POST' } }))],
  ['POST with an override to GET', sent(() => ({ headers: { ...type, 'X-HTTP-Method-Override': 'GET', 'X-HTTP-Method': 'GET', 'X-Method-Override': 'GET' } }))],

  // by other parameters
  ['the address twice, the harmless one first', sent(({ fields }) => ({ body: `email=${encodeURIComponent(innocent)}&${form(fields)}` }))],
  ['the address twice, the harmless one last', sent(({ fields }) => ({ body: `${form(fields)}&email=${encodeURIComponent(innocent)}` }))],
  ['the address twice, once encoded', sent(({ fields }) => ({ body: `%65mail=${encodeURIComponent(innocent)}&${form(fields)}` }))],
  ['a harmless address in the query as well', (page) => plain({ ...page, query: `${page.query}&email=${encodeURIComponent(innocent)}` })],
  ['the address in the query alone', ({ path, query, fields: { email, ...fields } }) => post(`${path}?${query}&email=${encodeURIComponent(email)}`, form(fields))],
  ['everything in the query', ({ path, query, fields }) => post(`${path}?${query}&${form(fields)}`, '')],
  ['the execution twice, another one last', (page) => plain({ ...page, query: `${page.query}&execution=other` })],
  ['the execution twice, another one first', (page) => plain({ ...page, query: `execution=other&${page.query}` })],
  ['the execution by an encoded name', (page) => plain({ ...page, query: page.query.replace('execution=', '%65xecution=') })],
  ['the execution by an encoded name, at the login', (page) => action('authenticate')({ ...page, query: page.query.replace('execution=', '%65xecution=') })],
  ['the execution in the body', ({ path, query, fields }) => {
    const { execution, ...rest } = Object.fromEntries(new URLSearchParams(query));
    return post(`${path}?${form(rest)}`, form({ ...fields, execution }));
  }],
  ['the execution in the body, at the login', ({ path, query, fields }) => {
    const { execution, ...rest } = Object.fromEntries(new URLSearchParams(query));
    return post(`${path.replace('registration', 'authenticate')}?${form(rest)}`, form({ ...fields, execution }));
  }],
  ['without the confirmation and the names, at the login', (page) => {
    const { 'password-confirm': confirm, firstName, lastName, ...fields } = page.fields;
    return action('authenticate')({ ...page, fields });
  }],
  ['without an address, at the login', (page) => {
    const { email, ...fields } = page.fields;
    return action('authenticate')({ ...page, fields });
  }],
  ['with the fields of a login as well, at the login', (page) => action('authenticate')({ ...page, fields: { credentialId: '', rememberMe: 'on', login: 'Sign In', ...page.fields } })],
  ['semicolons between the fields', sent(({ fields }) => ({ body: form(fields).replaceAll('&', ';') }))],
  ['a byte-order mark in front', sent(({ fields }) => ({ body: `\ufeff${form(fields)}` }))],
  ['an empty line in front', sent(({ fields }) => ({ body: `\r\n${form(fields)}` }))],
  ['an empty field in front', sent(({ fields }) => ({ body: `&&=&${form(fields)}` }))],
  ['three thousand further fields', sent(({ fields }) => ({ body: `${form(fields)}${'&a=b'.repeat(3000)}` }))],
  ['a field of 900 KB in front', sent(({ fields }) => ({ body: `pad=${'x'.repeat(900_000)}&${form(fields)}` }))],
  ['a field of 1.5 MB in front', sent(({ fields }) => ({ body: `pad=${'x'.repeat(1_500_000)}&${form(fields)}` }))],
  ['an address that is no UTF-8', sent(({ fields }) => ({ body: form(fields).replace('email=', 'email=%ff') }))],
  ['a NUL in the address', sent(({ fields }) => ({ body: form(fields).replace('%40new', '%00%40new') }))],
  ['a line end in the address', sent(({ fields }) => ({ body: form(fields).replace('%40new', '%0d%0a%40new') }))],
  ['a broken percent-encoding', sent(({ fields }) => ({ body: `${form(fields)}&x=%zz` }))],

  // by another content type
  ['no content type', typed(undefined)],
  ['a content type in capitals', typed('APPLICATION/X-WWW-FORM-URLENCODED')],
  ['text/plain', typed('text/plain')],
  ['JSON', sent(({ fields }) => ({ headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(fields) }))],
  ['a JSON type on a form', typed('application/json')],
  ['charset=utf-16', sent(({ fields }) => ({ headers: { 'Content-Type': `${urlencoded}; charset=utf-16` }, body: Buffer.from(form(fields), 'utf16le') }))],
  ['charset=utf-16 on plain bytes', typed(`${urlencoded}; charset=utf-16`)],
  ['charset=IBM037 on plain bytes', typed(`${urlencoded}; charset=IBM037`)],
  ['charset=utf-7', typed(`${urlencoded}; charset=utf-7`)],
  ['a content type with a comma', typed(`${urlencoded}, application/json`)],
  ['a content type with an odd parameter', typed(`${urlencoded}; boundary=xyz`)],
  ['two content types, form first', (page) => ({ ...plain(page), headers: [['Content-Type', urlencoded], ['Content-Type', 'application/json']] })],
  ['two content types, form last', (page) => ({ ...plain(page), headers: [['Content-Type', 'application/json'], ['Content-Type', urlencoded]] })],
  ['Content-Encoding: gzip on a plain body', sent(() => ({ headers: { ...type, 'Content-Encoding': 'gzip' } }))],
  ['Content-Encoding: identity', sent(() => ({ headers: { ...type, 'Content-Encoding': 'identity' } }))],

  // by odd multipart
  ['multipart with file names', multiparted((fields) => parts(fields, (name) => `${disposition(name)}; filename="a.txt"`))],
  ['multipart with encoded names', multiparted((fields) => parts(fields, (name) => disposition(encodeAll(name))))],
  ['multipart with extended names', multiparted((fields) => parts(fields, (name) => `Content-Disposition: form-data; name*=utf-8''${name}`))],
  ['multipart with unquoted names', multiparted((fields) => parts(fields, (name) => `Content-Disposition: form-data; name=${name}`))],
  ['multipart with small-letter headers', multiparted((fields) => parts(fields, (name) => disposition(name).toLowerCase()))],
  ['multipart with base64 parts', multiparted((fields) => parts(Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, Buffer.from(value).toString('base64')])), (name) => `${disposition(name)}\r\nContent-Transfer-Encoding: base64`))],
  ['multipart with UTF-16 parts', multiparted((fields) => parts(fields, (name) => `${disposition(name)}\r\nContent-Type: text/plain; charset=utf-16`))],
  ['multipart with the address twice', multiparted((fields) => parts({ email: innocent }, disposition).replace('--xyz--\r\n', '') + parts(fields, disposition))],
  ['multipart with a preamble', multiparted((fields) => `email=${innocent}\r\n${parts(fields, disposition)}`)],
  ['multipart with an epilogue', multiparted((fields) => `${parts(fields, disposition)}email=${innocent}`)],
  ['multipart with a quoted boundary', multiparted((fields) => parts(fields, disposition), 'multipart/form-data; boundary="xyz"')],
  ['multipart with two boundaries', multiparted((fields) => parts(fields, disposition), 'multipart/form-data; boundary=abc; boundary=xyz')],
  ['multipart with bare line feeds', multiparted((fields) => parts(fields, disposition).replaceAll('\r\n', '\n'))],
  ['multipart without its end', multiparted((fields) => parts(fields, disposition).replace('--xyz--\r\n', ''))],
  ['multipart with two dispositions', multiparted((fields) => parts(fields, (name) => `Content-Disposition: form-data; name="x-${name}"\r\n${disposition(name)}`))],
  ['multipart/mixed', multiparted((fields) => parts(fields, disposition), 'multipart/mixed; boundary=xyz')],
  ['multipart in capitals', multiparted((fields) => parts(fields, disposition), 'Multipart/Form-Data; boundary=xyz')],

  // by odd framing
  ['HTTP/1.0', sent(() => ({ version: '1.0' }))],
  ['HTTP/1.0 with a chunked body', sent(({ fields }) => ({ version: '1.0', headers: { ...type, 'Transfer-Encoding': 'chunked' }, body: chunked(form(fields)) }))],
  ['chunk extensions', sent(({ fields }) => ({ headers: { ...type, 'Transfer-Encoding': 'chunked' }, body: chunked(form(fields), ';a=b') }))],
  ['a trailer with a field', sent(({ fields }) => ({ headers: { ...type, 'Transfer-Encoding': 'chunked', Trailer: 'Content-Type' }, body: chunked(form(fields)).replace(/0\r\n\r\n$/, '0\r\nContent-Type: text/plain\r\n\r\n') }))],
  ['a length and chunks', sent(({ fields }) => ({ headers: { ...type, 'Transfer-Encoding': 'chunked', 'Content-Length': String(chunked(form(fields)).length) }, body: chunked(form(fields)) }))],
  ['chunked, identity', sent(({ fields }) => ({ headers: { ...type, 'Transfer-Encoding': 'chunked, identity' }, body: chunked(form(fields)) }))],
  ['chunked with a tab', sent(({ fields }) => ({ headers: { ...type, 'Transfer-Encoding': '\tchunked' }, body: chunked(form(fields)) }))],
  ['two lengths', ({ path, query, fields }) => {
    const body = form(fields);
    return post(`${path}?${query}`, body, [['Content-Type', urlencoded], ['Content-Length', '0'], ['Content-Length', String(body.length)]]);
  }],
  ['a space before the colon', sent(({ fields }) => ({ headers: { ...type, 'Content-Length ': String(form(fields).length) } }))],
  ['Expect: 100-continue', sent(() => ({ headers: { ...type, Expect: '100-continue' } }))],
  ['two Host headers', (page) => ({ ...plain(page), headers: [['Host', new URL(page.origin).host], ['Host', 'elsewhere.example'], ['Content-Type', urlencoded]] })],
  ['a foreign Host', sent(() => ({ headers: { ...type, Host: 'elsewhere.example' } }))],
  ['Connection names the content type', sent(() => ({ headers: { ...type, Connection: 'close, Content-Type' } }))],
  ['Connection names the cookie', sent(() => ({ headers: { ...type, Connection: 'close, Cookie' } }))],
  ['headers of another proxy', sent(() => ({ headers: { ...type, 'X-Original-URL': '/', 'X-Rewrite-URL': '/', 'X-Forwarded-Prefix': '/realms', 'X-Forwarded-Path': '/' } }))],
  ['an upgrade to h2c', sent(() => ({ headers: { ...type, Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' } }))],
  ['an upgrade to a WebSocket', sent(() => ({ headers: { ...type, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } }))],
  ['hidden behind a request in the same bytes', ({ path, query, fields, origin }) => {
    // The visitor's cookies go into the second request as well: without them it would fail for a dull reason.
    const body = form(fields);
    const { host } = new URL(origin);
    return {
      method: 'GET',
      target: '/realms/tg/.well-known/openid-configuration',
      headers: { Connection: 'keep-alive' },
      behind: (cookie) => `POST ${path}?${query} HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\nContent-Type: ${urlencoded}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    };
  }],
];

export const signupVariants = [
  ...honest.map(([name, request]) => ({ name, served: true, request })),
  ...crooked.map(([name, request]) => ({ name, served: false, request })),
];
