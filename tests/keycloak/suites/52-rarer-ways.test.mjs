// The rarer ways by which a session, a token or an account comes out of Keycloak: each is asked about and its tokens are signed again, or it is refused.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { secretOf } from '../realm.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { Keys } from '../lib/leaks.mjs';
import { claimsOf, headerOf, Party } from '../lib/party.mjs';
import { Provider } from '../lib/provider.mjs';
import { firstForm, registration } from '../lib/visitor.mjs';
import { form, send } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const json = { 'Content-Type': 'application/json' };
const message = 'Not today.';

let world;
let keys;
let web;
let elsewhere;

before(async () => {
  world = await World.open('rarer-ways');
  keys = await Keys.of(world);
  web = await Party.of(world, 'web');
  elsewhere = await Provider.open();
  await made('/tg/identity-provider/instances', elsewhere.representation('elsewhere', { jwtAuthorizationGrantEnabled: 'true' }));
  const redirectUris = [`${world.rp}/*`];
  await made('/tg/clients', { clientId: 'consent', publicClient: true, implicitFlowEnabled: true, consentRequired: true, redirectUris });
  await made('/tg/clients', {
    clientId: 'assertive', secret: secretOf('assertive'), redirectUris,
    attributes: { 'oauth2.jwt.authorization.grant.enabled': 'true', 'oauth2.jwt.authorization.grant.idp': 'elsewhere##partner' },
  });
});
after(async () => {
  if (world) {
    await world.keycloak.admin('DELETE', '/tg/identity-provider/instances/elsewhere');
    for (const clientId of ['consent', 'assertive']) {
      const [client] = (await world.keycloak.admin('GET', `/tg/clients?clientId=${clientId}`)).json;
      if (client) await world.keycloak.admin('DELETE', `/tg/clients/${client.id}`);
    }
  }
  elsewhere?.close();
  await world?.close();
});
beforeEach(() => {
  for (const name of ['Signup', 'Session', 'Invitation', 'Machine']) world.hooks.answer(name, allow(name === 'Session' || name === 'Machine' ? { claims: { plan: 'gold' } } : {}));
});

async function made(path, representation) {
  const answer = await world.keycloak.admin('POST', path, representation);
  assert.ok([201, 204, 409].includes(answer.status), answer.text);
}

/** The interceptors that were asked while `act` ran, by trigger, and what came of it. */
async function asked(act) {
  const mark = world.hooks.calls.length;
  const outcome = await act();
  return { outcome, triggers: world.hooks.calls.slice(mark).map(({ event }) => event.trigger_point) };
}

const assertClean = (answer) => assert.deepEqual(keys.foreignIn(answer).map(({ header }) => header), []);
const authorization = (parameters) => ({ client_id: 'web', redirect_uri: world.redirect, scope: 'openid', nonce: 'n-0S6_WzA2Mj', state: 'af0ifjsldkj', response_type: 'id_token token', ...parameters });
const authorize = (parameters) => `${world.origin}${paths.auth}?${form(authorization(parameters))}`;

/** The tokens at the relying party, in the fragment where a front-channel response ends. */
async function assertGold(answer, audience = 'web') {
  assertClean(answer);
  const response = new URLSearchParams(answer.location?.hash.slice(1));
  const tokens = { access_token: response.get('access_token'), id_token: response.get('id_token') };
  assert.ok(tokens.access_token && tokens.id_token, `${answer.status} ${answer.location ?? answer.text.replace(/<[^>]*>/g, ' ').slice(0, 600)}`);
  assert.equal((await web.verify(tokens.access_token)).plan, 'gold');
  assert.equal((await web.verify(tokens.id_token, { audience })).plan, 'gold');
  return tokens;
}

/** Both forms of a login. */
async function typeIn(visitor, page, username) {
  const next = await visitor.submit(firstForm(page.text), { username });
  return /name="password"/.test(next.text) ? visitor.submit(firstForm(next.text), { username, password: world.secretOf(username) }) : next;
}

/** Logs in at the other provider and comes back to the front door; the page that this leads to. */
async function comeBack(visitor, page, person) {
  elsewhere.person = person;
  assert.equal(page.location?.origin, elsewhere.issuer, page.text.slice(0, 300));
  const gone = await fetch(page.location, { redirect: 'manual' });
  return visitor.open(gone.headers.get('location'));
}

const link = async (username, alias, userId) => {
  const { id } = await world.keycloak.user(username);
  await made(`/tg/users/${id}/federated-identity/${alias}`, { identityProvider: alias, userId, userName: userId });
  return () => world.keycloak.admin('DELETE', `/tg/users/${id}/federated-identity/${alias}`);
};

describe('assertions of another provider (RFC 7523)', () => {
  const assert_ = (assertion) => world.post(paths.token, { grant_type: jwtBearer, assertion, scope: 'openid' }, { Authorization: basic('assertive') });

  test('give tokens of the linked user, which are asked about and signed again', async () => {
    await link('bob', 'elsewhere', 'bob-elsewhere');
    const assertion = () => elsewhere.sign({ sub: 'bob-elsewhere', aud: world.issuer });
    const { outcome, triggers } = await asked(async () => assert_(await assertion()));
    assert.equal(outcome.status, 200, outcome.text);
    assertClean(outcome);
    assert.deepEqual(triggers, ['PRE_SESSION_CREATION']);
    const { interceptor_context: context, data } = world.hooks.calls.at(-1).event;
    assert.deepEqual([context.grant_type, context.client_id, data.user.email], [jwtBearer, 'assertive', 'bob@example.org']);
    for (const name of ['access_token', 'id_token']) if (outcome.json[name]) assert.equal((await web.verify(outcome.json[name])).plan, 'gold');
    world.hooks.answer('Session', deny(message));
    assert.deepEqual((await assert_(await assertion())).json, { error: 'access_denied', error_description: message });
  });

  test('of somebody who is not linked are the upstream\'s to refuse', async () => {
    const { outcome, triggers } = await asked(async () => assert_(await elsewhere.sign({ sub: 'nobody', aud: world.issuer })));
    assert.deepEqual([outcome.json.error, triggers], ['invalid_grant', []]);
  });
});
