// Tokens for machines: claims, scope and audience as the interceptor wants them; a denied one is dead upstream.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { claimsOf, headerOf, Party } from '../lib/party.mjs';
import { until } from '../lib/processes.mjs';
import { multipart } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const message = 'This machine has used up its tokens for today.';

let world;
let robot;
let svc;

before(async () => {
  world = await World.open('machine');
  robot = await Party.of(world, 'robot', { confidential: true });
  svc = await Party.of(world, 'svc', { confidential: true });
});
after(() => world?.close());

const lastEvent = () => world.hooks.events('PRE_M2M_TOKEN_CREATION').at(-1);

test('the claims arrive, the token verifies, and the event says which client asks for what', async () => {
  world.hooks.answer('Machine', allow({ claims: { tier: 'batch', limits: { per_minute: 60 } } }));
  const mark = world.hop.exchanges.length;
  const tokens = await robot.grant('client_credentials', { scope: 'profile email' });
  const claims = await robot.verify(tokens.access_token);
  assert.deepEqual([claims.tier, claims.limits], ['batch', { per_minute: 60 }]);
  const [upstream] = world.hop.tokens(mark);
  assert.notEqual(headerOf(tokens.access_token).kid, headerOf(upstream.access_token).kid);
  const { interceptor_context: context, data } = lastEvent();
  assert.deepEqual([context.client_id, context.grant_type, context.realm], ['robot', 'client_credentials', 'tg']);
  assert.equal(data.m2m_token_claims.client_id, 'robot');
  assert.deepEqual(data.m2m_token_claims.claims.scopes.toSorted(), claimsOf(upstream.access_token).scope.split(' ').toSorted());
  assert.equal(world.hooks.events('PRE_SESSION_CREATION').length, 0);
});

test('scope and aud are what the interceptor says', async () => {
  world.hooks.answer('Machine', allow({ claims: { scope: 'files:read', aud: ['urn:files', 'svc'], tier: 'batch' } }));
  const tokens = await robot.grant('client_credentials', {});
  const claims = await robot.verify(tokens.access_token, { audience: 'urn:files' });
  assert.equal(claims.scope, 'files:read');
  assert.deepEqual(claims.aud, ['urn:files', 'svc']);
  const introspected = await svc.introspect(tokens.access_token);
  assert.equal(introspected.active, true);
  assert.deepEqual([introspected.scope, introspected.aud, introspected.tier], ['files:read', ['urn:files', 'svc'], 'batch']);
});

test('the ID token that Keycloak adds for the scope openid is re-signed as well', async () => {
  world.hooks.answer('Machine', allow({ claims: { tier: 'batch' } }));
  const tokens = await robot.grant('client_credentials', { scope: 'openid' });
  assert.equal((await robot.verify(tokens.access_token)).tier, 'batch');
  if (tokens.id_token) await robot.verify(tokens.id_token);
});

for (const [name, ask] of [
  ['with HTTP Basic', () => world.post(paths.token, { grant_type: 'client_credentials' }, { Authorization: basic('robot') })],
  ['with the secret in the form', () => world.post(paths.token, { grant_type: 'client_credentials', client_id: 'robot', client_secret: world.secretOf('robot') })],
  [
    'in multipart/form-data',
    () => {
      const { body, type } = multipart({ grant_type: 'client_credentials', client_id: 'robot', client_secret: world.secretOf('robot') });
      return world.send({ method: 'POST', target: paths.token, headers: { 'Content-Type': type }, body });
    },
  ],
]) {
  test(`a denied token ${name} is access_denied with the message, and dead upstream`, async () => {
    world.hooks.answer('Machine', deny(message));
    const mark = world.hop.exchanges.length;
    const answer = await ask();
    assert.deepEqual([answer.status, answer.json], [400, { error: 'access_denied', error_description: message }]);
    const [upstream] = world.hop.tokens(mark);
    await until('the upstream\'s token is revoked', async () => (await world.keycloak.introspect(upstream.access_token)).active === false);
    const [record] = await world.tollgate.audit('--kind', 'consult', '--limit', '1');
    assert.deepEqual([record.trigger, record.decision, record.message, record.client_id], ['PRE_M2M_TOKEN_CREATION', 'deny', message, 'robot']);
    const revoked = await until('the revocation is recorded', async () => (await world.tollgate.audit('--kind', 'revocation', '--request', record.request_id))[0]);
    assert.equal(revoked.failure, undefined);
  });
}

