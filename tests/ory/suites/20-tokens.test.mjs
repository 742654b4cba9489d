// Hydra: sessions, with JWTs for access tokens and with opaque ones.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { allow, deny } from '../../keycloak/lib/hooks.mjs';
import { claimsOf, halfHash, headerOf, inFragment, jose, oidc } from '../../keycloak/lib/party.mjs';
import { until } from '../../keycloak/lib/processes.mjs';
import { firstForm } from '../../keycloak/lib/visitor.mjs';
import { basic, World } from '../lib/world.mjs';

let world;
let visitor;
before(async () => {
  world = await World.open('tokens');
  visitor = world.visitor();
});
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));
beforeEach(() => world.hooks.answer('Session', allow({ claims: { plan: 'gold' } })));

const events = () => world.hooks.events('PRE_SESSION_CREATION');
const introspect = async (token) => (await world.post('/admin/oauth2/introspect', { token })).json;

async function logIn(client = 'web', parameters = {}) {
  const party = await world.party(client);
  const { url, checks } = await party.authorizationUrl({ scope: 'openid offline_access email', ...parameters });
  const tokens = world.keep(await oidc.authorizationCodeGrant(party.config, await visitor.logIn(url.href), checks));
  return { party, tokens };
}

/** The parameters at the end of a login in the front channel. */
async function inFront(parameters) {
  const party = await world.party('web');
  const url = oidc.buildAuthorizationUrl(party.config, { redirect_uri: world.redirect, scope: 'openid', nonce: 'a-nonce-1', state: 'a-state-1', ...parameters });
  return { party, told: inFragment({ location: await visitor.logIn(url.href) }) };
}

test('JWTs: both tokens have the claims and verify under the published keys; userinfo, introspection', async () => {
  const { party, tokens } = await logIn();
  const [made] = world.made().slice(-1);
  for (const name of ['access_token', 'id_token']) {
    const claims = await party.verify(tokens[name]);
    assert.deepEqual([claims.plan, claims.sub], ['gold', 'ada@example.org'], name);
    assert.notEqual(headerOf(tokens[name]).kid, headerOf(made[name]).kid);
    assert.equal(headerOf(tokens[name]).alg, 'RS256');
  }
  const { at_hash: hash, aud } = claimsOf(tokens.id_token);
  assert.deepEqual([hash, aud], [halfHash(tokens.access_token), ['web']]);
  assert.deepEqual([claimsOf(made.access_token).aud, claimsOf(tokens.access_token).ext], [[], { team: 'blue' }], 'Hydra writes no audience as an empty list');
  const { interceptor_context: context, data } = events().at(-1);
  assert.deepEqual([context.client_id, context.user_id, context.user_email, context.grant_type], ['web', 'ada@example.org', 'ada@example.org', 'authorization_code']);
  assert.deepEqual(data.claims.access_token.scp, ['openid', 'offline_access', 'email']);
  assert.equal((await party.userinfo(tokens)).sub, 'ada@example.org');
  const said = await introspect(tokens.access_token);
  assert.deepEqual([said.active, said.plan, said.client_id], [true, 'gold', 'web']);
});

test('an opaque access token: the ID token, userinfo and introspection have the claims', async () => {
  const { party, tokens } = await logIn('opaque');
  const [made] = world.made().slice(-1);
  assert.match(made.access_token, /^ory_at_/);
  assert.notEqual(tokens.access_token, made.access_token);
  assert.doesNotMatch(tokens.access_token, /^eyJ/);
  assert.equal((await party.verify(tokens.id_token)).plan, 'gold');
  assert.equal((await party.userinfo(tokens)).sub, 'ada@example.org');
  const said = await introspect(tokens.access_token);
  assert.deepEqual([said.active, said.plan, said.client_id], [true, 'gold', 'opaque']);
  assert.equal((await introspect(made.access_token)).plan, undefined, 'what did not come through Tollgate shows nothing');
});

