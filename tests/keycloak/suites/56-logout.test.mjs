// Back-channel logout (OpenID Connect Back-Channel Logout 1.0): Keycloak posts the logout token to Tollgate, which hands it to the relying party under a
// key from its own key set. The relying party is a real server that believes what `jose` verified, and nothing else.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, beforeEach, test } from 'node:test';

import * as jose from 'jose';

import { secretOf } from '../realm.mjs';
import { allow } from '../lib/hooks.mjs';
import { claimsOf, headerOf, Party } from '../lib/party.mjs';
import { until } from '../lib/processes.mjs';
import { firstForm } from '../lib/visitor.mjs';
import { World, interceptors } from '../lib/world.mjs';

const relay = '/.tollgate/backchannel-logout';
const event = 'http://schemas.openid.net/event/backchannel-logout';

/** A server on loopback whose every request is a form that `answer` turns into a status. */
async function listen(answer) {
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => response.writeHead(await answer(new URLSearchParams(Buffer.concat(chunks).toString()), request)).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${server.address().port}/logged-out` };
}

/** The relying party `web`: its sessions by `sid`, and why it refused the logout tokens that it did not believe. */
class RelyingParty {
  sessions = new Map();
  refused = [];
  #seen = new Set();

  constructor(issuer, jwks) {
    Object.assign(this, { issuer, keys: jose.createRemoteJWKSet(new URL(jwks)) });
  }

  /** The status that a logout token is answered with (§2.6 to §2.8). */
  async logOut(token) {
    try {
      const { payload, protectedHeader } = await jose.jwtVerify(token, this.keys, { issuer: this.issuer, audience: 'web', typ: 'logout+jwt', requiredClaims: ['iat', 'exp', 'jti', 'events', 'sid'] });
      assert.equal(protectedHeader.alg, 'RS256');
      assert.deepEqual([payload.events[event], payload.nonce], [{}, undefined]);
      if (this.#seen.has(payload.jti)) throw new Error('a replay');
      this.#seen.add(payload.jti);
      this.sessions.delete(payload.sid);
      return 200;
    } catch (error) {
      this.refused.push(error.code ?? error.message);
      return 400;
    }
  }
}

let world;
let web;
let party;
/** The relying party's own server, and one between Keycloak and Tollgate that keeps what was posted and answered. */
let own;
let between;
const posted = [];

before(async () => {
  own = await listen((form) => party.logOut(form.get('logout_token')));
  const brokering = `http://127.0.0.1:${process.env.TOLLGATE_PORT}/realms/tg/protocol/openid-connect/logout/backchannel-logout`;
  world = await World.open('logout', { sections: { logout: [{ client_id: 'web', url: own.url, timeout: '2s' }, { client_id: 'broker', realm: 'partner', url: brokering }] } });
  between = await listen(async (form) => {
    const token = form.get('logout_token');
    const { status } = await tell(world.canaries.add('logout_token', token));
    posted.push({ token, status });
    return status;
  });
  await tells('web', between.url);
  web = await Party.of(world, 'web');
});
after(async () => {
  if (world) await tells('web', '');
  for (const one of [own, between]) one?.server.close();
  await world?.close();
});
beforeEach(() => {
  world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
  party = new RelyingParty(world.issuer, web.config.serverMetadata().jwks_uri);
  posted.length = 0;
});

/** Says where Keycloak posts the logout tokens of a client. */
async function tells(clientId, url, realm = 'tg') {
  const [client] = (await world.keycloak.admin('GET', `/${realm}/clients?clientId=${clientId}`)).json;
  client.attributes = { ...client.attributes, 'backchannel.logout.url': url, 'backchannel.logout.session.required': 'true' };
  const saved = await world.keycloak.admin('PUT', `/${realm}/clients/${client.id}`, client);
  assert.equal(saved.status, 204, saved.text);
}

const tell = (token) => world.post(relay, { logout_token: token });

/** Somebody logs in at the relying party, which keeps the session. */
async function logIn(username) {
  const tokens = await web.logIn(username);
  party.sessions.set(claimsOf(tokens.id_token).sid, tokens);
  return tokens;
}

/** Ends one session at Keycloak, as its owner; Keycloak's answer. */
const logOut = (tokens) => world.visitor().open(web.logoutUrl(tokens));

test('a logout ends the session at the relying party, and no other one', async () => {
  const [first, second] = [await logIn('bob'), await logIn('bob')];
  const answer = await logOut(first);
  assert.equal(answer.location?.href.split('?')[0], `${world.rp}/bye`);
  await until('the session has ended', () => party.sessions.size === 1);
  assert.ok(party.sessions.has(claimsOf(second.id_token).sid));
  assert.deepEqual([posted.map(({ status }) => status), party.refused], [[200], []]);
  // What Keycloak sent is under a key that nobody could have verified.
  const { keys } = (await world.send({ target: '/realms/tg/protocol/openid-connect/certs' })).json;
  assert.ok(!keys.some(({ kid }) => kid === headerOf(posted[0].token).kid));
  assert.equal((await web.verify(second.access_token)).plan, 'gold');
});

test('an administrator ends all sessions of a user', async () => {
  await logIn('carol');
  await logIn('carol');
  const { id } = await world.keycloak.user('carol');
  const ended = await world.keycloak.admin('POST', `/tg/users/${id}/logout`);
  assert.equal(ended.status, 204, ended.text);
  await until('both sessions have ended', () => party.sessions.size === 0);
  assert.deepEqual(party.refused, []);
});

