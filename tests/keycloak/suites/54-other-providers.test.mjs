// Other providers: their assertions, logins, links and stored tokens, be they strangers or realms behind Tollgate, too.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { secretOf } from '../realm.mjs';
import { frontChannel } from '../lib/front-channel.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { Keys } from '../lib/leaks.mjs';
import { claimsOf, Party } from '../lib/party.mjs';
import { Provider } from '../lib/provider.mjs';
import { firstForm } from '../lib/visitor.mjs';
import { form } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const message = 'Not today.';

let world;
let keys;
let web;
let assertClean;
let assertGold;
let authorize;
let elsewhere;
/** What was made by the admin API and is taken away again, by its path there. */
const made = [];

before(async () => {
  world = await World.open('other-providers');
  keys = await Keys.of(world);
  web = await Party.of(world, 'web');
  ({ assertClean, assertGold, authorize } = frontChannel(world, keys, web));
  elsewhere = await Provider.open();
  made.push(await world.keycloak.make('/tg/identity-provider/instances', elsewhere.representation('elsewhere', { jwtAuthorizationGrantEnabled: 'true' })));
  const attributes = { 'oauth2.jwt.authorization.grant.enabled': 'true', 'oauth2.jwt.authorization.grant.idp': 'elsewhere##partner' };
  made.push(await world.keycloak.make('/tg/clients', { clientId: 'assertive', secret: secretOf('assertive'), redirectUris: [`${world.rp}/*`], attributes }));
});
after(async () => {
  for (const path of made) await world.keycloak.admin('DELETE', path);
  elsewhere?.close();
  await world?.close();
});
beforeEach(() => world.hooks.answer('Session', allow({ claims: { plan: 'gold' } })));

/** Logs in at the other provider and comes back to the front door; the page that this leads to. */
async function comeBack(visitor, page, person) {
  elsewhere.person = person;
  assert.equal(page.location?.origin, elsewhere.issuer, page.text.slice(0, 300));
  const gone = await fetch(page.location, { redirect: 'manual' });
  return visitor.open(gone.headers.get('location'));
}

const link = async (username, alias, userId) => {
  const { id } = await world.keycloak.user(username);
  await world.keycloak.make(`/tg/users/${id}/federated-identity/${alias}`, { identityProvider: alias, userId, userName: userId });
  return () => world.keycloak.admin('DELETE', `/tg/users/${id}/federated-identity/${alias}`);
};

describe('assertions of another provider (RFC 7523)', () => {
  const present = (assertion) => world.post(paths.token, { grant_type: jwtBearer, assertion, scope: 'openid' }, { Authorization: basic('assertive') });

  test('give tokens of the linked user, which are asked about and signed again', async () => {
    await link('bob', 'elsewhere', 'bob-elsewhere');
    const assertion = () => elsewhere.sign({ sub: 'bob-elsewhere', aud: world.issuer });
    const { outcome, triggers } = await world.hooks.during(async () => present(await assertion()));
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
    const { outcome, triggers } = await world.hooks.during(async () => present(await elsewhere.sign({ sub: 'nobody', aud: world.issuer })));
    assert.deepEqual([outcome.json.error, triggers], ['invalid_grant', []]);
  });

  test('that Tollgate signed again, since the other provider is a realm behind it too, are mapped back', async () => {
    const partner = (await world.keycloak.admin('GET', '/tg/identity-provider/instances/partner')).json;
    partner.config.jwtAuthorizationGrantEnabled = 'true';
    assert.equal((await world.keycloak.admin('PUT', '/tg/identity-provider/instances/partner', partner)).status, 204);
    const mapper = { name: 'aud', protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper', config: { 'included.custom.audience': world.issuer, 'access.token.claim': 'true' } };
    made.push(await world.keycloak.make('/partner/clients', { clientId: 'asserting', publicClient: true, directAccessGrantsEnabled: true, fullScopeAllowed: false, protocolMappers: [mapper] }));
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
    const { outcome, triggers } = await world.hooks.during(() => present(native));
    assert.deepEqual([outcome.status, triggers], [401, []], outcome.text);
    await unlink();
  });
});

test('the way back from another provider, for the first time and again', async () => {
  for (const triggers of [['PRE_SESSION_CREATION'], ['PRE_SESSION_CREATION']]) {
    const visitor = world.visitor();
    const person = { sub: `nina-${world.tag}`, email: `nina-${world.tag}@elsewhere.example`, preferred_username: `nina-${world.tag}`, given_name: 'Nina', family_name: 'Elsewhere' };
    const found = await world.hooks.during(async () => comeBack(visitor, await visitor.open(authorize({ kc_idp_hint: 'elsewhere' })), person));
    await assertGold(found.outcome);
    assert.deepEqual(found.triggers, triggers);
  }
  await world.keycloak.removeUser(`nina-${world.tag}`);
});

test('a link to another provider\'s account makes no account', async () => {
  const visitor = world.visitor();
  await web.logIn('carol', visitor);
  const before = (await world.keycloak.users()).length;
  const { outcome, triggers } = await world.hooks.during(async () => {
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
