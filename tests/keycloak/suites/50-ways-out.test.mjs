// Ways by which tokens leave beside the token endpoint. Each is asked about and re-signed, or refused with a clear error; no answer on the way holds
// anything that the upstream signed for clients.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { askedElsewhere } from '../lib/device.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { Keys } from '../lib/leaks.mjs';
import { claimsOf, halfHash, Party } from '../lib/party.mjs';
import { until } from '../lib/processes.mjs';
import { firstForm, registration } from '../lib/visitor.mjs';
import { form, multipart, urlencoded } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

let world;
let keys;
let web;

before(async () => {
  world = await World.open('ways-out');
  keys = await Keys.of(world);
  web = await Party.of(world, 'web');
});
after(() => world?.close());

/** The tokens in an answer, wherever it has them, that are signed for clients but not by Tollgate. */
const foreignTokens = (answer) => keys.foreignIn(answer).map(({ header }) => header);

/** The parameters of the response that an answer takes to the client, opened where a JWT is around them; undefined where it takes none there. */
async function responseOf(answer, party = web) {
  const location = answer.header('location');
  let parameters;
  if (location?.startsWith(world.rp)) {
    const url = new URL(location);
    parameters = Object.fromEntries([...url.searchParams, ...new URLSearchParams(url.hash.slice(1))]);
  } else if (/^<html>/i.test(answer.text.trim()) || answer.text.includes('document.forms[0].submit()')) {
    parameters = firstForm(answer.text)?.fields;
  }
  if (!parameters?.response) return parameters;
  return party.verify(parameters.response, { audience: party.clientId });
}

