// Tokens for people: what interceptors add is in both, everything verifies, and the tokens the client holds work wherever it shows them.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { claimsOf, halfHash, headerOf, oidc, Party } from '../lib/party.mjs';
import { until } from '../lib/processes.mjs';
import { firstForm } from '../lib/visitor.mjs';
import { multipart } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const added = { plan: 'gold', seats: 40, flags: { beta: true, regions: ['eu', 'us'] } };
const message = 'Your company signs in with SSO.';
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';

let world;
let spa;
let web;
let svc;

before(async () => {
  world = await World.open('session');
  spa = await Party.of(world, 'spa');
  web = await Party.of(world, 'web');
  svc = await Party.of(world, 'svc', { confidential: true });
});
after(() => world?.close());
beforeEach(() => world.hooks.answer('Session', allow({ claims: added })));

const pick = (claims) => ({ plan: claims.plan, seats: claims.seats, flags: claims.flags });
const lastEvent = () => world.hooks.events('PRE_SESSION_CREATION').at(-1);
const password = (party, username, scope = 'openid profile email') => party.grant('password', { username, password: world.secretOf(username), scope });

/** What openid-client throws for an OAuth error answer. */
async function refusal(promise) {
  return promise.then(
    (tokens) => assert.fail(`tokens were handed out: ${Object.keys(tokens)}`),
    ({ error, error_description: description, status, message: text, cause }) => {
      assert.ok(error, `${text} ${JSON.stringify(cause)}`);
      return { error, description, status };
    },
  );
}

/** Keycloak's own opinion: each of the upstream's tokens is dead. */
async function deadUpstream(tokens) {
  for (const name of ['access_token', 'refresh_token'].filter((key) => tokens[key])) {
    await until(`the upstream's ${name} is revoked`, async () => (await world.keycloak.introspect(tokens[name])).active === false);
  }
}