test('a session interceptor is not asked for machines, nor one for machines about people', async () => {
  world.hooks.answer('Machine', deny(message));
  world.hooks.answer('Session', allow());
  const before = world.hooks.events('PRE_M2M_TOKEN_CREATION').length;
  const people = await world.post(paths.token, { grant_type: 'password', client_id: 'web', username: 'bob', password: world.secretOf('bob') });
  assert.equal(people.status, 200);
  assert.equal(world.hooks.events('PRE_M2M_TOKEN_CREATION').length, before);
});

test('no spelling of the request gets a machine token without the question', async (t) => {
  world.hooks.answer('Machine', deny(message));
  const fields = `grant_type=client_credentials&client_id=robot&client_secret=${world.secretOf('robot')}`;
  const urlencoded = 'application/x-www-form-urlencoded';
  const request = (target, rest = {}) => ({ method: 'POST', target, headers: { 'Content-Type': urlencoded }, body: fields, ...rest });
  const token = paths.token;
  const spellings = [
    request(`${token}/`), request(`${token}//`), request(`/${token}`), request(token.replace('/protocol', '//protocol')), request(token.replace('/protocol', '/./protocol')),
    request(token.replace('/protocol', '/x/../protocol')), request(token.replace('/protocol', '/%2e/protocol')), request(token.replace('/token', '/%74oken')),
    request(token.replace('/token', '%2Ftoken')), request(`${token};a=b`), request(token.replace('/tg/', '/tg;a=b/')), request(token.replace('/token', '/TOKEN')),
    request(`${token}#x`), request(`${token}?x=y`), request(`${token}?grant_type=password`), request(`${world.origin}${token}`), request(`http://elsewhere.example${token}`),
    request(token.replace('/token', '/x/..;/token')), request(token.replace('/token', '\\token')), request(`${token}%00`), request(`${token}%20`), request(`${token}/.`), request(`${token}/%2e`),
    request(`${token}/../token`), request(`${token}/x/..`), request(token, { method: 'post' }), request(token, { method: 'PUT' }), request(token, { method: 'GET' }),
    request(token, { body: fields.replace('grant_type', '%67rant_type') }), request(token, { body: fields.replace('client_credentials', 'client%5fcredentials') }),
    request(token, { body: `${fields}&grant_type=password` }), request(token, { body: `grant_type=password&${fields}` }), request(token, { body: `%67rant_type=password&${fields}` }),
    request(token, { body: fields.replace('client_credentials', 'client_credentials+') }), request(token, { body: fields.replaceAll('&', ';') }), request(token, { body: `\ufeff${fields}` }),
    request(token, { headers: { 'Content-Type': 'APPLICATION/X-WWW-FORM-URLENCODED' } }), request(token, { headers: {} }), request(token, { headers: { 'Content-Type': 'text/plain' } }),
    request(token, { headers: { 'Content-Type': `${urlencoded}; charset=utf-16` } }), request(token, { headers: { 'Content-Type': urlencoded, 'Content-Encoding': 'gzip' } }),
    request(token, { headers: [['Content-Type', urlencoded], ['Content-Type', 'application/json']] }), request(token, { version: '1.0' }),
    request(token, { headers: { 'Content-Type': urlencoded, 'X-HTTP-Method-Override': 'GET' } }), request(token, { headers: { 'Content-Type': urlencoded, Host: 'elsewhere.example' } }),
    request(token.replace('/realms/', '/auth/realms/')), request(token.replace('/tg/', '/TG/')),
  ];
  const tally = {};
  for (const spelling of spellings) {
    const answer = await world.send({ deadline: 20_000, ...spelling }).catch((error) => ({ status: 'cut off', text: String(error) }));
    assert.doesNotMatch(answer.text, /eyJ[\w-]+\.eyJ/, `${spelling.method} ${spelling.target} ${spelling.body}`);
    tally[answer.status] = (tally[answer.status] ?? 0) + 1;
  }
  t.diagnostic(`${spellings.length} spellings: ${JSON.stringify(tally)}`);
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