test('signed userinfo is signed again', async () => {
  const { party, tokens } = await logIn('signed');
  const answer = await world.send({ target: '/userinfo', headers: { Authorization: `Bearer ${tokens.access_token}` } });
  assert.match(answer.header('content-type'), /^application\/jwt/);
  world.canaries.add('userinfo', answer.text);
  const { payload } = await jose.jwtVerify(answer.text, party.keys, { issuer: world.issuer, audience: 'signed' });
  assert.equal(payload.sub, 'ada@example.org');
});

for (const client of ['web', 'opaque']) {
  test(`a refresh is asked about again: ${client}`, async () => {
    const { party, tokens } = await logIn(client);
    world.hooks.answer('Session', allow({ claims: { plan: 'silver' } }));
    const renewed = await party.refresh(tokens);
    assert.equal((await party.verify(renewed.id_token)).plan, 'silver');
    assert.deepEqual([(await introspect(renewed.access_token)).plan, events().at(-1).interceptor_context.grant_type], ['silver', 'refresh_token']);
    world.hooks.answer('Session', deny('Not any more.'));
    await assert.rejects(party.refresh(renewed), ({ error, error_description: description }) => error === 'access_denied' && description === 'Not any more.');
  });

  test(`a revoked token is dead: ${client}`, async () => {
    const { party, tokens } = await logIn(client);
    await party.revoke(tokens.access_token, 'access_token');
    assert.equal((await introspect(tokens.access_token)).active, false);
    await assert.rejects(party.userinfo(tokens));
    await party.revoke(tokens.refresh_token, 'refresh_token');
    await assert.rejects(party.refresh(tokens), ({ error }) => ['invalid_grant', 'token_inactive'].includes(error));
  });

  test(`a denied login is access_denied with the message, and what Hydra made is revoked: ${client}`, async () => {
    world.hooks.answer('Session', deny('Not today.'));
    const mark = world.hop.exchanges.length;
    await assert.rejects(logIn(client), ({ error, error_description: description }) => {
      assert.deepEqual([error, description], ['access_denied', 'Not today.']);
      return true;
    });
    const [made] = world.made(mark);
    const revokes = ({ target, body, status }) => target === '/oauth2/revoke' && body?.includes(encodeURIComponent(made.access_token)) && status === 200;
    await until('it is revoked', () => world.hop.exchanges.slice(mark).some(revokes));
    await assert.rejects((await world.party(client)).refresh(made));
  });
}

test('userinfo by every way that a client may show a token', async () => {
  const { tokens } = await logIn();
  const bearer = { Authorization: `bearer ${tokens.access_token}` };
  for (const ask of [
    () => world.send({ target: '/userinfo', headers: bearer }),
    () => world.post('/userinfo', {}, bearer),
    () => world.post('/userinfo', { access_token: tokens.access_token }),
    () => world.send({ target: `/userinfo?access_token=${tokens.access_token}` }),
  ]) {
    const answer = await ask();
    assert.deepEqual([answer.status, answer.json.sub], [200, 'ada@example.org']);
  }
  const [{ access_token: native }] = world.made().slice(-1);
  assert.equal((await world.send({ target: '/userinfo', headers: { Authorization: `Bearer ${native}` } })).status, 401, 'a token of Hydra\'s own');
});

test('hybrid, by fragment: both ID tokens are asked about and verify', async () => {
  const mark = events().length;
  const { party, told } = await inFront({ response_type: 'code id_token' });
  const { plan, c_hash: hash } = await party.verify(told.id_token, { audience: 'web' });
  assert.deepEqual([plan, hash], ['gold', halfHash(told.code)]);
  const answer = await world.post('/oauth2/token', { grant_type: 'authorization_code', code: told.code, redirect_uri: world.redirect }, { Authorization: basic(world, 'web') });
  assert.equal((await party.verify(answer.json.id_token)).plan, 'gold');
  assert.deepEqual(events().slice(mark).map(({ interceptor_context: { grant_type: grant } }) => grant), ['hybrid', 'authorization_code']);
});