describe('code and PKCE by openid-client', () => {
  test('the claims are in both tokens, both verify with the keys from discovery, at_hash is right', async () => {
    const mark = world.hop.exchanges.length;
    const tokens = await spa.logIn('bob');
    const access = await spa.verify(tokens.access_token);
    const id = await spa.verify(tokens.id_token, { audience: 'spa' });
    assert.deepEqual(pick(access), added);
    assert.deepEqual(pick(id), added);
    assert.equal(id.at_hash, halfHash(tokens.access_token));

    const [upstream] = world.hop.tokens(mark);
    assert.notEqual(tokens.access_token, upstream.access_token);
    assert.notEqual(headerOf(tokens.access_token).kid, headerOf(upstream.access_token).kid);
    for (const name of ['access_token', 'id_token']) {
      const theirs = claimsOf(upstream[name]);
      const ours = claimsOf(tokens[name]);
      for (const claim of Object.keys(theirs).filter((key) => key !== 'at_hash')) assert.deepEqual(ours[claim], theirs[claim], `${name}: ${claim}`);
      assert.equal(headerOf(tokens[name]).typ, headerOf(upstream[name]).typ);
      assert.equal(headerOf(tokens[name]).alg, headerOf(upstream[name]).alg);
    }
  });

  test('the event has what the upstream verified, and no secret', async () => {
    const before = world.hooks.events('PRE_SESSION_CREATION').length;
    const tokens = await spa.logIn('bob');
    const events = world.hooks.events('PRE_SESSION_CREATION').slice(before);
    assert.equal(events.length, 1);
    const [{ interceptor_context: context, data }] = events;
    const id = claimsOf(tokens.id_token);
    assert.deepEqual(
      { user: context.user_id, email: context.user_email, client: context.client_id, realm: context.realm, grant: context.grant_type, issuer: context.issuer, ip: context.ip_address, dry: context.dry_run },
      { user: id.sub, email: 'bob@example.org', client: 'spa', realm: 'tg', grant: 'authorization_code', issuer: world.issuer, ip: '127.0.0.1', dry: false },
    );
    assert.equal(data.user.id, id.sub);
    assert.equal(data.user.email, 'bob@example.org');
    assert.equal(data.claims.access_token.jti, claimsOf(tokens.access_token).jti);
    assert.equal(data.claims.id_token.nonce, id.nonce);
    assert.ok(Math.abs(Date.parse(context.triggered_at) - Date.now()) < 60_000);
  });

  test('userinfo answers for the token the client holds', async () => {
    const tokens = await spa.logIn('bob');
    const info = await spa.userinfo(tokens);
    assert.equal(info.email, 'bob@example.org');
    const posted = await world.post(paths.userinfo, { access_token: tokens.access_token });
    assert.equal(posted.status, 200, posted.text);
    assert.equal(posted.json.sub, info.sub);
  });

  test('introspection says active and shows the claims', async () => {
    const tokens = await spa.logIn('bob');
    const answer = await svc.introspect(tokens.access_token);
    assert.equal(answer.active, true);
    assert.deepEqual(pick(answer), added);
    assert.equal(answer.username, 'bob');
  });

  test('a refresh asks again and brings the new claims', async () => {
    const tokens = await spa.logIn('bob');
    world.hooks.answer('Session', allow({ claims: { plan: 'silver' } }));
    const renewed = await spa.refresh(tokens);
    assert.equal((await spa.verify(renewed.access_token)).plan, 'silver');
    assert.equal((await spa.verify(renewed.id_token)).plan, 'silver');
    assert.equal(claimsOf(renewed.access_token).seats, undefined);
    assert.equal(claimsOf(renewed.id_token).at_hash, halfHash(renewed.access_token));
    assert.equal(lastEvent().interceptor_context.grant_type, 'refresh_token');
    const again = await spa.refresh(renewed);
    assert.ok(again.access_token);
  });

  test('a denied refresh gives no token', async () => {
    const tokens = await spa.logIn('carol');
    world.hooks.answer('Session', deny(message));
    const mark = world.hop.exchanges.length;
    assert.deepEqual(await refusal(spa.refresh(tokens)), { error: 'access_denied', description: message, status: 400 });
    await deadUpstream(world.hop.tokens(mark)[0]);
  });

  test('token exchange takes the token the client holds, and its result is asked about and re-signed', async () => {
    const tokens = await spa.logIn('bob');
    world.hooks.answer('Session', allow({ claims: { plan: 'exchanged' } }));
    const exchanged = await svc.grant(exchange, {
      subject_token: tokens.access_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      scope: 'openid',
    });
    const claims = await svc.verify(exchanged.access_token);
    assert.equal(claims.plan, 'exchanged');
    assert.equal(claims.azp, 'svc');
    assert.equal(claims.sub, claimsOf(tokens.access_token).sub);
    assert.equal(lastEvent().interceptor_context.client_id, 'svc');
    world.hooks.answer('Session', deny(message));
    const denied = await refusal(svc.grant(exchange, { subject_token: tokens.access_token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' }));
    assert.deepEqual(denied, { error: 'access_denied', description: message, status: 400 });
  });

  test('revoking the access token kills it upstream', async () => {
    const mark = world.hop.exchanges.length;
    const tokens = await spa.logIn('bob');
    const [upstream] = world.hop.tokens(mark);
    assert.equal((await world.keycloak.introspect(upstream.access_token)).active, true);
    await spa.revoke(tokens.access_token, 'access_token');
    assert.equal((await world.keycloak.introspect(upstream.access_token)).active, false);
    assert.equal((await svc.introspect(tokens.access_token)).active, false);
  });

  test('revoking the refresh token ends the session upstream', async () => {
    const tokens = await spa.logIn('bob');
    const { sid } = claimsOf(tokens.access_token);
    assert.equal(await world.keycloak.hasSession('bob', sid), true);
    await spa.revoke(tokens.refresh_token, 'refresh_token');
    assert.equal(await world.keycloak.hasSession('bob', sid), false);
    assert.equal((await refusal(spa.refresh(tokens))).error, 'invalid_grant');
  });

  test('logout with id_token_hint ends the session upstream and leads back to the client, by GET and by POST', async () => {
    for (const posted of [false, true]) {
      const visitor = world.visitor();
      const tokens = await spa.logIn('bob', visitor);
      const { sid } = claimsOf(tokens.id_token);
      assert.equal(await world.keycloak.hasSession('bob', sid), true);
      const url = new URL(spa.logoutUrl(tokens));
      const answer = posted
        ? await visitor.follow(await visitor.send({ method: 'POST', target: url.pathname, headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: url.search.slice(1) }))
        : await visitor.open(url.href);
      assert.equal(answer.location?.href, `${world.rp}/bye?state=see-you`, `${answer.status} ${answer.text.slice(0, 300)}`);
      assert.equal(await world.keycloak.hasSession('bob', sid), false);
    }
  });

  test('a denied login gives access_denied with the message, no token, and leaves none alive upstream', async () => {
    world.hooks.answer('Session', deny(message));
    const mark = world.hop.exchanges.length;
    const begun = await spa.authorize(world.visitor(), 'carol');
    assert.deepEqual(await refusal(spa.redeem(begun)), { error: 'access_denied', description: message, status: 400 });
    const [upstream] = world.hop.tokens(mark);
    assert.ok(upstream.refresh_token);
    await deadUpstream(upstream);
    assert.equal(world.hop.exchanges.slice(mark).filter(({ target }) => target.startsWith(paths.token)).length, 1, 'the token request was repeated');
  });
});

describe('the other grants', () => {
  test('password', async () => {
    const tokens = await password(web, 'bob');
    assert.deepEqual(pick(await web.verify(tokens.access_token)), added);
    assert.deepEqual(pick(await web.verify(tokens.id_token)), added);
    assert.equal(lastEvent().interceptor_context.grant_type, 'password');
    world.hooks.answer('Session', deny(message));
    assert.deepEqual(await refusal(password(web, 'bob')), { error: 'access_denied', description: message, status: 400 });
  });

  test('password in multipart/form-data, a denied one included', async () => {
    const fields = { grant_type: 'password', client_id: 'web', username: 'bob', password: world.secretOf('bob'), scope: 'openid' };
    const { body, type } = multipart(fields);
    const ask = () => world.send({ method: 'POST', target: paths.token, headers: { 'Content-Type': type }, body });
    const granted = await ask();
    assert.equal(granted.status, 200, granted.text);
    assert.equal((await web.verify(granted.json.access_token)).plan, 'gold');
    world.hooks.answer('Session', deny(message));
    const denied = await ask();
    assert.deepEqual([denied.status, denied.json], [400, { error: 'access_denied', error_description: message }]);
  });

  test('a wrong password is the upstream\'s own error and asks nobody', async () => {
    const before = world.hooks.calls.length;
    const { error, description } = await refusal(web.grant('password', { username: 'bob', password: 'not the password' }));
    assert.deepEqual({ error, description }, { error: 'invalid_grant', description: 'Invalid user credentials' });
    assert.equal(world.hooks.calls.length, before);
  });

  test('device', async () => {
    const begin = async () => {
      const device = await oidc.initiateDeviceAuthorization(web.config, { scope: 'openid' });
      world.keep(device);
      const visitor = world.visitor();
      let page = await visitor.open(device.verification_uri_complete);
      page = await visitor.submit(firstForm(page.text), { username: 'bob' });
      if (/name="password"/.test(page.text)) page = await visitor.submit(firstForm(page.text), { username: 'bob', password: world.secretOf('bob') });
      page = await visitor.submit(firstForm(page.text), { accept: 'Yes' });
      assert.equal(page.status, 200);
      return world.keep({ ...(await oidc.pollDeviceAuthorizationGrant(web.config, { ...device, interval: 1 })) });
    };
    const tokens = await begin();
    assert.deepEqual(pick(await web.verify(tokens.access_token)), added);
    assert.deepEqual(pick(await web.verify(tokens.id_token)), added);
    assert.equal(lastEvent().interceptor_context.grant_type, 'urn:ietf:params:oauth:grant-type:device_code');
    world.hooks.answer('Session', deny(message));
    assert.deepEqual(await refusal(begin()), { error: 'access_denied', description: message, status: 400 });
  });

  test('offline access: the refresh token works and a denial kills it upstream', async () => {
    const tokens = await password(web, 'carol', 'openid offline_access');
    assert.equal((await web.verify((await web.refresh(tokens)).access_token)).plan, 'gold');
    world.hooks.answer('Session', deny(message));
    const mark = world.hop.exchanges.length;
    assert.equal((await refusal(password(web, 'carol', 'openid offline_access'))).error, 'access_denied');
    await deadUpstream(world.hop.tokens(mark)[0]);
  });

  test('a grant that nobody knows is the upstream\'s own error', async () => {
    const { error } = await refusal(web.grant('urn:example:unheard-of', { x: 'y' }));
    assert.equal(error, 'unsupported_grant_type');
  });
});

describe('kinds of tokens', () => {
  test('a client registered for ES256 keeps getting ES256', async () => {
    const es = await Party.of(world, 'es', { confidential: true, metadata: { id_token_signed_response_alg: 'ES256' } });
    const tokens = await password(es, 'bob');
    for (const name of ['access_token', 'id_token']) {
      assert.equal(headerOf(tokens[name]).alg, 'ES256');
      assert.deepEqual(pick(await es.verify(tokens[name])), added);
    }
    assert.equal(claimsOf(tokens.id_token).at_hash, halfHash(tokens.access_token));
    assert.ok((await es.userinfo(tokens)).sub);
  });

  test('an ID token that cannot be re-signed (HS256) is a clear error, not passed', async () => {
    const mark = world.hop.exchanges.length;
    const answer = await world.post(paths.token, { grant_type: 'password', username: 'bob', password: world.secretOf('bob'), scope: 'openid' }, { Authorization: basic('hs') });
    assert.ok(answer.status >= 400, answer.text);
    assert.ok(answer.json.error_description, answer.text);
    assert.doesNotMatch(answer.text, /eyJ/);
    await deadUpstream(world.hop.tokens(mark)[0]);
  });

  test('a lightweight access token verifies and has the claims', async () => {
    const light = await Party.of(world, 'light', { confidential: true });
    const tokens = await password(light, 'bob');
    assert.deepEqual(pick(await light.verify(tokens.access_token)), added);
  });

  test('a token for one part only: claims for the access token and the ID token apart', async () => {
    world.hooks.answer('Session', allow({ claims: { both: 1 }, access_token: { claims: { scope_of: 'access' } }, id_token: { claims: { scope_of: 'id' } } }));
    const tokens = await password(web, 'bob');
    assert.deepEqual([claimsOf(tokens.access_token).both, claimsOf(tokens.access_token).scope_of], [1, 'access']);
    assert.deepEqual([claimsOf(tokens.id_token).both, claimsOf(tokens.id_token).scope_of], [1, 'id']);
  });
});

describe('what the client holds', () => {
  test('is a bearer for the account REST API and the admin REST API', async () => {
    const tokens = await password(web, 'alice');
    const Authorization = `Bearer ${tokens.access_token}`;
    const account = await world.send({ target: '/realms/tg/account/', headers: { Authorization, Accept: 'application/json' } });
    assert.equal(account.json.username, 'alice');
    const users = await world.send({ target: `${paths.users}?username=bob`, headers: { Authorization: `bearer ${tokens.access_token}` } });
    assert.equal(users.json[0].username, 'bob');
  });

  test('is worth nothing when it was not re-signed: the upstream\'s own token is refused everywhere', async () => {
    const mark = world.hop.exchanges.length;
    await password(web, 'alice');
    const native = world.hop.tokens(mark)[0];
    const Authorization = `Bearer ${native.access_token}`;
    assert.equal((await world.send({ target: paths.userinfo, headers: { Authorization } })).status, 401);
    assert.equal((await world.send({ target: paths.users, headers: { Authorization } })).status, 401);
    assert.equal((await world.send({ target: '/realms/tg/account/', headers: { Authorization, Accept: 'application/json' } })).status, 401);
    const introspected = await world.post(paths.introspect, { token: native.access_token }, { Authorization: basic('svc') });
    assert.notEqual(introspected.json.active, true);
    const exchanged = await world.post(
      paths.token,
      { grant_type: exchange, subject_token: native.access_token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' },
      { Authorization: basic('svc') },
    );
    assert.ok(exchanged.status >= 400, exchanged.text);
  });

  test('cannot be altered: flipped bits, a capsule of another token, another header', async () => {
    const bob = await password(web, 'bob');
    const carol = await password(web, 'carol');
    const [header, payload, signature] = bob.access_token.split('.');
    const forged = (claims, head = header) => [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url');
    const attempts = [
      forged({ ...claimsOf(bob.access_token), plan: 'platinum' }),
      forged({ ...claimsOf(bob.access_token), sub: claimsOf(carol.access_token).sub }),
      forged(claimsOf(bob.access_token), none),
      `${none}.${payload}.`,
      [header, carol.access_token.split('.')[1], signature].join('.'),
      `${bob.access_token.slice(0, -4)}AAAA`,
      bob.access_token.slice(0, -20),
      bob.id_token,
    ];
    for (const token of attempts) {
      assert.equal((await world.send({ target: paths.userinfo, headers: { Authorization: `Bearer ${token}` } })).status, 401);
      const introspected = await world.post(paths.introspect, { token }, { Authorization: basic('svc') });
      assert.ok(token === bob.id_token || introspected.json.active !== true, introspected.text);
    }
  });
});

describe('what everybody can read', () => {
  test('the key set has only Tollgate\'s keys, and every address in discovery is the front door', async () => {
    const ours = (await world.send({ target: paths.certs })).json.keys;
    const theirs = JSON.parse((await (await fetch(`${world.keycloak.url}${paths.certs}`)).text())).keys.filter(({ use }) => use === 'sig');
    assert.ok(ours.length > 0);
    for (const key of theirs) assert.ok(!ours.some(({ kid, n, x }) => kid === key.kid || (n && n === key.n) || (x && x === key.x)), key.kid);
    for (const key of ours) assert.deepEqual([key.d, key.p, key.q, key.k], [undefined, undefined, undefined, undefined]);
    const discovery = (await world.send({ target: paths.discovery })).json;
    assert.equal(discovery.issuer, world.issuer);
    for (const [name, value] of Object.entries(discovery)) if (/_endpoint$|_uri$/.test(name)) assert.ok(value.startsWith(world.origin), `${name}: ${value}`);
    for (const key of ours.filter(({ alg, use }) => alg && use !== 'enc')) assert.ok(discovery.id_token_signing_alg_values_supported.includes(key.alg), key.alg);
  });

  test('the upstream\'s key is published nowhere else', async () => {
    const direct = await (await fetch(`${world.keycloak.url}/realms/tg`)).json();
    const { keys } = await (await fetch(`${world.keycloak.url}${paths.certs}`)).json();
    const needles = [direct.public_key, ...keys.filter(({ use }) => use === 'sig').map(({ n, x }) => n ?? x)];
    const places = ['/realms/tg', '/realms/tg/', '/realms/tg/.well-known/jwt-vc-issuer', '/.well-known/oauth-authorization-server/realms/tg', '/realms/tg/.well-known/oauth-authorization-server', '/realms/tg/.well-known/uma2-configuration', paths.certs, `${paths.certs}/`];
    for (const target of places) {
      const { text } = await world.send({ target });
      for (const needle of needles) assert.ok(!text.includes(needle), target);
    }
  });
});

test('not a byte reaches the client before the interceptor has answered', async () => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  world.hooks.answer('Session', async (request, response) => {
    await held;
    allow({ claims: added })(request, response);
  });
  const calls = world.hooks.calls.length;
  let arrived = false;
  const asking = world.post(paths.token, { grant_type: 'password', client_id: 'web', username: 'bob', password: world.secretOf('bob') }).finally(() => (arrived = true));
  await until('the interceptor is asked', () => world.hooks.calls.length > calls);
  // Long enough for an answer to come, were there nothing to hold it back: all of the work up to here took less.
  await new Promise((resume) => setTimeout(resume, 700));
  assert.equal(arrived, false);
  release();
  assert.equal((await asking).status, 200);
});

test('a client that goes away in the middle leaves a record, and no token alive upstream', async () => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  world.hooks.answer('Session', async (request, response) => {
    await held;
    deny(message)(request, response);
  });
  const calls = world.hooks.calls.length;
  const mark = world.hop.exchanges.length;
  const leaving = new AbortController();
  const asking = fetch(`${world.origin}${paths.token}`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'password', client_id: 'web', username: 'bob', password: world.secretOf('bob') }),
    signal: leaving.signal,
  });
  await until('the interceptor is asked', () => world.hooks.calls.length > calls);
  leaving.abort();
  await assert.rejects(asking);
  release();
  const request = world.hooks.calls.at(-1).event.interceptor_context.request_id;
  const [record] = await until('the decision is recorded', async () => {
    const found = await world.tollgate.audit('--kind', 'consult', '--request', request);
    return found.length ? found : undefined;
  });
  assert.equal(record.decision, 'deny');
  await deadUpstream(world.hop.tokens(mark)[0]);
});

test('a denied login tells a script of another origin why', async () => {
  world.hooks.answer('Session', deny(message));
  const answer = await world.post(
    paths.token,
    { grant_type: 'password', client_id: 'web', username: 'bob', password: world.secretOf('bob') },
    { Origin: world.rp },
  );
  assert.equal(answer.json.error_description, message);
  assert.equal(answer.header('access-control-allow-origin'), world.rp);
  assert.equal(answer.header('cache-control'), 'no-store');
});

test('every question was signed so that both verifiers agree', () => {
  assert.deepEqual(world.hooks.forged, []);
  assert.ok(world.hooks.calls.length > 30);
  assert.ok(world.hooks.calls.every(({ verified }) => verified === true));
});