/** What a refusal has to look like: an OAuth error, or a page, or a redirect to the client with an error; and nothing let through. */
function assertRefused(answer, what) {
  assert.deepEqual(foreignTokens(answer), [], what);
  const location = answer.header('location');
  if (location?.startsWith(world.rp)) {
    assert.match(location, /[?#&]error=/, `${what}: ${location}`);
    return;
  }
  assert.ok(answer.status >= 400 && answer.status < 500, `${what}: ${answer.status} ${location ?? ''} ${answer.text.slice(0, 200)}`);
  if (/json/.test(answer.header('content-type') ?? '')) {
    assert.ok(answer.json.error && answer.json.error_description, `${what}: ${answer.text}`);
  } else {
    assert.match(answer.header('content-type') ?? '', /^text\/html/, what);
    assert.ok(answer.text.replace(/<[^>]*>/g, '').trim().length > 20, what);
  }
}

/** Somebody who is logged in at Keycloak, so that an authorization request needs no form any more. */
async function loggedIn() {
  const visitor = world.visitor();
  await web.logIn('bob', visitor);
  return visitor;
}

const authorization = (parameters) => ({ client_id: 'web', redirect_uri: world.redirect, scope: 'openid', nonce: 'n-0S6_WzA2Mj', state: 'af0ifjsldkj', response_type: 'code', ...parameters });
const unsecured = (claims) => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`;

const responseTypes = ['token', 'id_token', 'id_token token', 'token id_token', 'code id_token', 'code token', 'code id_token token', 'none token'];
const responseModes = ['jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt'];
const requests = [
  ...responseTypes.flatMap((type) => [{ response_type: type }, { response_type: type, response_mode: 'form_post' }, { response_type: type, response_mode: 'fragment' }]),
  ...responseModes.map((mode) => ({ response_mode: mode })),
  ...responseModes.map((mode) => ({ response_mode: mode, response_type: 'code id_token token' })),
];

describe('the front channel', () => {
  const ways = {
    'in a GET': (visitor, parameters) => visitor.send({ target: `${paths.auth}?${form(parameters)}` }),
    'in a POST': (visitor, parameters) => visitor.send({ method: 'POST', target: paths.auth, headers: { 'Content-Type': urlencoded }, body: form(parameters) }),
    'in multipart': (visitor, parameters) => {
      const { body, type } = multipart(parameters);
      return visitor.send({ method: 'POST', target: paths.auth, headers: { 'Content-Type': type }, body });
    },
    'with encoded names': (visitor, parameters) => visitor.send({ target: `${paths.auth}?${form(parameters).replaceAll('response_', '%72esponse_')}` }),
    'with a trailing slash': (visitor, parameters) => visitor.send({ target: `${paths.auth}/?${form(parameters)}` }),
    'on the registration page': (visitor, parameters) => visitor.send({ target: `${paths.protocol}/registrations?${form(parameters)}` }),
    'on the page of forgotten credentials': (visitor, parameters) => visitor.send({ target: `${paths.protocol}/forgot-credentials?${form(parameters)}` }),
    'behind a harmless one in the query': (visitor, parameters) => visitor.send({ target: `${paths.auth}?${form(authorization())}&${form(parameters)}` }),
    'in the body behind a harmless one in the query': (visitor, parameters) => visitor.send({ method: 'POST', target: `${paths.auth}?${form(authorization())}`, headers: { 'Content-Type': urlencoded }, body: form(parameters) }),
    'in a request object': (visitor, parameters) => visitor.send({ target: `${paths.auth}?${form({ ...authorization({ response_type: parameters.response_type }), request: unsecured(parameters) })}` }),
    'in a request object behind a harmless response type': (visitor, parameters) => visitor.send({ target: `${paths.auth}?${form({ ...authorization(), request: unsecured(parameters) })}` }),
  };
  /** Every combination is sent by somebody who is logged in, and answered so: how many of those that the upstream grants pass the check. */
  async function granted(name, send, behaviour, check) {
    world.hooks.answer('Session', allow());
    const visitor = await loggedIn();
    world.hooks.answer('Session', behaviour);
    let count = 0;
    for (const request of requests) {
      const what = `${name} ${JSON.stringify(request)}`;
      const answer = await send(visitor, authorization(request));
      assert.deepEqual(foreignTokens(answer), [], what);
      const response = await responseOf(answer);
      if (response && (await check(response, what))) count += 1;
    }
    return count;
  }

  const served = async (response, what) => {
    if (response.error) return false;
    for (const token of [response.access_token, response.id_token].filter(Boolean)) assert.equal((await web.verify(token)).plan, 'gold', what);
    const id = response.id_token && claimsOf(response.id_token);
    if (id && response.access_token) assert.equal(id.at_hash, halfHash(response.access_token), what);
    if (id && response.code) assert.equal(id.c_hash, halfHash(response.code), what);
    if (id) assert.equal(id.s_hash, halfHash(response.state), what);
    return Boolean(response.access_token ?? response.id_token);
  };
  const denied = async (response, what) => {
    assert.equal(response.access_token ?? response.id_token, undefined, what);
    if (response.error !== 'access_denied') return false;
    assert.deepEqual([response.error_description, response.code, response.state], ['Not today.', undefined, 'af0ifjsldkj'], what);
    return true;
  };

  /** Where the parameter is not repeated, the upstream grants these. */
  const grants = ['in a GET', 'in a POST', 'in multipart', 'with encoded names', 'with a trailing slash', 'in a request object'];
  for (const [name, send] of Object.entries(ways)) {
    test(`response types and modes with tokens, ${name}`, async () => {
      const asked = () => world.hooks.events('PRE_SESSION_CREATION').filter(({ interceptor_context: { grant_type: grant } }) => ['implicit', 'hybrid'].includes(grant)).length;
      const mark = asked();
      const count = await granted(name, send, allow({ claims: { plan: 'gold' } }), served);
      assert.equal(asked() - mark, count, 'asked once about each');
      assert.ok(count >= 18 || !grants.includes(name), `only ${count} were granted`);
      assert.equal(await granted(name, send, deny('Not today.'), denied), count, 'denied as often as granted');
    });
  }

  test('pushed authorization requests', async () => {
    world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
    const visitor = await loggedIn();
    let count = 0;
    for (const request of requests) {
      for (const fields of [authorization(request), { client_id: 'web', request: unsecured(authorization(request)) }, { ...authorization(), request: unsecured(authorization(request)) }]) {
        const pushed = await world.post(`${paths.protocol}/ext/par/request`, fields);
        if (pushed.status !== 201) {
          assertRefused(pushed, `pushed ${JSON.stringify(fields)}`);
          continue;
        }
        // Keycloak leads from here to its login page, and from there on without asking.
        const redeemed = await visitor.open(`${world.origin}${paths.auth}?${form({ client_id: 'web', request_uri: pushed.json.request_uri })}`);
        assert.deepEqual(foreignTokens(redeemed), []);
        const response = await responseOf(redeemed);
        if (response && (await served(response, JSON.stringify(fields)))) count += 1;
      }
    }
    assert.ok(count >= 18, `only ${count} were granted`);
  });

  test('a state of any letters arrives as it was sent, in every mode', async () => {
    world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
    const visitor = await loggedIn();
    for (const mode of ['fragment', 'form_post', 'fragment.jwt', 'form_post.jwt']) {
      for (const state of ['a b', 'a+b', 'a%20b&c=d', '"><script>alert(1)</script>', 'ä€', "it's #1?"]) {
        const answer = await visitor.send({ target: `${paths.auth}?${form(authorization({ response_type: 'code id_token token', response_mode: mode, state }))}` });
        const response = await responseOf(answer);
        assert.ok(response, `${mode} ${state}: ${answer.status} ${answer.text.slice(0, 300)}`);
        assert.equal(response.state, state, mode);
        await served(response, `${mode} ${state}`);
      }
    }
  });

  test('the answers to a login form and to a registration form', async () => {
    world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
    for (const mode of ['fragment', 'form_post', 'fragment.jwt']) {
      const visitor = world.visitor();
      const parameters = authorization({ response_type: 'id_token token', response_mode: mode });
      let page = await visitor.open(`${world.origin}${paths.auth}?${form(parameters)}`);
      page = await visitor.submit(firstForm(page.text), { username: 'bob' });
      const answer = await visitor.submit(firstForm(page.text), { username: 'bob', password: world.secretOf('bob') });
      assert.deepEqual(foreignTokens(answer), []);
      assert.ok(await served(await responseOf(answer), mode), `${mode}: ${answer.status} ${answer.text.slice(0, 300)}`);

      const name = `front-${mode.replace('.', '-')}-${world.tag}`.toLowerCase();
      const newcomer = world.visitor();
      const opened = await newcomer.open(`${world.origin}${paths.protocol}/registrations?${form(parameters)}`);
      const mark = world.hooks.events('PRE_SIGNUP').length;
      const registered = await newcomer.submit(firstForm(opened.text), registration(name, world.secretOf(name)));
      assert.deepEqual(foreignTokens(registered), []);
      assert.ok(await served(await responseOf(registered), mode), `${mode}: ${registered.status} ${registered.text.slice(0, 300)}`);
      assert.equal(world.hooks.events('PRE_SIGNUP').length, mark + 1);
      await world.keycloak.removeUser(name);
    }
  });

  test('after a denial the access token is dead at the upstream', async () => {
    const visitor = await loggedIn();
    world.hooks.answer('Session', deny('Not today.'));
    const mark = world.hop.exchanges.length;
    await visitor.send({ target: `${paths.auth}?${form(authorization({ response_type: 'token' }))}` });
    const location = world.hop.exchanges.slice(mark).map(({ location: to }) => to).find((to) => to?.includes('access_token='));
    const token = new URLSearchParams(new URL(location).hash.slice(1)).get('access_token');
    await until('the access token is revoked', async () => (await world.keycloak.introspect(token)).active === false);
  });

  test('a harmless pushed request and a harmless request object work', async () => {
    world.hooks.answer('Session', allow());
    const visitor = await loggedIn();
    const pushed = await world.post(`${paths.protocol}/ext/par/request`, authorization());
    assert.equal(pushed.status, 201, pushed.text);
    const url = `${world.origin}${paths.auth}?${form({ client_id: 'web', request_uri: pushed.json.request_uri })}`;
    assert.ok((await world.visitor().logIn(url, 'bob', world.secretOf('bob'))).searchParams.get('code'));
    for (const mode of ['query', 'fragment']) {
      const answer = await visitor.send({ target: `${paths.auth}?${form(authorization({ response_mode: mode }))}` });
      assert.match(answer.header('location') ?? '', /[?#&]code=/);
    }
    const posted = await visitor.send({ target: `${paths.auth}?${form(authorization({ response_mode: 'form_post' }))}` });
    assert.ok(firstForm(posted.text)?.fields.code, posted.text.slice(0, 300));
  });

  test('a request object elsewhere is not fetched', async () => {
    const visitor = await loggedIn();
    const answer = await visitor.send({ target: `${paths.auth}?${form({ ...authorization(), request_uri: `${world.hooks.url('request-object')}` })}` });
    assertRefused(answer, 'request_uri elsewhere');
    assert.ok(!world.hooks.calls.some(({ interceptor }) => interceptor === 'request-object'));
  });

  test('a login that was begun past Tollgate with a token response ends without a token', async () => {
    // The upstream's own page for an implicit request, its form posted through the front door.
    const direct = world.visitor();
    direct.via = world.keycloak.url;
    let page = await direct.send({ target: `${paths.auth}?${form(authorization({ response_type: 'id_token token' }))}` });
    direct.via = world.origin;
    page = await direct.submit(firstForm(page.text), { username: 'bob' });
    const { path, query, fields } = firstForm(page.text);
    const answer = await direct.send({ method: 'POST', target: `${path}?${query}`, headers: { 'Content-Type': urlencoded }, body: form({ ...fields, username: 'bob', password: world.secretOf('bob') }) });
    assert.deepEqual(foreignTokens(answer), []);
    assert.ok(await responseOf(answer), answer.text.slice(0, 300));
  });
});

describe('other endpoints', () => {
  const token = async (client, username = 'bob', claims = { plan: 'gold' }) => {
    world.hooks.answer('Session', allow({ claims }));
    const answer = await world.post(paths.token, { grant_type: 'password', username, password: world.secretOf(username), scope: 'openid' }, { Authorization: basic(client) });
    assert.equal(answer.status, 200, answer.text);
    return answer.json.access_token;
  };

  test('user-managed access: the ticket grant, its permissions and its decision', async () => {
    const Authorization = `Bearer ${await token('svc')}`;
    const ask = (extra) => world.post(paths.token, { grant_type: 'urn:ietf:params:oauth:grant-type:uma-ticket', audience: 'svc', ...extra }, { Authorization });
    const rpt = await ask({});
    assert.equal(rpt.status, 200, rpt.text);
    const claims = await web.verify(rpt.json.access_token);
    assert.equal(claims.plan, 'gold');
    assert.ok(claims.authorization.permissions.length);
    const again = await ask({ rpt: rpt.json.access_token });
    assert.equal(again.status, 200, again.text);
    assert.deepEqual((await ask({ response_mode: 'decision' })).json, { result: true });
    assert.equal((await ask({ response_mode: 'permissions' })).json[0].rsname, 'Document');
    world.hooks.answer('Session', deny('Not today.'));
    assertRefused(await ask({}), 'ticket');
  });

  test('user-managed access: a ticket of the protection API with a claim token', async () => {
    world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
    const machine = await world.post(paths.token, { grant_type: 'client_credentials' }, { Authorization: basic('svc') });
    const Authorization = `Bearer ${machine.json.access_token}`;
    const resources = await world.send({ target: '/realms/tg/authz/protection/resource_set?name=Document', headers: { Authorization } });
    assert.equal(resources.status, 200, resources.text);
    const ticket = await world.send({ method: 'POST', target: '/realms/tg/authz/protection/permission', headers: { Authorization, 'Content-Type': 'application/json' }, body: JSON.stringify([{ resource_id: resources.json[0], resource_scopes: ['read'] }]) });
    assert.equal(ticket.status, 201, ticket.text);
    const login = await world.post(paths.token, { grant_type: 'password', username: 'bob', password: world.secretOf('bob'), scope: 'openid' }, { Authorization: basic('svc') });
    const fields = { grant_type: 'urn:ietf:params:oauth:grant-type:uma-ticket', ticket: ticket.json.ticket, claim_token: login.json.id_token, claim_token_format: 'http://openid.net/specs/openid-connect-core-1_0.html#IDToken' };
    const rpt = await world.post(paths.token, fields, { Authorization: basic('svc') });
    assert.equal(rpt.status, 200, rpt.text);
    assert.equal((await web.verify(rpt.json.access_token)).plan, 'gold');
  });

  test('CIBA: a user agrees on another device, and the tokens are a session', async () => {
    const svc = { Authorization: basic('svc') };
    const begin = async () => {
      const { begun, agree, authorization } = await askedElsewhere(world, () => world.post(`${paths.protocol}/ext/ciba/auth`, { scope: 'openid', login_hint: 'bob', binding_message: 'W4SCT' }, svc));
      assert.equal(begun.status, 200, begun.text);
      const poll = () => world.post(paths.token, { grant_type: 'urn:openid:params:grant-type:ciba', auth_req_id: begun.json.auth_req_id }, svc);
      assert.equal((await poll()).json.error, 'authorization_pending');
      const agreed = await agree();
      assert.ok(agreed.status < 300, `${agreed.status} ${agreed.text}`);
      let answer;
      await until('the poll is over', async () => {
        answer = await poll();
        return !['authorization_pending', 'slow_down'].includes(answer.json.error);
      });
      // The token of the callback opens nothing else.
      assert.equal((await world.send({ target: paths.userinfo, headers: { Authorization: authorization } })).status, 401);
      return answer;
    };
    world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
    const answer = await begin();
    assert.equal(answer.status, 200, answer.text);
    for (const name of ['access_token', 'id_token']) assert.equal((await web.verify(answer.json[name])).plan, 'gold');
    world.hooks.answer('Session', deny('Not today.'));
    assertRefused(await begin(), 'denied');
  });

  test('signed userinfo', async () => {
    const Authorization = `Bearer ${await token('signedui')}`;
    for (const request of [{ target: paths.userinfo }, { method: 'POST', target: paths.userinfo }, { target: `${paths.userinfo}/` }]) {
      const answer = await world.send({ ...request, headers: { Authorization } });
      assert.deepEqual(foreignTokens(answer), []);
      assert.equal(answer.status, 200, answer.text);
      assert.match(answer.header('content-type'), /^application\/jwt/);
      assert.equal((await web.verify(answer.text, { audience: 'signedui' })).email, 'bob@example.org');
    }
  });

  test('introspection as a JWT', async () => {
    const held = await token('jwtintro');
    for (const accept of ['application/jwt', 'application/token-introspection+jwt', 'application/json, application/jwt', 'APPLICATION/JWT', '*/*']) {
      const answer = await world.post(paths.introspect, { token: held }, { Authorization: basic('jwtintro'), Accept: accept });
      assert.deepEqual(foreignTokens(answer), [], accept);
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.json.plan, 'gold', accept);
      if (/application\/jwt/i.test(accept)) assert.equal((await web.verify(answer.json.jwt)).plan, 'gold', accept);
    }
  });

  test('token exchange into an ID token', async () => {
    const subject = await token('svc');
    const exchange = () => world.post(
      paths.token,
      { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: subject, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', requested_token_type: 'urn:ietf:params:oauth:token-type:id_token', scope: 'openid' },
      { Authorization: basic('svc') },
    );
    world.hooks.answer('Session', allow({ id_token: { claims: { only: 'in ID tokens' } } }));
    const answer = await exchange();
    assert.equal(answer.status, 200, answer.text);
    const id = await web.verify(answer.json.access_token, { audience: 'svc' });
    assert.deepEqual([id.typ, id.only], ['ID', 'in ID tokens']);
    world.hooks.answer('Session', deny('Not today.'));
    assertRefused(await exchange(), 'exchange');
  });

  test('token exchange into anything else', async () => {
    const subject = await token('svc');
    for (const type of ['saml2', 'refresh_token', 'access_token', 'jwt', 'saml1']) {
      const answer = await world.post(
        paths.token,
        { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: subject, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', requested_token_type: `urn:ietf:params:oauth:token-type:${type}` },
        { Authorization: basic('svc') },
      );
      assert.deepEqual(foreignTokens(answer), [], type);
      if (answer.status === 200) assert.equal((await web.verify(answer.json.access_token)).plan, 'gold', type);
      else assertRefused(answer, type);
    }
  });

  test('offline tokens', async () => {
    world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
    const login = await world.post(paths.token, { grant_type: 'password', username: 'bob', password: world.secretOf('bob'), scope: 'openid offline_access' }, { Authorization: basic('svc') });
    assert.equal(login.status, 200, login.text);
    world.hooks.answer('Session', allow({ claims: { plan: 'platinum' } }));
    const renewed = await world.post(paths.token, { grant_type: 'refresh_token', refresh_token: login.json.refresh_token }, { Authorization: basic('svc') });
    assert.equal(renewed.status, 200, renewed.text);
    for (const name of ['access_token', 'id_token']) assert.equal((await web.verify(renewed.json[name])).plan, 'platinum');
  });

  test('tokens for a container registry', async () => {
    const { username, password } = { username: 'bob', password: world.secretOf('bob') };
    const Authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    for (const target of ['auth', 'auth/', '/auth', 'AUTH', '%61uth', 'auth;x=y']) {
      const answer = await world.send({ target: `/realms/tg/protocol/docker-v2/${target}?service=registry&account=bob`, headers: { Authorization } });
      assert.deepEqual(foreignTokens(answer), [], target);
      assert.ok(answer.status >= 400, target);
    }
  });

  test('credential issuance and the keys of its issuer', async () => {
    for (const target of ['/realms/tg/.well-known/jwt-vc-issuer', '/realms/tg/protocol/oid4vc/credential', '/realms/tg/protocol/oid4vc/nonce']) {
      const answer = await world.send({ target, method: target.includes('well-known') ? 'GET' : 'POST' });
      assert.ok(answer.status >= 400, `${target} ${answer.status}`);
    }
  });
});
