// Requests in every spelling that Hydra and Kratos were seen to take, and in many that they were not: what nobody may have, nobody gets.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { deny } from '../../keycloak/lib/hooks.mjs';
import { form, multipart, send, urlencoded } from '../../keycloak/lib/wire.mjs';
import { basic, World } from '../lib/world.mjs';

let world;
before(async () => {
  world = await World.open('variants');
  for (const name of ['Signup', 'Session', 'Invitation', 'Machine']) world.hooks.answer(name, deny('Nobody.'));
});
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));

const json = { 'Content-Type': 'application/json' };
const chunked = (text, extension = '') => `${Buffer.byteLength(text).toString(16)}${extension}\r\n${text}\r\n0\r\n\r\n`;

/** Sends each spelling; what came of them, and how often each status. */
async function attempt(origin, spellings, seen) {
  const tally = {};
  for (const spelling of spellings) {
    const request = typeof spelling === 'function' ? await spelling(origin) : spelling;
    const answer = await send(origin, { deadline: 20_000, ...request }).catch((error) => ({ status: 'cut off', text: String(error) }));
    await seen(answer, `${request.method} ${request.target} ${JSON.stringify(request.headers)} ${String(request.body).slice(0, 200)}`);
    tally[answer.status] = (tally[answer.status] ?? 0) + 1;
  }
  return JSON.stringify(tally);
}

