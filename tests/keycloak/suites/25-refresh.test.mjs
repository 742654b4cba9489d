// Refreshes: an interceptor that is not asked again, and what Keycloak makes of the refresh token that the client holds.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { join } from 'node:path';

import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { claimsOf, halfHash, oidc, Party } from '../lib/party.mjs';
import { freePorts } from '../lib/processes.mjs';
import { Tollgate } from '../lib/tollgate.mjs';
import { form, send, urlencoded } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

let world;
let web;
let svc;

before(async () => {
  world = await World.open('refresh', {
    interceptors: () => [
      { name: 'Plan', trigger: 'PRE_SESSION_CREATION', on_refresh: 'reuse' },
      { name: 'Seats', trigger: 'PRE_SESSION_CREATION' },
    ],
  });
  web = await Party.of(world, 'web');
  svc = await Party.of(world, 'svc', { confidential: true });
});
after(() => world?.close());
beforeEach(() => {
  world.hooks.answer('Plan', allow({ claims: { plan: 'gold' } }));
  world.hooks.answer('Seats', allow({ claims: { seats: 1 } }));
});

const logIn = (scope = 'openid profile email') => web.grant('password', { username: 'bob', password: world.secretOf('bob'), scope });
const asked = (name) => world.hooks.calls.filter((call) => call.interceptor === name).length;
const refresh = (origin, token) => send(origin, { method: 'POST', target: paths.token, headers: { 'Content-Type': urlencoded }, body: form({ grant_type: 'refresh_token', client_id: 'web', refresh_token: token }) });

async function refused(tokens) {
  const answer = await refresh(world.origin, tokens.refresh_token);
  assert.equal(answer.status, 400, answer.text);
  assert.equal(answer.json.error, 'invalid_grant');
}

async function assertPlan(tokens, seats) {
  for (const name of ['access_token', 'id_token']) {
    const claims = await web.verify(tokens[name]);
    assert.deepEqual([claims.plan, claims.seats], ['gold', seats], name);
  }
  assert.equal(claimsOf(tokens.id_token).at_hash, halfHash(tokens.access_token));
}

test('the one is remembered, the other asked again, and both are on record', async () => {
  let tokens = await logIn();
  world.hooks.answer('Plan', allow({ claims: { plan: 'lead' } }));
  const before = asked('Plan');
  for (const seats of [2, 3]) {
    world.hooks.answer('Seats', allow({ claims: { seats } }));
    assert.ok(tokens.refresh_token.startsWith('tg1.'));
    tokens = await web.refresh(tokens);
    await assertPlan(tokens, seats);
    const [plan, seat] = (await world.tollgate.audit()).slice(0, 2).sort((one, other) => one.interceptor.localeCompare(other.interceptor));
    assert.deepEqual([plan.interceptor, plan.decided_by, plan.decision, plan.attempts], ['Plan', 'remembered', 'allow', 0]);
    assert.deepEqual([seat.interceptor, seat.decided_by], ['Seats', 'endpoint']);
  }
  assert.equal(asked('Plan'), before);
});

test('whoever is asked can still say no', async () => {
  const tokens = await logIn();
  world.hooks.answer('Seats', deny('No seats left.'));
  const answer = await refresh(world.origin, tokens.refresh_token);
  assert.deepEqual(answer.json, { error: 'access_denied', error_description: 'No seats left.' });
});

test('offline tokens remember likewise', async () => {
  const tokens = await logIn('openid offline_access');
  world.hooks.answer('Plan', deny('No.'));
  const renewed = await web.refresh(tokens);
  assert.equal((await web.verify(renewed.access_token)).plan, 'gold');
  await web.revoke(renewed.refresh_token, 'refresh_token');
  await refused(renewed);
});

test('where Keycloak rotates refresh tokens, one that was used is worth nothing', async () => {
  await world.keycloak.admin('PUT', '/tg', { revokeRefreshToken: true, refreshTokenMaxReuse: 0 });
  try {
    const first = await logIn();
    const second = await web.refresh(first);
    await assertPlan(second, 1);
    await refused(first);
    await refused(second);
  } finally {
    await world.keycloak.admin('PUT', '/tg', { revokeRefreshToken: false });
  }
});

describe('the refresh token that the client holds', () => {
  test('is introspected', async () => {
    const own = await svc.grant('password', { username: 'bob', password: world.secretOf('bob'), scope: 'openid' });
    assert.ok(own.refresh_token.startsWith('tg1.'));
    // Keycloak takes every token for an access token unless it is told otherwise.
    const answer = await oidc.tokenIntrospection(svc.config, own.refresh_token, { token_type_hint: 'refresh_token' });
    assert.deepEqual([answer.active, answer.plan, answer.typ], [true, undefined, 'Refresh']);
  });

  test('is revoked, and the session with it', async () => {
    const tokens = await logIn();
    const { sid } = claimsOf(tokens.access_token);
    await web.revoke(tokens.refresh_token, 'refresh_token');
    assert.equal(await world.keycloak.hasSession('bob', sid), false);
    await refused(tokens);
    assert.equal((await svc.introspect(tokens.refresh_token)).active, false);
  });

  test('ends the session at the logout endpoint', async () => {
    const tokens = await logIn();
    const { sid } = claimsOf(tokens.access_token);
    const answer = await world.post(paths.logout, { client_id: 'web', refresh_token: tokens.refresh_token });
    assert.equal(answer.status, 204, answer.text);
    assert.equal(await world.keycloak.hasSession('bob', sid), false);
    await refused(tokens);
  });

  test('is nobody else\'s: another client is refused before Keycloak is asked', async () => {
    const tokens = await logIn();
    const mark = world.hop.exchanges.length;
    const answer = await world.post(paths.token, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }, { Authorization: basic('svc') });
    assert.equal(answer.status, 400, answer.text);
    assert.equal(answer.json.error, 'invalid_grant');
    assert.equal(world.hop.exchanges.length, mark);
  });

  test('is worth nothing past Tollgate', async () => {
    const tokens = await logIn();
    const answer = await world.keycloak.post('/token', { grant_type: 'refresh_token', client_id: 'web', refresh_token: tokens.refresh_token });
    assert.equal(answer.json.error, 'invalid_grant');
  });

  test('works at another Tollgate with the same keys, and after a restart', async () => {
    const tokens = await logIn();
    world.hooks.answer('Plan', deny('No.'));
    const [port] = await freePorts(1);
    const { tollgate } = world;
    const other = new Tollgate(join(world.folder, 'replica'), {
      ...tollgate.options,
      port,
      interceptors: tollgate.options.interceptors.map((table) => ({ ...table, secret: { file: join(world.folder, 'hook.key') } })),
      sections: {
        listen: { public_url: tollgate.origin, names: [`127.0.0.1:${port}`] },
        tokens: { keys: join(world.folder, 'certs/signing'), capsule_secret: { file: join(world.folder, 'certs/capsule.key') } },
      },
    });
    await other.start();
    let answer;
    try {
      answer = await refresh(other.origin, tokens.refresh_token);
    } finally {
      await other.stop();
    }
    const renewed = world.keep(answer.json);
    assert.equal((await web.verify(renewed.access_token)).plan, 'gold');
    await world.tollgate.stop();
    await world.tollgate.start();
    await assertPlan(await web.refresh(renewed), 1);
  });
});
