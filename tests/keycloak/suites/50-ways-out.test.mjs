// Ways by which tokens could leave beside the token endpoint. They are not served: each is refused with a clear error, and no answer on the way
// holds anything that the upstream signed for clients.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { allow } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { headerOf, Party } from '../lib/party.mjs';
import { firstForm } from '../lib/visitor.mjs';
import { form, multipart, urlencoded } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

let world;
let ours;
let web;

before(async () => {
  world = await World.open('ways-out');
  ours = new Set((await world.send({ target: paths.certs })).json.keys.map(({ kid }) => kid));
  web = await Party.of(world, 'web');
});
after(() => world?.close());

/** The tokens in an answer, wherever it has them, that are signed for clients but not by Tollgate. */
function foreignTokens(answer) {
  const places = [answer.text, ...answer.headers.filter(([name]) => name.toLowerCase() !== 'set-cookie').map(([, value]) => value)];
  const found = places.flatMap((place) => `${place} ${tryDecode(place)}`.match(/eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g) ?? []);
  return found.filter((token) => {
    const { alg, kid } = headerOf(token);
    // HS* tokens are the upstream's notes to itself (action tokens, refresh tokens): nobody else can verify them.
    return !alg.startsWith('HS') && !ours.has(kid);
  });
}

const tryDecode = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
};

/** What a refusal has to look like: an OAuth error, or a page, or a redirect to the client with an error; and nothing let through. */
function assertRefused(answer, what) {
  assert.deepEqual(foreignTokens(answer).map(headerOf), [], what);
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
  for (const [name, send] of Object.entries(ways)) {
    test(`response types and modes with tokens, ${name}`, async () => {
      const visitor = await loggedIn();
      for (const request of requests) {
        const answer = await send(visitor, authorization(request));
        assertRefused(answer, `${name} ${JSON.stringify(request)}`);
      }
    });
  }

  test('pushed authorization requests', async () => {
    const visitor = await loggedIn();
    for (const request of requests) {
      for (const fields of [authorization(request), { client_id: 'web', request: unsecured(authorization(request)) }, { ...authorization(), request: unsecured(authorization(request)) }]) {
        const pushed = await world.post(`${paths.protocol}/ext/par/request`, fields);
        if (pushed.status === 201) {
          // What was pushed is refused where it is redeemed.
          const redeemed = await visitor.send({ target: `${paths.auth}?${form({ client_id: 'web', request_uri: pushed.json.request_uri })}` });
          assertRefused(redeemed, `pushed ${JSON.stringify(fields)}`);
        } else assertRefused(pushed, `pushed ${JSON.stringify(fields)}`);
      }
    }
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
    direct.origin = world.keycloak.url;
    let page = await direct.send({ target: `${paths.auth}?${form(authorization({ response_type: 'id_token token' }))}` });
    direct.origin = world.origin;
    page = await direct.submit(firstForm(page.text), { username: 'bob' });
    const { path, query, fields } = firstForm(page.text);
    const answer = await direct.send({ method: 'POST', target: `${path}?${query}`, headers: { 'Content-Type': urlencoded }, body: form({ ...fields, username: 'bob', password: world.secretOf('bob') }) });
    assert.deepEqual(foreignTokens(answer).map(headerOf), []);
  });
});

describe('other endpoints', () => {
  const token = async (client, username = 'bob') => {
    world.hooks.answer('Session', allow());
    const answer = await world.post(paths.token, { grant_type: 'password', username, password: world.secretOf(username), scope: 'openid' }, { Authorization: basic(client) });
    assert.equal(answer.status, 200, answer.text);
    return answer.json.access_token;
  };

  test('user-managed access: the ticket grant, its permissions and its decision', async () => {
    const Authorization = `Bearer ${await token('svc')}`;
    for (const extra of [{}, { response_mode: 'permissions' }, { response_mode: 'decision' }]) {
      const answer = await world.post(paths.token, { grant_type: 'urn:ietf:params:oauth:grant-type:uma-ticket', audience: 'svc', ...extra }, { Authorization });
      assertRefused(answer, JSON.stringify(extra));
    }
  });

  test('CIBA: the authentication request and the grant', async () => {
    const Authorization = basic('svc');
    assertRefused(await world.post(`${paths.protocol}/ext/ciba/auth`, { scope: 'openid', login_hint: 'bob' }, { Authorization }), 'request');
    assertRefused(await world.post(paths.token, { grant_type: 'urn:openid:params:grant-type:ciba', auth_req_id: 'x' }, { Authorization }), 'grant');
  });

  test('signed userinfo', async () => {
    const Authorization = `Bearer ${await token('signedui')}`;
    for (const request of [{ target: paths.userinfo }, { method: 'POST', target: paths.userinfo }, { target: `${paths.userinfo}/` }]) {
      const answer = await world.send({ ...request, headers: { Authorization } });
      assert.deepEqual(foreignTokens(answer).map(headerOf), []);
      assert.ok(answer.status >= 400, answer.text);
    }
  });

  test('introspection as a JWT', async () => {
    const held = await token('jwtintro');
    for (const accept of ['application/jwt', 'application/token-introspection+jwt', 'application/json, application/jwt', 'APPLICATION/JWT', '*/*']) {
      const answer = await world.post(paths.introspect, { token: held }, { Authorization: basic('jwtintro'), Accept: accept });
      assert.deepEqual(foreignTokens(answer).map(headerOf), [], accept);
      assert.ok(answer.status >= 400 || answer.json.jwt === undefined, `${accept}: ${answer.text}`);
    }
  });

  test('token exchange into an ID token', async () => {
    const subject = await token('svc');
    const answer = await world.post(
      paths.token,
      { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: subject, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', requested_token_type: 'urn:ietf:params:oauth:token-type:id_token', scope: 'openid' },
      { Authorization: basic('svc') },
    );
    assertRefused(answer, 'exchange');
  });

  test('tokens for a container registry', async () => {
    const { username, password } = { username: 'bob', password: world.secretOf('bob') };
    const Authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    for (const target of ['auth', 'auth/', '/auth', 'AUTH', '%61uth', 'auth;x=y']) {
      const answer = await world.send({ target: `/realms/tg/protocol/docker-v2/${target}?service=registry&account=bob`, headers: { Authorization } });
      assert.deepEqual(foreignTokens(answer).map(headerOf), [], target);
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