function tokenRequests() {
  const authorization = basic(world, 'robot');
  const given = { 'Content-Type': urlencoded, Authorization: authorization };
  const fields = form({ grant_type: 'client_credentials', scope: 'read' });
  const token = (target, rest = {}) => ({ method: 'POST', target, headers: given, body: fields, ...rest });
  const at = (rest) => token('/oauth2/token', rest);
  const withHeaders = (headers, rest = {}) => at({ headers: { ...given, ...headers }, ...rest });
  const { body, type } = multipart({ grant_type: 'client_credentials', scope: 'read' });
  return [
    ...[
      ...['/oauth2/token', '/oauth2/token/', '/oauth2/%74oken', '/%6Fauth2/token', '/oauth2%2Ftoken', '/oauth2%2ftoken', '/oauth2/%2574oken', '/OAUTH2/TOKEN', '/oauth2/Token', '//oauth2/token', '/oauth2//token', '/oauth2/token//'],
      ...['/./oauth2/token', '/oauth2/./token', '/oauth2/%2e/token', '/x/../oauth2/token', '/oauth2/x/%2e%2e/token', '/oauth2/x/..%2ftoken', '/oauth2/token/.', '/oauth2/token/..', '/oauth2/token/%2e', '/oauth2/token/../token'],
      ...['/oauth2;a=b/token', '/oauth2/token;a=b', '/oauth2/token#x', '/oauth2/token?', '/oauth2/token?x=y', '/oauth2/token?grant_type=password', '/oauth2/token%20', '/oauth2/token%00', '/oauth2/token%09', '/oauth2/token.', '/oauth2/token%5C', '/oauth2\\token'],
      ...[`${world.origin}/oauth2/token`, 'http://elsewhere.example/oauth2/token', 'http://elsewhere.example/oauth2/%74oken', '/oauth2/tok\xe9n', '/oauth2/token%3F', '/oauth2/token%23'],
    ].map((target) => token(target)),
    ...['GET', 'PUT', 'PATCH', 'HEAD', 'DELETE', 'post', 'Post'].map((method) => at({ method })),
    ...['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'].map((name) => withHeaders({ [name]: 'POST' }, { method: 'GET' })),
    token(`/oauth2/token?${fields}`, { body: '' }),
    at({ body: fields.replace('grant_type', '%67rant_type') }), at({ body: fields.replace('client_credentials', '%63lient_credentials') }), at({ body: fields.replace('client_', 'client%5F') }),
    // The first of two counts at Hydra.
    at({ body: `${fields}&grant_type=password` }), at({ body: `grant_type=password&${fields}` }), at({ body: `${fields}&grant_type=refresh_token&refresh_token=x` }), at({ body: `x=1&x=2&${fields}` }),
    at({ body: fields.replace('client_credentials', 'client_credentials+') }), at({ body: fields.replace('client_credentials', 'client_credentials%20') }), at({ body: fields.replace('client_credentials', '+client_credentials') }),
    at({ body: fields.replace('client_credentials', 'client_credentials%00') }), at({ body: fields.replace('client_credentials', 'client_credentials%0A') }), at({ body: fields.replace('client_credentials', 'CLIENT_CREDENTIALS') }),
    at({ body: fields.replaceAll('&', ';') }), at({ body: `\ufeff${fields}` }), at({ body: `\n${fields}` }), at({ body: `${fields}&%` }), at({ body: `&&${fields}&&` }),
    withHeaders({ 'Content-Type': type }, { body }), withHeaders({ 'Content-Type': type.replace('form-data', 'mixed') }, { body }), withHeaders({ 'Content-Type': type }, { body: body.replace('name="grant_type"', 'name=grant_type') }),
    withHeaders({ 'Content-Type': type }, { body: body.replace('name="grant_type"', 'name="grant_type"; filename="x"') }),
    withHeaders({ 'Content-Type': 'application/json' }, { body: '{"grant_type":"client_credentials","scope":"read"}' }), withHeaders({ 'Content-Type': 'text/plain' }), at({ headers: { Authorization: authorization } }),
    withHeaders({ 'Content-Type': urlencoded.toUpperCase() }), withHeaders({ 'Content-Type': `${urlencoded};charset=utf-8` }), withHeaders({ 'Content-Type': `${urlencoded}; charset=utf-16` }), withHeaders({ 'Content-Type': `${urlencoded}, text/plain` }),
    at({ headers: [['Content-Type', urlencoded], ['Content-Type', 'text/plain'], ['Authorization', authorization]] }), at({ headers: [['Content-Type', 'text/plain'], ['Content-Type', urlencoded], ['Authorization', authorization]] }),
    withHeaders({ 'Content-Encoding': 'gzip' }), withHeaders({ 'Content-Encoding': 'deflate' }), withHeaders({ 'Content-Encoding': 'identity' }),
    at({ headers: [['Content-Type', urlencoded], ['Authorization', authorization], ['Authorization', 'Basic eDp5']] }), withHeaders({ Authorization: authorization.replace('Basic', 'basic') }),
    at({ headers: { 'Content-Type': urlencoded }, body: `${fields}&client_id=robot&client_secret=${world.secretOf('robot')}` }), at({ body: `${fields}&client_id=other` }),
    withHeaders({ 'Transfer-Encoding': 'chunked' }, { body: chunked(fields, ';ext=1') }), withHeaders({ 'Transfer-Encoding': 'chunked' }, { body: chunked(fields).replace('0\r\n\r\n', '0\r\nX-Trailer: 1\r\n\r\n') }),
    withHeaders({ 'Transfer-Encoding': 'chunked', 'Content-Length': String(fields.length) }, { body: chunked(fields) }), withHeaders({ 'Content-Length': '0', 'Transfer-Encoding': 'chunked' }, { body: chunked(fields) }),
    withHeaders({ 'Transfer-Encoding': 'Chunked' }, { body: chunked(fields) }), withHeaders({ 'Transfer-Encoding': 'chunked, identity' }, { body: chunked(fields) }), withHeaders({ 'Transfer-Encoding': '\tchunked' }, { body: chunked(fields) }),
    withHeaders({ 'Transfer-Encoding': 'chunked' }, { body: chunked(fields).replaceAll('\r\n', '\n') }), at({ headers: [...Object.entries(given), ['Content-Length', String(fields.length)], ['Content-Length', String(fields.length + 1)]] }),
    at({ headers: [...Object.entries(given), ['Content-Length ', String(fields.length)]] }), at({ reshape: (bytes) => Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1') }),
    withHeaders({ Expect: '100-continue' }), at({ version: '1.0' }), withHeaders({ Host: 'elsewhere.example' }), ...['Host', 'Prefix', 'Uri', 'Proto', 'Method'].map((name) => withHeaders({ [`X-Forwarded-${name}`]: '/x' })),
    token('/nothing', { headers: { ...given, 'X-Original-URL': '/oauth2/token', 'X-Rewrite-URL': '/oauth2/token' } }), withHeaders({ 'X-Filler': 'x'.repeat(40_000) }), at({ body: `${fields}&filler=${'x'.repeat(2 ** 20)}` }),
    // A second request in what a proxy may take for the body of the first.
    at({ behind: `POST /oauth2/%74oken HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nContent-Type: ${urlencoded}\r\nContent-Length: ${fields.length}\r\n\r\n${fields}` }),
    token('/health/alive', { method: 'GET', headers: { 'Content-Length': '0' }, body: '', behind: `POST /oauth2%2Ftoken HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nContent-Type: ${urlencoded}\r\nContent-Length: ${fields.length}\r\n\r\n${fields}` }),
  ];
}

const tokenLike = /"access_token"\s*:|eyJ[\w-]+\.eyJ|ory_at_/;

test('no spelling of the token request gets a token without an ALLOW', async (t) => {
  const requests = tokenRequests();
  const tally = await attempt(world.origin, requests, ({ text }, what) => assert.doesNotMatch(text, tokenLike, what));
  t.diagnostic(`${requests.length} spellings through Tollgate: ${tally}`);
});

test('many of them do get one from Hydra itself', async (t) => {
  let tokens = 0;
  await attempt(world.hydra, tokenRequests(), ({ text }) => (tokens += tokenLike.test(text) ? 1 : 0));
  t.diagnostic(`${tokens} of ${tokenRequests().length} at Hydra's own port`);
  assert.ok(tokens > 30, String(tokens));
});

/** Spellings of a path that a lenient server takes for the same. */
const paths = (path) => {
  const [last] = path.split('/').slice(-1);
  const before = path.slice(0, -last.length);
  return [
    ...[path, `${path}/`, `${before}%${last.charCodeAt(0).toString(16)}${last.slice(1)}`, `${before}/${last}`, `/${path}`, `${before.slice(0, -1)}%2F${last}`, `${before}./${last}`, `${before}x/../${last}`, `${before}x/%2e%2e/${last}`],
    ...[path.toUpperCase(), `${path};a=b`, `${path}#x`, `${path}%20`, `${path}%00`, `http://elsewhere.example${path}`],
  ];
};

/** JSON and forms that two readers may read in two ways, about somebody whose address is `email`. */
function bodies(fields, email) {
  const text = JSON.stringify(fields);
  const twice = text.replace('"traits"', '"traits":{"email":"other@work.example"},"traits"');
  const flat = form({ ...fields, traits: undefined, 'traits.email': email });
  const part = multipart({ ...fields, traits: email, 'traits.email': email });
  return [
    [json, text], [json, twice], [json, text.replace('"email"', '"email":"other@work.example","email"')], [json, text.replace('"email"', '"\\u0065mail"')], [json, `${text} {}`], [json, `${text}x`], [json, `\ufeff${text}`],
    [json, `// a remark\n${text}`], [json, text.replace('"email"', '"Email"')], [json, text.replace('"traits"', '"Traits"')], [json, text.replace('"traits"', '"trait\u017f"')], [json, text.replace('"traits"', '"traits":{"email":"other@work.example"},"TRAITS"')], [json, text.replace('"identity_id"', '"Identity_ID"')], [{ 'Content-Type': 'application/json; charset=utf-16' }, Buffer.from(text, 'utf16le')], [{ 'Content-Type': 'application/merge-patch+json' }, text],
    [{}, text], [{ 'Content-Type': 'text/plain' }, text], [{ 'Content-Type': 'text/json' }, text], [{ 'Content-Type': 'APPLICATION/JSON' }, text], [{ ...json, 'Content-Encoding': 'gzip' }, text], [{ ...json, 'Transfer-Encoding': 'chunked' }, chunked(text)],
    [{ ...json, 'Transfer-Encoding': 'chunked', 'Content-Length': String(text.length) }, chunked(text)], [{ 'Content-Type': urlencoded }, flat], [{ 'Content-Type': urlencoded }, flat.replace('email=', '%65mail=')],
    [{ 'Content-Type': urlencoded }, `traits.email=other%40work.example&${flat}`], [{ 'Content-Type': urlencoded }, `${flat}&traits.email=other%40work.example`], [{ 'Content-Type': part.type }, part.body],
  ];
}

/** The registration of somebody in these spellings, each in a flow of its own. */
function registrations(email) {
  const fields = { method: 'password', password: world.canaries.add('password', 'canary-pw-of-the-sly-2b7c'), traits: { email } };
  const spelled = (target, [headers, body], rest = {}) => async () => {
    const flow = (await send(world.kratos, { target: '/self-service/registration/api', headers: { Accept: 'application/json' } })).json.id;
    return { method: 'POST', target: target.replace(/(#.*)?$/, `?flow=${flow}$1`), headers, body, ...rest };
  };
  const [plain] = bodies(fields, email);
  return [
    ...paths('/self-service/registration').map((path) => spelled(path, plain)),
    ...bodies(fields, email).map((body) => spelled('/self-service/registration', body)),
    ...['GET', 'PUT', 'PATCH', 'post'].map((method) => spelled('/self-service/registration', plain, { method })),
    spelled('/self-service/registration', plain, { version: '1.0' }), spelled('/self-service/login', plain), spelled('/self-service/settings', plain),
  ];
}

test('no spelling of a registration makes an account without an ALLOW', async (t) => {
  const requests = registrations('sly@mail.example');
  const seen = async (answer, what) => assert.ok(!(await world.identities()).some((email) => /sly|other@work/.test(email)), what);
  t.diagnostic(`${requests.length} spellings through Tollgate: ${await attempt(world.origin, requests, seen)}`);
});

test('several of them make one at Kratos itself', async (t) => {
  let made = 0;
  for (const [index, request] of registrations('sly0@mail.example').entries()) {
    const own = async () => {
      const { body, ...rest } = await request();
      return { ...rest, body: typeof body === 'string' ? body.replaceAll('sly0', `sly${index}`).replace(/^\d+(?=\r\n)/, (size) => size) : body };
    };
    await attempt(world.kratos, [own], ({ status, text }) => (made += status === 200 && /"identity"/.test(text) ? 1 : 0));
  }
  t.diagnostic(`${made} at Kratos' own port`);
  assert.ok(made >= 8, String(made));
});

for (const [name, path, fields] of [
  ['an identity', '/admin/identities', (email) => ({ schema_id: 'default', traits: { email } })],
  ['a batch', '/admin/identities', (email) => ({ identities: [{ create: { schema_id: 'default', traits: { email } } }] })],
]) {
  test(`no spelling of ${name} by the admin API makes an account without an ALLOW`, async (t) => {
    const method = name === 'a batch' ? 'PATCH' : 'POST';
    const whole = fields('guest@mail.example');
    const requests = [
      ...paths(path).map((target) => ({ method, target, headers: json, body: JSON.stringify(whole) })),
      ...bodies(whole, 'guest@mail.example').map(([headers, body]) => ({ method, target: path, headers, body })),
      ...['/identities', '/Admin/identities', '/admin/%69dentities/', '/admin/identities?x=y'].map((target) => ({ method, target, headers: json, body: JSON.stringify(whole) })),
      { method, target: path, headers: json, body: JSON.stringify(whole), version: '1.0' }, { method: method.toLowerCase(), target: path, headers: json, body: JSON.stringify(whole) },
      ...(name === 'a batch' ? [{ method, target: path, headers: json, body: '{"identities":[],"identities":[{"create":{"schema_id":"default","traits":{"email":"guest@mail.example"}}}]}' }, ...['"Identities"', '"identitie\u017f"', '"identities":[],"IDENTITIES"'].map((name) => ({ method, target: path, headers: json, body: JSON.stringify(whole).replace('"identities"', name) })), { method, target: path, headers: json, body: JSON.stringify(whole).replace('"create"', '"Create"') }, { method, target: path, headers: json, body: '{"Identities":[{"create":{"schema_id":"default","traits":{"email":"guest@mail.example"}}}]}' }] : []),
    ];
    const before = await world.identities();
    const seen = async (answer, what) => assert.deepEqual(await world.identities(), before, what);
    t.diagnostic(`${requests.length} spellings through Tollgate: ${await attempt(world.origin, requests, seen)}`);
  });
}

test('no spelling of a recovery gets a link or a code without an ALLOW', async (t) => {
  const made = await send(world.kratosAdmin, { method: 'POST', target: '/admin/identities', headers: json, body: JSON.stringify({ schema_id: 'default', traits: { email: 'there@work.example' } }) });
  const text = JSON.stringify({ identity_id: made.json.id });
  const requests = ['link', 'code'].flatMap((kind) => [
    ...paths(`/admin/recovery/${kind}`).map((target) => ({ method: 'POST', target, headers: json, body: text })),
    ...bodies({ identity_id: made.json.id }, 'there@work.example').map(([headers, body]) => ({ method: 'POST', target: `/admin/recovery/${kind}`, headers, body })),
  ]);
  const tally = await attempt(world.origin, requests, (answer, what) => assert.doesNotMatch(answer.text, /recovery_link|recovery_code"/, what));
  t.diagnostic(`${requests.length} spellings through Tollgate: ${tally}`);
});

test('nor does one of the authorization endpoint get tokens', async (t) => {
  world.hooks.answer('Session', deny('Nobody.'));
  const visitor = world.visitor();
  const query = form({ client_id: 'web', redirect_uri: world.redirect, scope: 'openid', nonce: 'a-nonce-1', state: 'a-state-1' });
  const tally = {};
  for (const path of ['/oauth2/auth', '/oauth2/auth/', '/oauth2/%61uth', '/OAUTH2/AUTH', '//oauth2/auth', '/oauth2%2Fauth', '/oauth2/x/../auth', '/oauth2/auth;a=b']) {
    for (const type of ['id_token', 'token', 'code+id_token', 'token+id_token+code', 'id_token%20token']) {
      for (const mode of ['', '&response_mode=fragment', '&response_mode=form_post', '&response_mode=query', '&response_mode=web_message']) {
        const answer = await visitor.travel(await visitor.send({ target: `${path}?${query}&response_type=${type}${mode}` })).catch((error) => ({ text: String(error) }));
        const told = `${answer.location?.href ?? ''} ${answer.text}`;
        assert.doesNotMatch(told, /eyJ[\w-]+\.eyJ|ory_at_|ory_ac_/, `${path} ${type} ${mode}`);
        const how = /access_denied/.test(told) ? 'denied' : 'refused';
        tally[how] = (tally[how] ?? 0) + 1;
      }
    }
  }
  t.diagnostic(JSON.stringify(tally));
  assert.ok(tally.denied > 10, JSON.stringify(tally));
});
