// The rarer ways by which a session, a token or an account comes out of Keycloak: each is asked about and its tokens are signed again, or it is refused.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import * as jose from 'jose';

import { secretOf } from '../realm.mjs';
import { frontChannel } from '../lib/front-channel.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { Keys } from '../lib/leaks.mjs';
import { claimsOf, inFragment, Party } from '../lib/party.mjs';
import { linkIn } from '../lib/smtp.mjs';
import { firstForm, registration } from '../lib/visitor.mjs';
import { form, send } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const json = { 'Content-Type': 'application/json' };
const message = 'Not today.';

let world;
let keys;
let web;
let assertClean;
let assertGold;
let authorization;
let authorize;
/** What was made by the admin API and is taken away again, by its path there. */
const made = [];

before(async () => {
  world = await World.open('rarer-ways');
  keys = await Keys.of(world);
  web = await Party.of(world, 'web');
  ({ assertClean, assertGold, authorization, authorize } = frontChannel(world, keys, web));
  made.push(await world.keycloak.make('/tg/clients', { clientId: 'consent', publicClient: true, implicitFlowEnabled: true, consentRequired: true, redirectUris: [`${world.rp}/*`] }));
});
after(async () => {
  for (const path of made) await world.keycloak.admin('DELETE', path);
  await world?.close();
});
beforeEach(() => {
  for (const name of ['Signup', 'Invitation']) world.hooks.answer(name, allow());
  for (const name of ['Session', 'Machine']) world.hooks.answer(name, allow({ claims: { plan: 'gold' } }));
});

/** Both forms of a login. */
async function typeIn(visitor, page, username) {
  const next = await visitor.submit(firstForm(page.text), { username });
  return /name="password"/.test(next.text) ? visitor.submit(firstForm(next.text), { username, password: world.secretOf(username) }) : next;
}

describe('tokens in the front channel, whatever page came last', () => {
  test('the consent page', async () => {
    const visitor = world.visitor();
    const page = await typeIn(visitor, await visitor.open(authorize({ client_id: 'consent' })), 'bob');
    assert.match(firstForm(page.text).path, /login-actions\/consent/);
    await assertGold(await visitor.submit(firstForm(page.text), { accept: 'Yes' }), 'consent');
  });

  test('required actions, which ask nobody about a signup though their forms look like one', async () => {
    const user = await world.keycloak.user('carol');
    await world.keycloak.admin('PUT', `/tg/users/${user.id}`, { ...user, requiredActions: ['UPDATE_PROFILE', 'UPDATE_PASSWORD'] });
    const { outcome, triggers } = await world.hooks.during(async () => {
      const visitor = world.visitor();
      let page = await typeIn(visitor, await visitor.open(authorize({})), 'carol');
      for (let pages = 0; !page.location && pages < 3; pages += 1) {
        const password = secretOf('carol');
        const typed = /password-new/.test(page.text) ? { 'password-new': password, 'password-confirm': password } : { username: 'carol', email: 'carol@example.org', firstName: 'Carol', lastName: 'Changed' };
        page = await visitor.submit(firstForm(page.text), typed);
      }
      return page;
    });
    await assertGold(outcome);
    assert.deepEqual(triggers, ['PRE_SESSION_CREATION']);
    assert.equal((await world.keycloak.user('carol')).lastName, 'Changed');
  });

  test('a password that was forgotten', async () => {
    const visitor = world.visitor();
    const { client_id, tab_id, client_data } = Object.fromEntries(new URLSearchParams(firstForm((await visitor.open(authorize({}))).text).query));
    await visitor.submit(firstForm((await visitor.open(`${paths.actions}/reset-credentials?${form({ client_id, tab_id, client_data })}`)).text), { username: 'bob' });
    const page = await visitor.open(linkIn(world.mailbox.to('bob@example.org').at(-1)));
    const password = world.secretOf('bob');
    await assertGold(await visitor.submit(firstForm(page.text), { 'password-new': password, 'password-confirm': password }));
  });
});

