// Tokens for machines, JWT and opaque, and clients that register themselves.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { allow, deny } from '../../keycloak/lib/hooks.mjs';
import { oidc } from '../../keycloak/lib/party.mjs';
import { until } from '../../keycloak/lib/processes.mjs';
import { World } from '../lib/world.mjs';

let world;
let svc;

before(async () => {
  world = await World.open('machine');
  svc = await world.party('svc');
});
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));

const machine = (parameters) => oidc.clientCredentialsGrant(svc.config, parameters).then((tokens) => world.keep(tokens));

test('a JWT has the claims, and the event says which client asks', async () => {
  world.hooks.answer('Machine', allow({ claims: { tier: 'batch' } }));
  const tokens = await machine({ scope: 'read', resource: 'urn:api' });
  const claims = await svc.verify(tokens.access_token, { audience: 'urn:api' });
  assert.deepEqual([claims.tier, claims.client_id], ['batch', 'svc']);
  const { interceptor_context: context } = world.hooks.events('PRE_M2M_TOKEN_CREATION').at(-1);
  assert.deepEqual([context.client_id, context.grant_type], ['svc', 'client_credentials']);
  assert.equal(world.hooks.events('PRE_SESSION_CREATION').length, 0);
});

test('an opaque one shows the claims in introspection, until it is revoked', async () => {
  world.hooks.answer('Machine', allow({ claims: { tier: 'batch' } }));
  const tokens = await machine({ scope: 'read', resource: 'urn:opaque' });
  assert.doesNotMatch(tokens.access_token, /^eyJ/);
  const said = await svc.introspect(tokens.access_token);
  assert.deepEqual([said.active, said.tier, said.client_id], [true, 'batch', 'svc']);
  await svc.revoke(tokens.access_token);
  assert.equal((await svc.introspect(tokens.access_token)).active, false);
});

test('with `opaque = "jwt"` it is a JWT for resource servers', async (t) => {
  const other = await World.open('opaque-as-jwt', { tokens: { opaque: 'jwt', audience: ['urn:opaque'] } });
  t.after(async () => assert.deepEqual(await other.close(), []));
  const party = await other.party('svc');
  other.hooks.answer('Machine', allow({ claims: { tier: 'batch' } }));
  const tokens = other.keep(await oidc.clientCredentialsGrant(party.config, { scope: 'read', resource: 'urn:opaque' }));
  assert.equal((await party.verify(tokens.access_token)).tier, 'batch');
});

for (const resource of ['urn:api', 'urn:opaque']) {
  test(`a denied one for ${resource} is access_denied, and an opaque one dead upstream`, async () => {
    world.hooks.answer('Machine', deny('Quota used up.'));
    const mark = world.hop.exchanges.length;
    await assert.rejects(machine({ scope: 'read', resource }), ({ error, error_description: description }) => {
      assert.deepEqual([error, description], ['access_denied', 'Quota used up.']);
      return true;
    });
    assert.equal(world.made(mark).length, 1);
    if (resource === 'urn:opaque') {
      const [{ access_token: token }] = world.made(mark);
      const revokes = ({ target, body, status }) => target === '/token/revocation' && body.includes(encodeURIComponent(token)) && status === 200;
      await until('it is revoked', () => world.hop.exchanges.slice(mark).some(revokes));
    }
  });
}

test('a client that registers itself is asked about', async () => {
  const metadata = { client_name: 'App', redirect_uris: ['https://app.example/cb'], grant_types: ['authorization_code'], response_types: ['code'] };
  const register = () => world.send({ method: 'POST', target: '/reg', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(metadata) });
  world.hooks.answer('Client', deny('Ask the platform team.'));
  const denied = await register();
  assert.deepEqual([denied.status, denied.json], [400, { error: 'invalid_client_metadata', error_description: 'Ask the platform team.' }]);
  assert.ok(!world.hop.exchanges.some(({ target }) => target === '/reg'));
  world.hooks.answer('Client', allow());
  const made = await register();
  assert.equal(made.status, 201, made.text);
  world.canaries.add('client secret', made.json.client_secret);
  world.canaries.add('registration token', made.json.registration_access_token);
  assert.deepEqual(world.hooks.events('PRE_CLIENT_REGISTRATION').at(-1).data.client.redirect_uris, metadata.redirect_uris);
});
