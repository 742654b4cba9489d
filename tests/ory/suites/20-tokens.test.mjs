// Hydra: sessions and machine tokens, JWTs with claims of an interceptor.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { allow, deny } from '../../keycloak/lib/hooks.mjs';
import { headerOf, oidc } from '../../keycloak/lib/party.mjs';
import { World } from '../lib/world.mjs';

let world;
let visitor;
before(async () => {
  world = await World.open('tokens');
  visitor = world.visitor();
});
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));

async function logIn(parameters = {}) {
  const party = await world.party('web');
  const { url, checks } = await party.authorizationUrl({ scope: 'openid offline_access email', ...parameters });
  const tokens = world.keep(await oidc.authorizationCodeGrant(party.config, await visitor.logIn(url.href), checks));
  return { party, tokens };
}

test('both tokens have the claims; refresh, userinfo, introspection, revocation', async () => {
  world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
  const { party, tokens } = await logIn();
  for (const name of ['access_token', 'id_token']) assert.equal((await party.verify(tokens[name])).plan, 'gold', name);
  const { interceptor_context: context } = world.hooks.events('PRE_SESSION_CREATION').at(-1);
  assert.deepEqual([context.client_id, context.user_id, context.user_email], ['web', 'ada@example.org', 'ada@example.org']);
  assert.equal((await party.userinfo(tokens)).sub, 'ada@example.org');
  const introspect = (token) => world.post('/admin/oauth2/introspect', { token });
  const said = await introspect(tokens.access_token);
  assert.deepEqual([said.json.active, said.json.plan], [true, 'gold']);
  world.hooks.answer('Session', allow({ claims: { plan: 'silver' } }));
  const renewed = await party.refresh(tokens);
  assert.equal((await party.verify(renewed.access_token)).plan, 'silver');
  await party.revoke(renewed.access_token);
  assert.equal((await introspect(renewed.access_token)).json.active, false);
});

test('a denied session is access_denied', async () => {
  world.hooks.answer('Session', deny('Not today.'));
  await assert.rejects(logIn(), ({ error, error_description: description }) => {
    assert.deepEqual([error, description], ['access_denied', 'Not today.']);
    return true;
  });
});

test('a machine\'s token, allowed and denied', async () => {
  const party = await world.party('robot');
  world.hooks.answer('Machine', allow({ claims: { tier: 'batch' } }));
  const tokens = world.keep(await oidc.clientCredentialsGrant(party.config, { scope: 'read' }));
  assert.equal((await party.verify(tokens.access_token)).tier, 'batch');
  assert.match(headerOf(tokens.access_token).alg, /^RS256$/);
  world.hooks.answer('Machine', deny('Quota used up.'));
  await assert.rejects(oidc.clientCredentialsGrant(party.config, { scope: 'read' }), ({ error }) => error === 'access_denied');
});

test('no spelling of the token endpoint gets a token while it is denied', async (t) => {
  world.hooks.answer('Machine', deny('Nobody.'));
  const authorization = `Basic ${Buffer.from(`robot:${world.secretOf('robot')}`).toString('base64')}`;
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded', Authorization: authorization };
  const body = 'grant_type=client_credentials&scope=read';
  const tally = {};
  for (const target of ['/oauth2/token', '/oauth2/token/', '/oauth2%2Ftoken', '/oauth2/%74oken', '/OAUTH2/TOKEN', '//oauth2/token', '/oauth2//token', '/oauth2/./token', '/x/../oauth2/token', '/oauth2/token;a=b', '/oauth2/token?x=y', '/oauth2/token?grant_type=password', 'http://elsewhere.example/oauth2/token']) {
    for (const rest of [{}, { body: body.replace('grant_type', '%67rant_type') }, { body: `${body}&grant_type=password` }, { body: body.replace('client_credentials', 'client_credentials%20') }, { version: '1.0' }]) {
      const answer = await world.send({ method: 'POST', target, headers, body, deadline: 20_000, ...rest }).catch((error) => ({ status: 'cut off', text: String(error) }));
      assert.doesNotMatch(answer.text, /"access_token"|eyJ[\w-]+\.eyJ/, `${target} ${JSON.stringify(rest)}`);
      tally[answer.status] = (tally[answer.status] ?? 0) + 1;
    }
  }
  t.diagnostic(JSON.stringify(tally));
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
