// Where a client shows its token: at each of Keycloak's endpoints the one it holds counts as the upstream's own would, and the upstream gets to see nothing
// else; one that Tollgate did not sign counts for nothing.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import * as jose from 'jose';

import { allow } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { claimsOf, headerOf } from '../lib/party.mjs';
import { form, multipart, send, urlencoded } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const json = { 'Content-Type': 'application/json' };
const svc = { Authorization: basic('svc') };
const uma = 'urn:ietf:params:oauth:grant-type:uma-ticket';

let world;
let forger;
before(async () => {
  world = await World.open('shown-tokens');
  world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
  world.hooks.answer('Machine', allow({ claims: { plan: 'gold' } }));
  forger = (await jose.generateKeyPair('RS256')).privateKey;
});
after(() => world?.close());

/** Tokens as the client got them, and as the upstream made them. */
async function tokens(username, client = 'svc') {
  const mark = world.hop.exchanges.length;
  const who = username ? { grant_type: 'password', username, password: world.secretOf(username) } : { grant_type: 'client_credentials' };
  const fields = { ...who, scope: 'openid', ...(client === 'web' && { client_id: client }) };
  const answer = await world.post(paths.token, fields, client === 'web' ? {} : { Authorization: basic(client) });
  assert.equal(answer.status, 200, answer.text);
  return { ours: answer.json, native: world.hop.tokens(mark)[0] };
}

const post = (target, fields, headers = {}) => ({ method: 'POST', target, headers: { 'Content-Type': urlencoded, ...headers }, body: form(fields) });
const bearer = (token, scheme = 'Bearer') => ({ Authorization: `${scheme} ${token}` });
const refused = ({ status }) => status >= 400 && status < 500;
const loginRequired = (answer) => /[?&]error=login_required/.test(answer.header('location'));
const served = ({ status }) => status >= 200 && status < 400;

/**
 * Each place: whose token is shown, which, how, and what is answered to one that counts and to one that does not.
 * `harmless` places take the upstream's own as well: they end something, or are a hint, and hand out nothing.
 */
