// Hydra: tokens for machines, JWT and opaque, and for assertions of issuers that it trusts.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';

import { allow, deny } from '../../keycloak/lib/hooks.mjs';
import { headerOf, jose, oidc } from '../../keycloak/lib/party.mjs';
import { until } from '../../keycloak/lib/processes.mjs';
import { basic, bearerGrant, World } from '../lib/world.mjs';

let world;
before(async () => (world = await World.open('machines')));
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));

const introspect = async (token) => (await world.post('/admin/oauth2/introspect', { token })).json;

for (const client of ['robot', 'opaque-robot']) {
  test(`a machine's token has the claims, as a JWT or in introspection, and dies when it is revoked: ${client}`, async () => {
    world.hooks.answer('Machine', allow({ claims: { tier: 'batch' } }));
    const party = await world.party(client);
    const tokens = world.keep(await oidc.clientCredentialsGrant(party.config, { scope: 'read' }));
    if (client === 'robot') {
      assert.equal((await party.verify(tokens.access_token)).tier, 'batch');
      assert.equal(headerOf(tokens.access_token).alg, 'RS256');
    } else assert.doesNotMatch(tokens.access_token, /^eyJ|^ory_at_/);
    const { interceptor_context: context, data } = world.hooks.events('PRE_M2M_TOKEN_CREATION').at(-1);
    assert.deepEqual([context.client_id, context.grant_type, context.user_id, data.m2m_token_claims.client_id], [client, 'client_credentials', undefined, client]);
    const said = await introspect(tokens.access_token);
    assert.deepEqual([said.active, said.tier, said.client_id], [true, 'batch', client]);
    await party.revoke(tokens.access_token);
    assert.equal((await introspect(tokens.access_token)).active, false);
    assert.equal(world.hooks.events('PRE_SESSION_CREATION').length, 0);
  });

  test(`a denied one is access_denied, and dead at Hydra: ${client}`, async () => {
    world.hooks.answer('Machine', deny('Quota used up.'));
    const party = await world.party(client);
    const mark = world.hop.exchanges.length;
    await assert.rejects(oidc.clientCredentialsGrant(party.config, { scope: 'read' }), ({ error, error_description: description }) => {
      assert.deepEqual([error, description], ['access_denied', 'Quota used up.']);
      return true;
    });
    const [{ access_token: token }] = world.made(mark);
    await until('it is revoked', async () => !(await introspect(token)).active);
  });
}

test('a token for an assertion: a machine\'s where its subject is the client, a session\'s for anybody else', async () => {
  const { privateKey, publicKey } = await jose.generateKeyPair('RS256');
  const jwk = { ...(await jose.exportJWK(publicKey)), kid: 'trusted', alg: 'RS256', use: 'sig' };
  const trust = await world.admin('POST', '/admin/trust/grants/jwt-bearer/issuers', { issuer: 'https://trusted.example', allow_any_subject: true, scope: ['read'], jwk, expires_at: new Date(Date.now() + 3_600_000).toISOString() });
  assert.equal(trust.status, 201, trust.text);
  const exchange = async (subject) => {
    const assertion = await new jose.SignJWT({}).setProtectedHeader({ alg: 'RS256', kid: 'trusted' }).setIssuer('https://trusted.example').setSubject(subject).setAudience(`${world.origin}/oauth2/token`).setIssuedAt().setExpirationTime('5m').setJti(randomUUID()).sign(privateKey);
    return world.post('/oauth2/token', { grant_type: bearerGrant, assertion: world.canaries.add('assertion', assertion), scope: 'read' }, { Authorization: basic(world, 'robot') });
  };
  world.hooks.answer('Machine', allow({ claims: { tier: 'batch' } }));
  world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
  const party = await world.party('robot');
  for (const [subject, trigger, claim] of [['robot', 'PRE_M2M_TOKEN_CREATION', 'tier'], ['ada@example.org', 'PRE_SESSION_CREATION', 'plan']]) {
    const { outcome, triggers } = await world.hooks.during(() => exchange(subject));
    assert.equal(outcome.status, 200, outcome.text);
    assert.deepEqual(triggers, [trigger]);
    assert.ok((await party.verify(outcome.json.access_token))[claim]);
  }
  world.hooks.answer('Session', deny('Not for them.'));
  assert.equal((await exchange('ada@example.org')).json.error, 'access_denied');
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