test('the session that an administrator opens in the place of a user: its tokens are asked about like any, and a mapper tells who it is', async () => {
  const mapper = { name: 'impersonator', protocol: 'openid-connect', protocolMapper: 'oidc-usersessionmodel-note-mapper', config: { 'user.session.note': 'IMPERSONATOR_USERNAME', 'claim.name': 'impersonator', 'jsonType.label': 'String', 'access.token.claim': 'true' } };
  const client_id = 'impersonated';
  made.push(await world.keycloak.make('/tg/clients', { clientId: client_id, publicClient: true, implicitFlowEnabled: true, redirectUris: [`${world.rp}/*`], protocolMappers: [mapper] }));
  const admin = await web.logIn('alice');
  const { id } = await world.keycloak.user('bob');
  const visitor = world.visitor();
  const impersonated = await visitor.send({ method: 'POST', target: `${paths.users}/${id}/impersonation`, headers: { Authorization: `Bearer ${admin.access_token}`, ...json }, body: '{}' });
  assert.equal(impersonated.status, 200, impersonated.text);
  assertClean(impersonated);
  const { outcome, triggers } = await world.hooks.during(() => visitor.open(authorize({ client_id })));
  const { access_token: token } = await assertGold(outcome, client_id);
  assert.equal(claimsOf(token).preferred_username, 'bob');
  assert.deepEqual(triggers, ['PRE_SESSION_CREATION']);
  const { user, claims } = world.hooks.calls.at(-1).event.data;
  assert.deepEqual([user.email, claims.access_token.impersonator], ['bob@example.org', 'alice']);
  world.hooks.answer('Session', deny(message));
  const denied = await visitor.open(authorize({ client_id }));
  assertClean(denied);
  assert.equal(inFragment(denied).error, 'access_denied');
  // Keycloak takes no such request from somebody without the role.
  world.hooks.answer('Session', allow());
  const bob = await web.logIn('bob');
  const refused = await world.send({ method: 'POST', target: `${paths.users}/${id}/impersonation`, headers: { Authorization: `Bearer ${bob.access_token}`, ...json }, body: '{}' });
  assert.equal(refused.status, 403, refused.text);
});

