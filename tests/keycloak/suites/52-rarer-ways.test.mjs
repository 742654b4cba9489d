// The rarer ways by which a session, a token or an account comes out of Keycloak: each is asked about and its tokens are signed again, or it is refused.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { secretOf } from '../realm.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { Keys } from '../lib/leaks.mjs';
import { claimsOf, headerOf, Party } from '../lib/party.mjs';
import { Provider } from '../lib/provider.mjs';
import { linkIn } from '../lib/smtp.mjs';
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
const clients = [];

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
    for (const path of clients) await world.keycloak.admin('DELETE', path);
  }
  elsewhere?.close();
  await world?.close();
});
beforeEach(() => {
  for (const name of ['Signup', 'Session', 'Invitation', 'Machine']) world.hooks.answer(name, allow(name === 'Session' || name === 'Machine' ? { claims: { plan: 'gold' } } : {}));
});

/** Makes something by the admin API; clients are taken away again at the end. */
async function made(path, representation) {
  const answer = await world.keycloak.admin('POST', path, representation);
  assert.ok([201, 204].includes(answer.status), answer.text);
  if (path.endsWith('/clients')) clients.push(new URL(answer.header('location')).pathname.replace('/admin/realms', ''));
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
  const present = (assertion) => world.post(paths.token, { grant_type: jwtBearer, assertion, scope: 'openid' }, { Authorization: basic('assertive') });

  test('give tokens of the linked user, which are asked about and signed again', async () => {
    await link('bob', 'elsewhere', 'bob-elsewhere');
    const assertion = () => elsewhere.sign({ sub: 'bob-elsewhere', aud: world.issuer });
    const { outcome, triggers } = await asked(async () => present(await assertion()));
    assert.equal(outcome.status, 200, outcome.text);
    assertClean(outcome);
    assert.deepEqual(triggers, ['PRE_SESSION_CREATION']);
    const { interceptor_context: context, data } = world.hooks.calls.at(-1).event;
    assert.deepEqual([context.grant_type, context.client_id, data.user.email], [jwtBearer, 'assertive', 'bob@example.org']);
    for (const name of ['access_token', 'id_token']) if (outcome.json[name]) assert.equal((await web.verify(outcome.json[name])).plan, 'gold');
    world.hooks.answer('Session', deny(message));
    assert.deepEqual((await present(await assertion())).json, { error: 'access_denied', error_description: message });
  });

  test('of somebody who is not linked are the upstream\'s to refuse', async () => {
    const { outcome, triggers } = await asked(async () => present(await elsewhere.sign({ sub: 'nobody', aud: world.issuer })));
    assert.deepEqual([outcome.json.error, triggers], ['invalid_grant', []]);
  });

  test('that Tollgate signed again, since the other provider is a realm behind it too, are mapped back', async () => {
    const partner = (await world.keycloak.admin('GET', '/tg/identity-provider/instances/partner')).json;
    partner.config.jwtAuthorizationGrantEnabled = 'true';
    assert.equal((await world.keycloak.admin('PUT', '/tg/identity-provider/instances/partner', partner)).status, 204);
    const mapper = { name: 'aud', protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper', config: { 'included.custom.audience': world.issuer, 'access.token.claim': 'true' } };
    await made('/partner/clients', { clientId: 'asserting', publicClient: true, directAccessGrantsEnabled: true, fullScopeAllowed: false, protocolMappers: [mapper] });
    const fields = { grant_type: 'password', client_id: 'asserting', username: 'nora', password: world.canaries.add('password', secretOf('nora')), scope: 'openid' };
    const mark = world.hop.exchanges.length;
    const login = await world.post('/realms/partner/protocol/openid-connect/token', fields);
    assert.equal(login.status, 200, login.text);
    const native = world.hop.tokens(mark)[0].access_token;
    const unlink = await link('bob', 'partner', claimsOf(login.json.access_token).sub);
    const answer = await present(login.json.access_token);
    assert.equal(answer.status, 200, answer.text);
    assertClean(answer);
    assert.equal((await web.verify(answer.json.access_token)).plan, 'gold');
    // The realm's own is refused before Keycloak sees it.
    const { outcome, triggers } = await asked(() => present(native));
    assert.deepEqual([outcome.status, triggers], [401, []], outcome.text);
    await unlink();
  });
});

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
    const { outcome, triggers } = await asked(async () => {
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

  test('the way back from another provider, for the first time and again', async () => {
    for (const triggers of [['PRE_SESSION_CREATION'], ['PRE_SESSION_CREATION']]) {
      const visitor = world.visitor();
      const person = { sub: `nina-${world.tag}`, email: `nina-${world.tag}@elsewhere.example`, preferred_username: `nina-${world.tag}`, given_name: 'Nina', family_name: 'Elsewhere' };
      const found = await asked(async () => comeBack(visitor, await visitor.open(authorize({ kc_idp_hint: 'elsewhere' })), person));
      await assertGold(found.outcome);
      assert.deepEqual(found.triggers, triggers);
    }
    await world.keycloak.removeUser(`nina-${world.tag}`);
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

describe('sessions without a login', () => {
  test('of an administrator in the place of a user: its tokens are asked about like any', async () => {
    const admin = await web.logIn('alice');
    const { id } = await world.keycloak.user('bob');
    const visitor = world.visitor();
    const impersonated = await visitor.send({ method: 'POST', target: `${paths.users}/${id}/impersonation`, headers: { Authorization: `Bearer ${admin.access_token}`, ...json }, body: '{}' });
    assert.equal(impersonated.status, 200, impersonated.text);
    assertClean(impersonated);
    const { outcome, triggers } = await asked(() => visitor.open(authorize({})));
    const { access_token: token } = await assertGold(outcome);
    assert.equal(claimsOf(token).preferred_username, 'bob');
    assert.deepEqual(triggers, ['PRE_SESSION_CREATION']);
    assert.equal(world.hooks.calls.at(-1).event.data.user.email, 'bob@example.org');
    world.hooks.answer('Session', deny(message));
    const denied = await visitor.open(authorize({}));
    assertClean(denied);
    assert.equal(new URLSearchParams(denied.location.hash.slice(1)).get('error'), 'access_denied');
    // Keycloak takes no such request from somebody without the role.
    world.hooks.answer('Session', allow());
    const bob = await web.logIn('bob');
    const refused = await world.send({ method: 'POST', target: `${paths.users}/${id}/impersonation`, headers: { Authorization: `Bearer ${bob.access_token}`, ...json }, body: '{}' });
    assert.equal(refused.status, 403, refused.text);
  });

  test('a link to another provider\'s account makes no account', async () => {
    const visitor = world.visitor();
    await web.logIn('carol', visitor);
    const before = (await world.keycloak.users()).length;
    const { outcome, triggers } = await asked(async () => {
      const page = await visitor.open(authorize({ kc_action: 'idp_link:elsewhere' }));
      const agreed = page.location ? page : await visitor.submit(firstForm(page.text), {});
      return comeBack(visitor, agreed, { sub: `carol-${world.tag}`, email: 'carol@elsewhere.example' });
    });
    await assertGold(outcome);
    assert.deepEqual(triggers, ['PRE_SESSION_CREATION']);
    const { id } = await world.keycloak.user('carol');
    const linked = (await world.keycloak.admin('GET', `/tg/users/${id}/federated-identity`)).json;
    assert.deepEqual(linked.map(({ identityProvider }) => identityProvider), ['elsewhere']);
    assert.equal((await world.keycloak.users()).length, before);
    await world.keycloak.admin('DELETE', `/tg/users/${id}/federated-identity/elsewhere`);
  });
});

describe('tokens that Keycloak keeps of other providers', () => {
  const stored = async (alias, tokens) => world.send({ target: `/realms/tg/broker/${alias}/token`, headers: { Authorization: `Bearer ${tokens.access_token}` } });

  test('of a provider that is no realm here pass: they are that provider\'s', async () => {
    const name = `olga-${world.tag}`;
    const visitor = world.visitor();
    const page = await comeBack(visitor, await visitor.open(authorize({ kc_idp_hint: 'elsewhere' })), { sub: name, email: `${name}@elsewhere.example`, preferred_username: name, given_name: 'Olga', family_name: 'Elsewhere' });
    const answer = await stored('elsewhere', await assertGold(page));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.access_token, elsewhere.issued);
    await world.keycloak.removeUser(name);
  });

  describe('of a realm that is behind Tollgate too', () => {
    let partner;
    before(async () => {
      partner = (await world.keycloak.admin('GET', '/tg/identity-provider/instances/partner')).json;
    });
    after(() => world.keycloak.admin('PUT', '/tg/identity-provider/instances/partner', partner));

    /** Somebody comes from the realm `partner`, whose tokens Keycloak fetches at this address; their browser and their tokens. */
    async function arrive(username, address) {
      const endpoints = (origin) => ({ tokenUrl: `${origin}/token`, userInfoUrl: `${origin}/userinfo`, jwksUrl: `${origin}/certs` });
      const config = { ...partner.config, ...endpoints(`${address}/realms/partner/protocol/openid-connect`), logoutUrl: `${world.origin}/realms/partner/protocol/openid-connect/logout` };
      const saved = await world.keycloak.admin('PUT', '/tg/identity-provider/instances/partner', { ...partner, storeToken: true, addReadTokenRoleOnCreate: true, config });
      assert.equal(saved.status, 204, saved.text);
      const visitor = world.visitor();
      const page = await visitor.open(authorize({ kc_idp_hint: 'partner' }));
      const back = await visitor.submit(firstForm(page.text), { username, password: world.canaries.add('password', secretOf(username)) });
      return { visitor, tokens: await assertGold(back) };
    }
    const logoutUrl = ({ id_token: hint }) => `${world.origin}${paths.logout}?${form({ id_token_hint: hint, post_logout_redirect_uri: `${world.rp}/bye` })}`;

    test('are signed again where the two realms talk through Tollgate, and a logout ends both sessions', async () => {
      const { visitor, tokens } = await arrive('lena', world.origin);
      const answer = await stored('partner', tokens);
      assertClean(answer);
      assert.equal(answer.status, 200, answer.text);
      assert.equal((await web.verify(answer.json.access_token, { issuer: world.issuer.replace('/tg', '/partner') })).plan, 'gold');
      const gone = await visitor.open(logoutUrl(tokens));
      assert.equal(gone.location?.href.split('?')[0], `${world.rp}/bye`, gone.text.slice(0, 300));
      const again = await visitor.open(authorize({ kc_idp_hint: 'partner' }));
      assert.match(again.text, /name="password"/);
      await world.keycloak.removeUser('lena');
    });

    test('are stopped where the realms talk past it: nobody was asked about them', async () => {
      const { visitor, tokens } = await arrive('mona', world.keycloak.url);
      const answer = await stored('partner', tokens);
      assertClean(answer);
      assert.equal(answer.status, 502, answer.text);
      // Keycloak hands one to the browser, for the logout at the other realm.
      const gone = await visitor.get(logoutUrl(tokens));
      assertClean(gone);
      assert.equal(gone.status, 502);
      await world.keycloak.removeUser('mona');
    });
  });
});

describe('accounts and clients by other doors', () => {
  let admin;
  before(async () => {
    admin = { Authorization: `Bearer ${(await web.logIn('alice')).access_token}` };
  });
  const idOf = async (clientId) => (await world.keycloak.admin('GET', `/tg/clients?clientId=${encodeURIComponent(clientId)}`)).json[0].id;

  test('the registration form of a pushed request', async () => {
    for (const [answer, triggers] of [[deny(message), ['PRE_SIGNUP']], [allow(), ['PRE_SIGNUP', 'PRE_SESSION_CREATION']]]) {
      const name = `pushed-${world.tag}`;
      const pushed = await world.post(`${paths.protocol}/ext/par/request`, authorization({ prompt: 'create' }));
      assert.equal(pushed.status, 201, pushed.text);
      const visitor = world.visitor();
      const page = await visitor.open(`${world.origin}${paths.auth}?${form({ client_id: 'web', request_uri: pushed.json.request_uri })}`);
      world.hooks.answer('Signup', answer);
      const found = await asked(() => visitor.submit(firstForm(page.text), registration(name, world.secretOf(name))));
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
    await made('/tg/clients', { clientId: 'scim', secret: secretOf('scim'), serviceAccountsEnabled: true, protocolMappers: [mapper] });
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
    const { outcome, triggers } = await asked(create);
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
      const { outcome, triggers } = await asked(mail);
      assert.deepEqual([outcome.status, triggers], [204, ['PRE_USER_INVITATION']], `${kind} ${outcome.text}`);
      assert.equal(world.mailbox.to('bob@example.org').length, mark + 1);
    }
  });

  test('a client with a service account: its first token is asked about', async () => {
    const clientId = `made-${world.tag}`;
    const secret = world.canaries.add('client secret', secretOf(clientId));
    const client = await world.send({ method: 'POST', target: '/admin/realms/tg/clients', headers: { ...admin, ...json }, body: JSON.stringify({ clientId, secret, serviceAccountsEnabled: true }) });
    assert.equal(client.status, 201, client.text);
    clients.push(`/tg/clients/${await idOf(clientId)}`);
    const { outcome, triggers } = await asked(() => world.post(paths.token, { grant_type: 'client_credentials', client_id: clientId, client_secret: secret }));
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
    clients.push(`/tg/clients/${await idOf(registered.json.client_id)}`);
  });

  test('what the console shows of tokens is nothing that anybody could present', async () => {
    const { id } = await world.keycloak.user('bob');
    const client = await idOf('svc');
    for (const kind of ['access-token', 'id-token', 'userinfo']) {
      const { outcome, triggers } = await asked(() => world.send({ target: `/admin/realms/tg/clients/${client}/evaluate-scopes/generate-example-${kind}?scope=openid&userId=${id}`, headers: admin }));
      assert.deepEqual([outcome.status, outcome.json.email, triggers], [200, 'bob@example.org', []], outcome.text);
      assert.deepEqual([keys.foreignIn(outcome), /eyJ/.test(outcome.text)], [[], false]);
    }
    // Keycloak takes its time for the key pair that it makes for a SAML client by default.
    const clientId = `https://${world.tag}.example/`;
    await made('/tg/clients', { clientId, protocol: 'saml', attributes: { 'saml.client.signature': 'false', saml_assertion_consumer_url_post: `${clientId}acs` } });
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
  const type = (name) => `urn:ietf:params:oauth:token-type:${name}`;

  test('a permission ticket that a client asks for itself', async () => {
    const { outcome, triggers } = await asked(() => world.post(paths.token, { grant_type: uma, audience: 'svc' }, { Authorization: basic('svc') }));
    assert.equal(outcome.status, 200, outcome.text);
    assertClean(outcome);
    assert.equal((await web.verify(outcome.json.access_token)).plan, 'gold');
    assert.equal(triggers.length, 1);
    for (const mode of ['decision', 'permissions']) {
      const answer = await asked(() => world.post(paths.token, { grant_type: uma, audience: 'svc', response_mode: mode }, { Authorization: basic('svc') }));
      assert.deepEqual([answer.outcome.status, answer.triggers], [200, []], answer.outcome.text);
    }
  });

  test('token exchange into each type that Keycloak has', async () => {
    const login = await world.post(paths.token, { grant_type: 'password', username: 'bob', password: world.secretOf('bob'), scope: 'openid' }, { Authorization: basic('svc') });
    const ask = (extra) => asked(() => world.post(paths.token, { grant_type: exchange, subject_token: login.json.access_token, subject_token_type: type('access_token'), ...extra }, { Authorization: basic('svc') }));
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
    for (const [subject, of] of [[login.json.id_token, 'id_token'], [login.json.refresh_token, 'refresh_token'], [await elsewhere.sign({ sub: 'bob-elsewhere', aud: world.issuer }), 'jwt']]) {
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
