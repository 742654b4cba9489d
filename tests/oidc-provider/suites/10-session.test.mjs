// Sessions: every way by which this provider hands tokens of a user to a client, allowed and denied.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import * as jose from 'jose';

import { allow, deny } from '../../keycloak/lib/hooks.mjs';
import { claimsOf, headerOf, oidc } from '../../keycloak/lib/party.mjs';
import { firstForm } from '../../keycloak/lib/visitor.mjs';
import { basic, World } from '../lib/world.mjs';

let world;
let visitor;

before(async () => {
  world = await World.open('session');
  visitor = world.visitor();
});
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));
beforeEach(() => world.hooks.answer('Session', allow({ claims: { plan: 'gold' } })));

const events = () => world.hooks.events('PRE_SESSION_CREATION');

/** A code flow of the client `web`, with these parameters besides. */
async function codeFlow(extra = {}, { use = [], build = oidc.buildAuthorizationUrl, options } = {}) {
  const party = await world.party('web');
  for (const change of use) change(party.config);
  const checks = { pkceCodeVerifier: oidc.randomPKCECodeVerifier(), expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() };
  const url = await build(party.config, {
    redirect_uri: world.redirect,
    scope: 'openid email profile',
    code_challenge: await oidc.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    ...extra,
  });
  const arrived = await visitor.logIn(url.href, 'ada');
  const tokens = world.keep(await oidc.authorizationCodeGrant(party.config, arrived, checks, undefined, options?.(party.config)));
  return { party, tokens };
}

const plan = async (party, token) => (await party.verify(token)).plan;

test('an opaque access token: the claims are in the ID token, introspection and userinfo; refresh, revocation, logout', async () => {
  const { party, tokens } = await codeFlow({ scope: 'openid email offline_access', prompt: 'consent' });
  assert.equal(await plan(party, tokens.id_token), 'gold');
  assert.doesNotMatch(tokens.access_token, /^eyJ/);
  const [made] = world.made().slice(-1);
  assert.notEqual(tokens.access_token, made.access_token);
  assert.notEqual(headerOf(tokens.id_token).kid, headerOf(made.id_token).kid);
  const event = events().at(-1);
  assert.deepEqual([event.interceptor_context.client_id, event.interceptor_context.grant_type, event.interceptor_context.user_id], ['web', 'authorization_code', 'ada@example.org']);
  assert.equal((await party.userinfo(tokens)).email, 'ada@example.org');
  const { active, plan: shown, client_id: client } = await party.introspect(tokens.access_token);
  assert.deepEqual([active, shown, client], [true, 'gold', 'web']);

  world.hooks.answer('Session', allow({ claims: { plan: 'silver' } }));
  const renewed = await party.refresh(tokens);
  assert.equal(await plan(party, renewed.id_token), 'silver');
  assert.equal(events().at(-1).interceptor_context.grant_type, 'refresh_token');
  assert.equal((await party.introspect(renewed.access_token)).plan, 'silver');

  await party.revoke(renewed.access_token, 'access_token');
  assert.equal((await party.introspect(renewed.access_token)).active, false);
  const page = await visitor.open(party.logoutUrl(renewed));
  assert.equal(page.status, 200, page.text.slice(0, 300));
  assert.match(page.text, /<form/);
});

test('a JWT access token: both tokens verify with the published keys and have the claims', async () => {
  const { party, tokens } = await codeFlow({ scope: 'openid email read', resource: 'urn:api' });
  const access = await party.verify(tokens.access_token, { audience: 'urn:api', typ: 'at+jwt' });
  assert.deepEqual([access.plan, access.client_id, access.sub], ['gold', 'web', 'ada@example.org']);
  assert.equal(await plan(party, tokens.id_token), 'gold');
});

test('a denied code is access_denied with the message, and no token comes', async () => {
  world.hooks.answer('Session', deny('Not today.'));
  for (const extra of [{}, { scope: 'openid read', resource: 'urn:api' }]) {
    await assert.rejects(codeFlow(extra), ({ error, error_description: description }) => {
      assert.deepEqual([error, description], ['access_denied', 'Not today.']);
      return true;
    });
  }
});

test('a denied refresh is access_denied', async () => {
  const { party, tokens } = await codeFlow({ scope: 'openid offline_access', prompt: 'consent' });
  world.hooks.answer('Session', deny('Not any more.'));
  await assert.rejects(party.refresh(tokens), ({ error }) => error === 'access_denied');
});

for (const [name, extra, ...use] of [
  ['form_post', { response_mode: 'form_post' }],
  ['JARM', {}, oidc.useJwtResponseMode],
]) {
  test(`a code by ${name}`, async () => {
    const { party, tokens } = await codeFlow(extra, { use });
    assert.equal(await plan(party, tokens.id_token), 'gold');
  });
}