describe('accounts and clients by other doors', () => {
  let admin;
  before(async () => {
    admin = { Authorization: `Bearer ${(await web.logIn('alice')).access_token}` };
  });
  const idOf = async (clientId) => (await world.keycloak.client(clientId)).id;

  test('the registration form of a pushed request', async () => {
    for (const [answer, triggers] of [[deny(message), ['PRE_SIGNUP']], [allow(), ['PRE_SIGNUP', 'PRE_SESSION_CREATION']]]) {
      const name = `pushed-${world.tag}`;
      const pushed = await world.post(`${paths.protocol}/ext/par/request`, authorization({ prompt: 'create' }));
      assert.equal(pushed.status, 201, pushed.text);
      const visitor = world.visitor();
      const page = await visitor.open(`${world.origin}${paths.auth}?${form({ client_id: 'web', request_uri: pushed.json.request_uri })}`);
      world.hooks.answer('Signup', answer);
      const found = await world.hooks.during(() => visitor.submit(firstForm(page.text), registration(name, world.secretOf(name))));
      assert.deepEqual(found.triggers, triggers);
      assertClean(found.outcome);
      assert.equal(Boolean(await world.keycloak.user(name)), triggers.length === 2);
      await world.keycloak.removeUser(name);
    }
  });

  test('SCIM', async () => {
    const realm = (await world.keycloak.admin('GET', '/tg')).json;
    await world.keycloak.admin('PUT', '/tg', { ...realm, scimApiEnabled: true });
    const mapper = { name: 'aud', protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper', config: { 'included.custom.audience': `${world.issuer}/scim/v2`, 'access.token.claim': 'true' } };
    made.push(await world.keycloak.make('/tg/clients', { clientId: 'scim', secret: secretOf('scim'), serviceAccountsEnabled: true, protocolMappers: [mapper] }));
    const account = (await world.keycloak.admin('GET', `/tg/clients/${await idOf('scim')}/service-account-user`)).json;
    const management = await idOf('realm-management');
    const role = (await world.keycloak.admin('GET', `/tg/clients/${management}/roles/manage-users`)).json;
    await world.keycloak.admin('POST', `/tg/users/${account.id}/role-mappings/clients/${management}`, [role]);
    const machine = await world.post(paths.token, { grant_type: 'client_credentials' }, { Authorization: basic('scim') });
    const userName = `scim-${world.tag}`;
    const body = JSON.stringify({ schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName, emails: [{ value: `${userName}@example.org`, primary: true }], name: { givenName: 'Scim', familyName: 'Test' } });
    const create = () => world.send({ method: 'POST', target: '/realms/tg/scim/v2/Users', headers: { Authorization: `Bearer ${machine.json.access_token}`, 'Content-Type': 'application/scim+json' }, body });
    world.hooks.answer('Invitation', deny(message));
    const denied = await create();
    assert.deepEqual([denied.status, denied.json.detail, await world.keycloak.user(userName)], [403, message, undefined]);
    world.hooks.answer('Invitation', allow());
    const { outcome, triggers } = await world.hooks.during(create);
    assert.deepEqual([outcome.status, triggers], [201, ['PRE_USER_INVITATION']], outcome.text);
    assert.equal(world.hooks.calls.at(-1).event.data.user.email, `${userName}@example.org`);
    assert.ok(await world.keycloak.user(userName));
    await world.keycloak.removeUser(userName);
  });

  test('mails that lead to an account, by whichever name', async () => {
    const { id } = await world.keycloak.user('bob');
    for (const kind of ['execute-actions-email', 'reset-password-email', 'send-verify-email']) {
      const mark = world.mailbox.to('bob@example.org').length;
      const mail = () => world.send({ method: 'PUT', target: `${paths.users}/${id}/${kind}`, headers: { ...admin, ...json }, body: kind.startsWith('execute') ? '["UPDATE_PASSWORD"]' : '' });
      world.hooks.answer('Invitation', deny(message));
      const denied = await mail();
      assert.deepEqual([denied.status, denied.json.errorMessage], [403, message], kind);
      assert.equal(world.mailbox.to('bob@example.org').length, mark);
      world.hooks.answer('Invitation', allow());
      const { outcome, triggers } = await world.hooks.during(mail);
      assert.deepEqual([outcome.status, triggers], [204, ['PRE_USER_INVITATION']], `${kind} ${outcome.text}`);
      assert.equal(world.mailbox.to('bob@example.org').length, mark + 1);
    }
  });

  test('a client with a service account: its first token is asked about', async () => {
    const clientId = `made-${world.tag}`;
    const secret = world.canaries.add('client secret', secretOf(clientId));
    const client = await world.send({ method: 'POST', target: '/admin/realms/tg/clients', headers: { ...admin, ...json }, body: JSON.stringify({ clientId, secret, serviceAccountsEnabled: true }) });
    assert.equal(client.status, 201, client.text);
    made.push(`/tg/clients/${await idOf(clientId)}`);
    const { outcome, triggers } = await world.hooks.during(() => world.post(paths.token, { grant_type: 'client_credentials', client_id: clientId, client_secret: secret }));
    assert.equal((await web.verify(outcome.json.access_token)).plan, 'gold');
    assert.deepEqual(triggers, ['PRE_M2M_TOKEN_CREATION']);
  });

  test('an initial access token, which is the upstream\'s note to itself, registers a client', async () => {
    const initial = await world.send({ method: 'POST', target: '/admin/realms/tg/clients-initial-access', headers: { ...admin, ...json }, body: '{"count":1,"expiration":60}' });
    const token = world.canaries.add('initial access token', initial.json.token);
    const client = { client_name: 'Initial', redirect_uris: [world.redirect] };
    const registered = await world.send({ method: 'POST', target: '/realms/tg/clients-registrations/openid-connect', headers: { Authorization: `Bearer ${token}`, ...json }, body: JSON.stringify(client) });
    assert.equal(registered.status, 201, registered.text);
    assertClean(registered);
    made.push(`/tg/clients/${await idOf(registered.json.client_id)}`);
  });

  test('what the console shows of tokens is nothing that anybody could present', async () => {
    const { id } = await world.keycloak.user('bob');
    const client = await idOf('svc');
    for (const kind of ['access-token', 'id-token', 'userinfo']) {
      const { outcome, triggers } = await world.hooks.during(() => world.send({ target: `/admin/realms/tg/clients/${client}/evaluate-scopes/generate-example-${kind}?scope=openid&userId=${id}`, headers: admin }));
      assert.deepEqual([outcome.status, outcome.json.email, triggers], [200, 'bob@example.org', []], outcome.text);
      assert.deepEqual([keys.foreignIn(outcome), /eyJ/.test(outcome.text)], [[], false]);
    }
    // Keycloak takes its time for the key pair that it makes for a SAML client by default.
    const clientId = `https://${world.tag}.example/`;
    made.push(await world.keycloak.make('/tg/clients', { clientId, protocol: 'saml', attributes: { 'saml.client.signature': 'false', saml_assertion_consumer_url_post: `${clientId}acs` } }));
    const saml = await world.send({ target: `/admin/realms/tg/clients/${await idOf(clientId)}/evaluate-scopes/generate-example-saml-response?scope=openid&userId=${id}`, headers: admin });
    assert.match(saml.text, /saml:Assertion/);
    assert.doesNotMatch(saml.text, /Signature/);
    const evaluated = await world.send({ method: 'POST', target: `/admin/realms/tg/clients/${client}/authz/resource-server/policy/evaluate`, headers: { ...admin, ...json }, body: JSON.stringify({ userId: id, resources: [], context: { attributes: {} }, roleIds: [], entitlements: true }) });
    assert.equal(evaluated.status, 200, evaluated.text);
    assert.equal(evaluated.json.rpt.email, 'bob@example.org');
    assertClean(evaluated);
  });
});

describe('other grants', () => {
  const uma = 'urn:ietf:params:oauth:grant-type:uma-ticket';
  const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
  const stranger = async () => new jose.SignJWT({ iss: 'https://id.example.org', sub: 'bob' }).setProtectedHeader({ alg: 'RS256' }).setExpirationTime('2m').sign((await jose.generateKeyPair('RS256')).privateKey);
  const type = (name) => `urn:ietf:params:oauth:token-type:${name}`;

  test('a permission ticket that a client asks for itself', async () => {
    const { outcome, triggers } = await world.hooks.during(() => world.post(paths.token, { grant_type: uma, audience: 'svc' }, { Authorization: basic('svc') }));
    assert.equal(outcome.status, 200, outcome.text);
    assertClean(outcome);
    assert.equal((await web.verify(outcome.json.access_token)).plan, 'gold');
    assert.equal(triggers.length, 1);
    for (const mode of ['decision', 'permissions']) {
      const answer = await world.hooks.during(() => world.post(paths.token, { grant_type: uma, audience: 'svc', response_mode: mode }, { Authorization: basic('svc') }));
      assert.deepEqual([answer.outcome.status, answer.triggers], [200, []], answer.outcome.text);
    }
  });

  test('token exchange into each type that Keycloak has', async () => {
    const login = await world.post(paths.token, { grant_type: 'password', username: 'bob', password: world.secretOf('bob'), scope: 'openid' }, { Authorization: basic('svc') });
    const ask = (extra) => world.hooks.during(() => world.post(paths.token, { grant_type: exchange, subject_token: login.json.access_token, subject_token_type: type('access_token'), ...extra }, { Authorization: basic('svc') }));
    for (const requested of [undefined, 'access_token', 'refresh_token', 'id_token']) {
      const { outcome, triggers } = await ask({ scope: 'openid', ...(requested && { requested_token_type: type(requested) }) });
      assert.equal(outcome.status, 200, `${requested}: ${outcome.text}`);
      assertClean(outcome);
      assert.deepEqual(triggers, ['PRE_SESSION_CREATION'], requested);
      assert.equal((await web.verify(outcome.json.access_token)).plan, 'gold', requested);
      assert.equal(outcome.json.issued_token_type, type(requested ?? 'access_token'));
      assert.equal(claimsOf(outcome.json.access_token).typ, requested === 'id_token' ? 'ID' : 'Bearer');
      assert.equal('refresh_token' in outcome.json, requested === 'refresh_token');
    }
    for (const requested of ['jwt', 'saml1', 'saml2', 'unheard-of']) {
      const { outcome, triggers } = await ask({ requested_token_type: type(requested) });
      assert.deepEqual([outcome.status, typeof outcome.json.error_description, triggers], [400, 'string', []], `${requested}: ${outcome.text}`);
    }
    // What Keycloak does not take as a subject, it does not take from us either.
    for (const [subject, of] of [[login.json.id_token, 'id_token'], [login.json.refresh_token, 'refresh_token'], [await stranger(), 'jwt']]) {
      const { outcome, triggers } = await ask({ subject_token: subject, subject_token_type: type(of) });
      assert.deepEqual([outcome.status >= 400 && outcome.status < 500, triggers], [true, []], `${of}: ${outcome.text}`);
    }
  });

  test('credentials are refused, though the upstream would issue them', async () => {
    const refused = { error: 'unsupported_grant_type', error_description: 'credential issuance is not served through this proxy' };
    const answer = await world.post(paths.token, { grant_type: 'urn:ietf:params:oauth:grant-type:pre-authorized_code', 'pre-authorized_code': 'x' }, { Authorization: basic('svc') });
    assert.deepEqual([answer.status, answer.json], [400, refused]);
    const realm = (await world.keycloak.admin('GET', '/tg')).json;
    await world.keycloak.admin('PUT', '/tg', { ...realm, verifiableCredentialsEnabled: true });
    const { access_token: bearer } = await web.logIn('bob');
    for (const [method, target, status] of [
      ['POST', '/realms/tg/protocol/oid4vc/nonce', 200],
      ['POST', '/realms/tg/protocol/oid4vc/credential', 400],
      ['GET', '/realms/tg/protocol/oid4vc/create-credential-offer', 400],
      ['GET', '/realms/tg/.well-known/jwt-vc-issuer', 200],
      ['GET', '/.well-known/jwt-vc-issuer/realms/tg', 200],
      ['GET', '/realms/tg/.well-known/openid-credential-issuer', 200],
      ['GET', '/.well-known/openid-credential-issuer/realms/tg', 200],
    ]) {
      const direct = await send(world.keycloak.url, { method, target });
      const through = await world.send({ method, target, headers: { Authorization: `Bearer ${bearer}` } });
      assert.equal(direct.status, status, `${target}: ${direct.text}`);
      assert.deepEqual([through.status, through.json.error], [400, 'invalid_request'], target);
      assert.match(through.json.error_description, /through this proxy$/);
    }
    await world.keycloak.admin('PUT', '/tg', { ...realm, verifiableCredentialsEnabled: false });
  });
});