const places = {
  'userinfo by GET': { request: (token) => ({ target: paths.userinfo, headers: bearer(token) }) },
  'userinfo by GET, the scheme in small letters': { request: (token) => ({ target: `${paths.userinfo}/`, headers: bearer(token, 'bearer') }) },
  'userinfo by POST': { request: (token) => ({ method: 'POST', target: paths.userinfo, headers: bearer(token, 'BEARER') }) },
  'userinfo by a form': { request: (token) => post(paths.userinfo, { access_token: token }) },
  introspection: { request: (token) => post(paths.introspect, { token }, svc), good: ({ json }) => json.active, bad: ({ json }) => json.active !== true },
  'introspection in multipart': {
    request: (token) => {
      const { body, type } = multipart({ token });
      return { method: 'POST', target: paths.introspect, headers: { 'Content-Type': type, ...svc }, body };
    },
    good: ({ json }) => json.active,
    bad: ({ json }) => json.active !== true,
  },
  'the subject of an exchange': { request: (token) => post(paths.token, { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' }, svc) },
  // Keycloak knows no actors by default, and says so; what it gets to see is its own token nonetheless.
  'the actor of an exchange': { request: (token) => post(paths.token, { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', actor_token: token, actor_token_type: 'urn:ietf:params:oauth:token-type:access_token' }, svc), good: ({ status }) => status === 200 || status === 400 },
  'the bearer of a permission ticket': { request: (token) => post(paths.token, { grant_type: uma, audience: 'svc' }, bearer(token)) },
  'the bearer of a decision': { request: (token) => post(paths.token, { grant_type: uma, audience: 'svc', response_mode: 'decision' }, bearer(token)) },
  'claims beside a permission ticket': { which: 'id_token', request: (token) => post(paths.token, { grant_type: uma, audience: 'svc', claim_token: token, claim_token_format: 'http://openid.net/specs/openid-connect-core-1_0.html#IDToken' }, svc) },
  'the protection API': { user: undefined, request: (token) => ({ target: '/realms/tg/authz/protection/resource_set', headers: bearer(token) }) },
  'the admin REST API': { user: 'alice', request: (token) => ({ target: `${paths.users}?max=1`, headers: bearer(token) }) },
  'the account REST API': { client: 'web', request: (token) => ({ target: '/realms/tg/account/', headers: { ...bearer(token), Accept: 'application/json' } }) },
  'the registration of clients': { user: undefined, request: (token) => ({ method: 'POST', target: '/realms/tg/clients-registrations/openid-connect', headers: { ...bearer(token), ...json }, body: JSON.stringify({ client_name: `Shown ${world.tag}`, redirect_uris: [world.redirect] }) }) },
  // Bob has no role for it: 403, where a token that counts for nothing is 400.
  'tokens of other providers': { request: (token) => ({ target: '/realms/tg/broker/partner/token', headers: bearer(token) }), good: ({ status }) => status === 403, bad: ({ status }) => status === 400 || status === 401 },
  'the hint of a silent login': { which: 'id_token', harmless: true, request: (token) => ({ target: `${paths.auth}?${form({ client_id: 'svc', redirect_uri: world.redirect, response_type: 'code', scope: 'openid', prompt: 'none', id_token_hint: token })}` }), good: loginRequired, bad: (answer) => refused(answer) || loginRequired(answer) },
  'the hint of a pushed request': { which: 'id_token', harmless: true, request: (token) => post(`${paths.protocol}/ext/par/request`, { redirect_uri: world.redirect, response_type: 'code', scope: 'openid', id_token_hint: token }, svc), bad: () => true },
  'a logout by GET': { which: 'id_token', harmless: true, request: (token) => ({ target: `${paths.logout}?${form({ id_token_hint: token, post_logout_redirect_uri: `${world.rp}/bye` })}` }), good: ({ status }) => status === 302 },
  'a logout by POST': { which: 'id_token', harmless: true, request: (token) => post(paths.logout, { id_token_hint: token, post_logout_redirect_uri: `${world.rp}/bye` }), good: ({ status }) => status === 302 },
  'a revocation': {
    harmless: true,
    request: (token) => post(paths.revoke, { token }, svc),
    good: async ({ status }, native) => status === 200 && !(await world.keycloak.introspect(native)).active,
    // Keycloak says 200 to any token; what counts is that it revoked none.
    bad: async (answer, native) => (await world.keycloak.introspect(native)).active,
  },
};

/** What nobody but a forger would show in the place of a token. */
async function forgeries(token, native) {
  const { keys } = (await world.send({ target: paths.certs })).json;
  const claims = claimsOf(token);
  const sign = (header, rest = {}) => new jose.SignJWT({ ...claims, ...rest }).setProtectedHeader({ ...headerOf(token), ...header }).sign(forger);
  const [header, payload, signature] = token.split('.');
  const { tgc, ...bare } = claims;
  return {
    'under a key of the forger': await sign({ kid: 'forger' }),
    "under Tollgate's name": await sign({ kid: keys[0].kid }),
    "under the upstream's name": await sign({ kid: headerOf(native).kid }),
    "another issuer's": await sign({ kid: 'forger' }, { iss: 'https://id.example.org' }),
    'without its capsule': [header, Buffer.from(JSON.stringify(bare)).toString('base64url'), signature].join('.'),
    'with its capsule alone': await new jose.SignJWT({ iss: claims.iss, tgc }).setProtectedHeader({ alg: 'RS256', kid: 'forger' }).sign(forger),
    'with the signature of the original': [header, payload, native.split('.')[2]].join('.'),
    unsigned: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`,
  };
}

for (const [name, { user, client = 'svc', which = 'access_token', request, good = served, bad = refused, harmless = false }] of Object.entries(places)) {
  test(name, async () => {
    const { ours, native } = await tokens('user' in places[name] ? user : 'bob', client);
    for (const [why, token] of Object.entries(await forgeries(ours[which], native[which]))) {
      const answer = await world.send(request(token));
      assert.ok(await bad(answer, native[which]), `${why}: ${answer.status} ${answer.text.slice(0, 300)}`);
    }
    if (!harmless) {
      const answer = await world.send(request(native[which]));
      assert.ok(await bad(answer, native[which]), `the upstream's own: ${answer.status} ${answer.text.slice(0, 300)}`);
      const direct = await send(world.keycloak.url, request(native[which]));
      assert.ok(await good(direct, native[which]), `at the upstream itself: ${direct.status} ${direct.text.slice(0, 300)}`);
    }
    const mark = world.hop.exchanges.length;
    const answer = await world.send(request(ours[which]));
    assert.ok(await good(answer, native[which]), `ours: ${answer.status} ${answer.text.slice(0, 300)}`);
    const seen = world.hop.exchanges.slice(mark).map(({ target, headers, body }) => `${target} ${headers.authorization} ${body}`).join('\n');
    assert.ok(seen.includes(native[which]) && !seen.includes(ours[which]));
  });
}

test('a lightweight token is refused at userinfo with the upstream\'s own words', async () => {
  const { ours, native } = await tokens('bob', 'light');
  const direct = await send(world.keycloak.url, { target: paths.userinfo, headers: bearer(native.access_token) });
  const answer = await world.send({ target: paths.userinfo, headers: bearer(ours.access_token) });
  assert.deepEqual([answer.status, answer.header('www-authenticate')], [direct.status, direct.header('www-authenticate')]);
  assert.equal(answer.status, 401);
});

test('a refresh token is the upstream\'s own note and works as it is, at the token endpoint and at revocation', async () => {
  const { ours, native } = await tokens('bob');
  assert.equal(ours.refresh_token, native.refresh_token);
  const renewed = await world.post(paths.token, { grant_type: 'refresh_token', refresh_token: ours.refresh_token }, svc);
  assert.equal(renewed.status, 200, renewed.text);
  assert.equal((await world.post(paths.revoke, { token: renewed.json.refresh_token }, svc)).status, 200);
  const over = await world.post(paths.token, { grant_type: 'refresh_token', refresh_token: renewed.json.refresh_token }, svc);
  assert.equal(over.json.error, 'invalid_grant');
});

test('a token request goes upstream once, whatever comes of it', async () => {
  for (const fields of [{ grant_type: 'password', username: 'bob', password: world.secretOf('bob') }, { grant_type: 'authorization_code', code: 'spent', redirect_uri: world.redirect }]) {
    const mark = world.hop.exchanges.length;
    await world.post(paths.token, fields, svc);
    assert.equal(world.hop.exchanges.slice(mark).filter(({ target }) => target === paths.token).length, 1);
  }
});