test('a token that Keycloak did not make for this client ends nothing', async () => {
  const tokens = await logIn('bob');
  const { sid, sub } = claimsOf(tokens.id_token);
  await logOut(await logIn('carol'));
  await until('Keycloak told', () => posted.length === 1);
  const genuine = posted[0].token;
  const now = Math.floor(Date.now() / 1000);
  const claims = { ...claimsOf(genuine), sid, sub, jti: 'forged', iat: now, exp: now + 60 };
  const { privateKey } = await jose.generateKeyPair('RS256');
  const sign = (header) => new jose.SignJWT(claims).setProtectedHeader({ ...headerOf(genuine), ...header }).sign(privateKey);
  const [header, , signature] = genuine.split('.');
  // Another client's, straight from Keycloak.
  const others = [];
  const other = await listen((form) => others.push(form.get('logout_token')) && 200);
  await tells('svc', other.url);
  const svc = await Party.of(world, 'svc', { confidential: true });
  await world.visitor().open(svc.logoutUrl(await svc.logIn('carol')));
  await until('Keycloak told the other client', () => others.length === 1);
  await tells('svc', '');
  other.server.close();

  for (const [why, token] of Object.entries({
    'under a key of the forger': await sign({}),
    'under a key that nobody knows': await sign({ kid: 'forger' }),
    'with other claims': [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.'),
    unsigned: `${Buffer.from('{"alg":"none","typ":"logout+jwt"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`,
    "another client's": others[0],
    'an ID token': tokens.id_token,
    'an access token': tokens.access_token,
    nothing: '',
  })) {
    const answer = await tell(token);
    assert.deepEqual([answer.status, answer.json.error], [400, 'invalid_request'], `${why}: ${answer.text}`);
    // Nor does the relying party believe it without Tollgate.
    assert.equal(await party.logOut(token), 400, why);
  }
  assert.ok(party.sessions.has(sid));
});

test('a token that comes twice is relayed with the same `jti`, and the relying party refuses it', async () => {
  await logOut(await logIn('bob'));
  await until('the session has ended', () => party.sessions.size === 0);
  const again = await tell(posted[0].token);
  assert.deepEqual([again.status, again.json.error], [400, 'invalid_request']);
  assert.deepEqual(party.refused, ['a replay']);
});

test('a relying party that is away is not told: Keycloak is answered 502, the log says it, and the logout at Keycloak stands', async () => {
  const tokens = await logIn('bob');
  const { sid } = claimsOf(tokens.id_token);
  const { port } = own.server.address();
  await new Promise((closed) => own.server.close(closed));
  const answer = await logOut(tokens);
  assert.equal(answer.location?.href.split('?')[0], `${world.rp}/bye`);
  await until('Keycloak told', () => posted.length === 1);
  assert.equal(posted[0].status, 502);
  assert.equal(await world.keycloak.hasSession('bob', sid), false);
  assert.ok(party.sessions.has(sid));
  assert.match(world.tollgate.logged, /the relying party `web` was not told of a logout: it cannot be reached/);
  // It comes back, and Keycloak's token still counts.
  own.server.listen(port, '127.0.0.1');
  await once(own.server, 'listening');
  assert.equal((await tell(posted[0].token)).status, 200);
  assert.equal(party.sessions.size, 0);
});

test('a realm that logs in by another realm is told like any relying party', async () => {
  const partner = (await world.keycloak.admin('GET', '/tg/identity-provider/instances/partner')).json;
  // The two realms talk through Tollgate, and so does the one that verifies.
  const front = `${world.origin}/realms/partner/protocol/openid-connect`;
  const config = { ...partner.config, tokenUrl: `${front}/token`, userInfoUrl: `${front}/userinfo`, jwksUrl: `${front}/certs`, backchannelSupported: 'true' };
  await world.keycloak.admin('PUT', '/tg/identity-provider/instances/partner', { ...partner, config });
  await tells('broker', `${world.origin}${relay}`, 'partner');
  const visitor = world.visitor();
  const { href } = (await web.authorizationUrl({ kc_idp_hint: 'partner' })).url;
  const password = world.canaries.add('password', secretOf('orla'));
  const back = await visitor.submit(firstForm((await visitor.open(href)).text), { username: 'orla', password });
  assert.ok(back.location?.searchParams.get('code'), back.text.slice(0, 300));
  const sessions = async () => (await world.keycloak.admin('GET', `/tg/users/${(await world.keycloak.user('orla')).id}/sessions`)).json.length;
  assert.equal(await sessions(), 1);
  const [{ id }] = (await world.keycloak.admin('GET', '/partner/users?username=orla')).json;
  assert.equal((await world.keycloak.admin('POST', `/partner/users/${id}/logout`)).status, 204);
  await until('the session has ended in the other realm, too', async () => (await sessions()) === 0);
  await tells('broker', '', 'partner');
  await world.keycloak.admin('PUT', '/tg/identity-provider/instances/partner', partner);
  await world.keycloak.removeUser('orla');
});

test('told directly, past Tollgate, the relying party believes it only where the provider\'s keys are published', async () => {
  await tells('web', own.url);
  const direct = await logIn('bob');
  await logOut(direct);
  await until('the relying party was told', () => party.refused.length === 1);
  assert.deepEqual(party.refused, ['ERR_JWKS_NO_MATCHING_KEY']);
  assert.ok(party.sessions.has(claimsOf(direct.id_token).sid));

  world.tollgate.options.sections.jwks = { upstream_keys: 'include' };
  await world.reconfigure(Object.values(interceptors));
  party = new RelyingParty(world.issuer, web.config.serverMetadata().jwks_uri);
  await logOut(await logIn('bob'));
  await until('the session has ended', () => party.sessions.size === 0);
  assert.deepEqual(party.refused, []);
});