for (const [name, extra] of [['the fragment', {}], ['form_post', { response_mode: 'form_post' }]]) {
  test(`hybrid by ${name}: both ID tokens are asked about and verify`, async () => {
    const mark = events().length;
    const { party, tokens } = await codeFlow(extra, { use: [oidc.useCodeIdTokenResponseType] });
    assert.equal(await plan(party, tokens.id_token), 'gold');
    assert.deepEqual(events().slice(mark).map(({ interceptor_context: { grant_type: grant } }) => grant), ['hybrid', 'authorization_code']);
  });

  test(`implicit by ${name}: an ID token, allowed and denied`, async () => {
    const party = await world.party('web');
    oidc.useIdTokenResponseType(party.config);
    const ask = async () => {
      const nonce = oidc.randomNonce();
      const url = oidc.buildAuthorizationUrl(party.config, { redirect_uri: world.redirect, scope: 'openid', nonce, state: 'a state', ...extra });
      return oidc.implicitAuthentication(party.config, await visitor.logIn(url.href, 'ada'), nonce, { expectedState: 'a state' });
    };
    assert.equal((await ask()).plan, 'gold');
    world.hooks.answer('Session', deny('Not today.'));
    await assert.rejects(ask(), ({ error, cause }) => (error ?? cause?.error) === 'access_denied');
  });
}

test('hybrid in a JWT (JARM): the outer signature and the ID token within are Tollgate\'s', async () => {
  const party = await world.party('web');
  const url = oidc.buildAuthorizationUrl(party.config, { redirect_uri: world.redirect, scope: 'openid', nonce: 'a nonce', state: 'a state', response_type: 'code id_token', response_mode: 'fragment.jwt' });
  const arrived = await visitor.logIn(url.href, 'ada');
  const outer = new URLSearchParams(arrived.hash.slice(1)).get('response');
  const within = await party.verify(outer, { audience: 'web' });
  assert.equal(await plan(party, within.id_token), 'gold');
});

test('a pushed authorization request', async () => {
  const { party, tokens } = await codeFlow({}, { build: oidc.buildAuthorizationUrlWithPAR });
  assert.equal(await plan(party, tokens.id_token), 'gold');
});

test('a device, allowed and denied', async () => {
  const party = await world.party('web');
  const onDevice = async () => {
    const device = world.keep(await oidc.initiateDeviceAuthorization(party.config, { scope: 'openid' }));
    let page = await visitor.open(device.verification_uri_complete);
    for (let step = 0; step < 5 && firstForm(page.text); step += 1) {
      page = await visitor.submit(firstForm(page.text), /name="password"/.test(page.text) ? { login: 'ada@example.org', password: world.secretOf('ada') } : {});
    }
    return oidc.pollDeviceAuthorizationGrant(party.config, { ...device, interval: 1 });
  };
  const tokens = world.keep(await onDevice());
  assert.equal(await plan(party, tokens.id_token), 'gold');
  assert.equal(events().at(-1).interceptor_context.grant_type, 'urn:ietf:params:oauth:grant-type:device_code');
  world.hooks.answer('Session', deny('Not on a television.'));
  await assert.rejects(onDevice(), ({ error }) => error === 'access_denied');
});

test('DPoP: bound tokens stay bound', async () => {
  const keys = await oidc.randomDPoPKeyPair('ES256');
  const { party, tokens } = await codeFlow({ scope: 'openid read', resource: 'urn:api' }, { options: (config) => ({ DPoP: oidc.getDPoPHandle(config, keys) }) });
  assert.equal(tokens.token_type.toLowerCase(), 'dpop');
  const access = await party.verify(tokens.access_token);
  assert.deepEqual([access.plan, typeof access.cnf.jkt], ['gold', 'string']);
});

test('signed userinfo is signed by Tollgate', async () => {
  const party = await world.party('signed', { metadata: { userinfo_signed_response_alg: 'RS256' } });
  const { checks, url } = await party.authorizationUrl({ prompt: 'consent' });
  const tokens = world.keep(await oidc.authorizationCodeGrant(party.config, await visitor.logIn(url.href, 'ada'), checks));
  assert.equal((await party.userinfo(tokens)).sub, 'ada@example.org');
});

test('introspection in a JWT (RFC 9701) is signed by Tollgate and has the claims', async () => {
  const { party, tokens } = await codeFlow();
  const answer = await world.post('/token/introspection', { token: tokens.access_token }, { Authorization: basic(world, 'web'), Accept: 'application/token-introspection+jwt' });
  assert.equal(answer.status, 200, answer.text.slice(0, 200));
  const { payload } = await jose.jwtVerify(answer.text, party.keys);
  assert.deepEqual([payload.token_introspection.active, payload.token_introspection.plan], [true, 'gold']);
});

test('a token of the provider\'s own is worth nothing here', async () => {
  const { party, tokens } = await codeFlow();
  const [made] = world.made().slice(-1);
  assert.equal(claimsOf(made.id_token).plan, undefined);
  await assert.rejects(party.verify(made.id_token));
  assert.ok(tokens.id_token);
  const [native] = (await codeFlow({ scope: 'openid read', resource: 'urn:api' }), world.made().slice(-1));
  const shown = await world.send({ target: '/me', headers: { Authorization: `Bearer ${native.access_token}` } });
  assert.deepEqual([shown.status, shown.json.error], [401, 'invalid_token']);
  assert.equal(world.hop.exchanges.filter(({ target, headers }) => target === '/me' && headers.authorization?.includes(native.access_token)).length, 0);
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