for (const response_type of ['id_token', 'token', 'token id_token', 'token id_token code']) {
  test(`\`${response_type}\` in the front channel, allowed and denied`, async () => {
    const { party, told } = await inFront({ response_type });
    const names = response_type.split(' ').filter((name) => name !== 'code');
    for (const name of names) assert.equal((await party.verify(told[name === 'token' ? 'access_token' : name])).plan, 'gold', name);
    if (names.length === 2) assert.equal(claimsOf(told.id_token).at_hash, halfHash(told.access_token));
    world.hooks.answer('Session', deny('Not today.'));
    const denied = await inFront({ response_type });
    assert.deepEqual([denied.told.error, denied.told.error_description], ['access_denied', 'Not today.']);
    assert.deepEqual([denied.told.access_token, denied.told.id_token, denied.told.code], [undefined, undefined, undefined]);
  });
}

test('`form_post`: the page has tokens of Tollgate\'s', async () => {
  const party = await world.party('web');
  const url = oidc.buildAuthorizationUrl(party.config, { redirect_uri: world.redirect, scope: 'openid', nonce: 'a-nonce-1', state: 'a-state-1', response_type: 'code id_token', response_mode: 'form_post' });
  const page = await visitor.travel(await visitor.get(url.href));
  const { fields } = firstForm(page.text);
  assert.equal((await party.verify(fields.id_token)).plan, 'gold');
});

test('logout with `id_token_hint`: Hydra gets its own token back, and a changed one is refused', async () => {
  const { party, tokens } = await logIn();
  const bye = await visitor.logIn(party.logoutUrl(tokens));
  assert.equal(`${bye.origin}${bye.pathname}`, `${world.rp}/bye`);
  assert.equal(bye.searchParams.get('state'), 'see-you');
  const asked = world.hop.exchanges.filter(({ target }) => target.startsWith('/oauth2/sessions/logout?id_token_hint='));
  assert.notEqual(new URL(asked.at(-1).target, world.origin).searchParams.get('id_token_hint'), tokens.id_token);
  const bad = await world.send({ target: `/oauth2/sessions/logout?id_token_hint=${tokens.id_token.slice(0, -4)}AAAA` });
  assert.equal(bad.status, 401);
});

test('a client that registers itself is asked about, and its logins are as any other\'s', async () => {
  const register = () => world.json('POST', '/oauth2/register', { client_name: 'App', redirect_uris: [world.redirect], grant_types: ['authorization_code'], response_types: ['code'], scope: 'openid' });
  world.hooks.answer('Client', deny('Ask the platform team.'));
  const denied = await register();
  assert.deepEqual([denied.status, denied.json.error_description], [400, 'Ask the platform team.']);
  world.hooks.answer('Client', allow());
  const made = await register();
  assert.equal(made.status, 201, made.text);
  const { client_id: id, client_secret: secret, registration_access_token: token } = made.json;
  for (const [kind, value] of [['client secret', secret], ['registration token', token]]) world.canaries.add(kind, value);
  const own = await world.send({ target: `/oauth2/register/${id}`, headers: { Authorization: `Bearer ${token}` } });
  assert.deepEqual([own.status, own.json.client_id], [200, id]);
});

test('no device flow and no pushed requests: Hydra has none, and its discovery says so behind Tollgate', async () => {
  const { json } = await world.send({ target: '/.well-known/openid-configuration' });
  assert.deepEqual([json.issuer, json.device_authorization_endpoint, json.pushed_authorization_request_endpoint], [world.issuer, undefined, undefined]);
  assert.equal((await world.post('/oauth2/device/auth', { client_id: 'web' })).status, 404);
});

test('credential issuance is refused', async () => {
  const answer = await world.json('POST', '/credentials', { format: 'jwt_vc_json', types: ['VerifiableCredential'] });
  assert.deepEqual([answer.status, answer.json.error], [400, 'invalid_request']);
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
