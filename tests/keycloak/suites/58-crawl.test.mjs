// Everything that the discovery documents, the consoles, their scripts and the admin REST API name is asked for, by nobody, by a user and by an administrator:
// no answer holds a token under the upstream's keys, in whatever encoding, nor a key of the upstream's where none is documented.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { Crawler, isAsset } from '../lib/crawler.mjs';
import { Keys, jwss, placesOf } from '../lib/leaks.mjs';
import { Party } from '../lib/party.mjs';
import { form, send, urlencoded } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const realms = ['tg', 'partner', 'master'];
const wellKnown = ['openid-configuration', 'oauth-authorization-server', 'uma2-configuration', 'jwt-vc-issuer', 'openid-credential-issuer', 'ssf-configuration', 'authzen-configuration'];
/** An administrator reads the realm's keys there. */
const documented = /^\/admin\/realms\/[^/]+\/keys$/;

let world;
let keys;
let values;

before(async () => {
  world = await World.open('crawl', { sections: { upstream: { egress: 'log' } } });
  world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
  // What a crawler makes by accident is not made.
  for (const name of ['Signup', 'Invitation']) world.hooks.answer(name, deny('Nobody new.'));
  keys = await Keys.of(world);
  values = await known();
});
after(() => world?.close());

/** What stands in the variables of a path, by the segment before them. */
async function known() {
  const first = async (path, pick = () => true) => (await world.keycloak.admin('GET', path)).json.find(pick)?.id;
  const [flow] = (await world.keycloak.admin('GET', '/tg/authentication/flows')).json;
  const [execution] = (await world.keycloak.admin('GET', `/tg/authentication/flows/${encodeURIComponent(flow.alias)}/executions`)).json;
  const client = await first('/tg/clients?clientId=svc');
  const resources = (await world.keycloak.admin('GET', `/tg/clients/${client}/authz/resource-server/resource`)).json;
  return {
    realm: 'tg', realms: 'tg', users: (await world.keycloak.user('bob')).id, clients: client, organizations: (await world.keycloak.organization('acme')).id,
    'client-scopes': await first('/tg/client-scopes'), components: await first('/tg/components'), flows: flow.id, 'flows/flowAlias': flow.alias, executions: execution.id,
    instances: 'partner', roles: 'offline_access', 'roles-by-id': await first('/tg/roles', ({ name }) => name === 'offline_access'), resource: resources[0]._id,
    policy: await first(`/tg/clients/${client}/authz/resource-server/policy`), scope: await first(`/tg/clients/${client}/authz/resource-server/scope`),
    providers: 'keycloak-oidc-keycloak-json', certificates: 'jwt.credential', protocol: 'openid-connect', 'federated-identity': 'partner', broker: 'partner', type: 'users',
    clientUniqueId: client, userId: (await world.keycloak.user('bob')).id, id: client, alias: 'partner', roleName: 'offline_access', provider: 'google', attr: 'jwt.credential',
  };
}

/** Nobody, a user and an administrator, who are logged in at Keycloak in their browser and have an access token. */
async function everybody() {
  const person = async (name, username) => {
    const visitor = world.visitor();
    const own = {};
    if (username) {
      const tokens = await (await Party.of(world, 'web')).logIn(username, visitor);
      own.Authorization = `Bearer ${tokens.access_token}`;
    }
    return { name, send: (request) => visitor.send({ ...request, headers: { ...own, ...request.headers } }) };
  };
  return [await person('nobody'), await person('a user', 'bob'), await person('an administrator', 'alice')];
}

/** Where the walk begins. */
function seed(crawler) {
  for (const target of ['/', '/robots.txt', '/admin/', '/admin/tg/console/', '/admin/master/console/', '/admin/serverinfo', '/health', '/metrics', '/openapi', '/js/keycloak.js', '/resources/']) crawler.add('GET', target);
  for (const realm of realms) {
    for (const name of wellKnown) {
      crawler.add('GET', `/realms/${realm}/.well-known/${name}`);
      crawler.add('GET', `/.well-known/${name}/realms/${realm}`);
    }
    for (const target of ['', '/account/', '/account/?userProfileMetadata=true', '/protocol/saml/descriptor', '/protocol/docker-v2/auth', '/clients-managements', '/login-actions/authenticate', '/device', '/broker/partner/token', '/broker/partner/endpoint', '/broker/partner/link', '/clients-registrations/install/svc', '/clients-registrations/default/svc', '/clients-registrations/openid-connect/svc', '/authz/protection/resource_set', '/authz/protection/permission/ticket', '/scim/v2/Users', '/scim/v2/ServiceProviderConfig', '/scim/v2/Schemas', '/protocol/openid-connect/login-status-iframe.html/init', '/protocol/openid-connect/3p-cookies/step1.html', '/protocol/openid-connect/3p-cookies/step2.html', '/protocol/openid-connect/delegated']) {
      crawler.add('GET', `/realms/${realm}${target}`);
    }
  }
  const authorization = { client_id: 'web', redirect_uri: world.redirect, scope: 'openid', nonce: 'n-0S6_WzA2Mj', state: 'af0ifjsldkj', prompt: 'none' };
  for (const type of ['code', 'token', 'id_token', 'id_token token', 'code id_token', 'code token', 'code id_token token', 'none']) {
    for (const mode of ['query', 'fragment', 'form_post', 'jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt']) crawler.add('GET', `${paths.auth}?${form({ ...authorization, response_type: type, response_mode: mode })}`);
  }
  // Every endpoint of the protocol takes forms, of everybody and of clients.
  const subject = 'urn:ietf:params:oauth:token-type:access_token';
  for (const client of [{}, { Authorization: basic('svc') }, { Authorization: basic('es') }, { Authorization: basic('jwtintro'), Accept: 'application/jwt' }]) {
    const headers = { 'Content-Type': urlencoded, ...client };
    const post = (target, fields) => crawler.add('POST', target, { headers, body: form(fields) });
    for (const endpoint of ['token', 'token/introspect', 'userinfo', 'revoke', 'auth', 'auth/device', 'ext/ciba/auth', 'ext/par/request', 'registrations', 'certs']) post(`${paths.protocol}/${endpoint}`, {});
    const bob = { username: 'bob', password: world.secretOf('bob'), scope: 'openid offline_access' };
    for (const fields of [{ grant_type: 'password', ...bob }, { grant_type: 'client_credentials', scope: 'openid' }, { grant_type: 'urn:ietf:params:oauth:grant-type:uma-ticket', audience: 'svc' }, { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: 'x', subject_token_type: subject }]) post(paths.token, fields);
    post(`${paths.protocol}/auth/device`, { scope: 'openid' });
    post(`${paths.protocol}/ext/par/request`, { ...authorization, response_type: 'code id_token token' });
  }
  crawler.add('GET', paths.userinfo);
  crawler.add('GET', paths.userinfo, { headers: { Accept: 'application/jwt' } });
}

test('the search finds a token and a key in whatever they are wrapped', async () => {
  const native = (await world.keycloak.post('/token', { grant_type: 'client_credentials' }, 'svc')).json.access_token;
  const base64 = (text) => Buffer.from(text).toString('base64');
  const wrapped = {
    plain: native,
    'JSON in a string of JSON': JSON.stringify({ inner: JSON.stringify({ native }) }),
    'escaped letters of JSON': `"\\u0065${native.slice(1)}"`,
    'a form': form({ back: `https://app.example/#${form({ native })}` }),
    HTML: `<input value="&#101;${native.slice(1)}">`,
    'base64 of base64': base64(base64(native)),
    'a JWT in a JWT': `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${Buffer.from(JSON.stringify({ native })).toString('base64url')}.c2lnbmF0dXJlLW9mLXRoYXQtdG9rZW4`,
  };
  for (const [how, text] of Object.entries(wrapped)) assert.ok(jwss(text).some((found) => keys.isNative(found)), how);
  const direct = (target) => send(world.keycloak.url, { target });
  for (const target of ['/realms/tg', paths.certs, '/realms/tg/.well-known/jwt-vc-issuer', '/realms/tg/protocol/saml/descriptor']) assert.ok(keys.publishedIn(await direct(target)).length, target);
});

test("no token of the upstream's and none of its keys leave, and the net below has nothing to catch", async (t) => {
  const found = [];
  let ours = 0;
  const watch = (answer, { method, target }, { name }) => {
    const where = `${method} ${target} as ${name}`;
    if (isAsset(target)) return void (/eyJ[\w-]{30,}/.test(answer.text) && found.push(`${where}: something like a token`));
    const tokens = placesOf(answer).flatMap(jwss);
    ours += tokens.filter((token) => keys.isOurs(token)).length;
    for (const token of tokens) if (keys.isNative(token)) found.push(`${where}: a token ${JSON.stringify(token.header)}`);
    const published = keys.publishedIn(answer);
    if (published.length && !(name === 'an administrator' && documented.test(target.split('?')[0]))) found.push(`${where}: the key ${published}`);
  };
  const crawler = new Crawler(world.origin, await everybody(), { values, watch, most: 2500 });
  seed(crawler);
  await crawler.run();
  t.diagnostic(`${crawler.summary()}, with ${ours} tokens of Tollgate's`);
  assert.deepEqual(found, []);
  // With `log` a token that no route was responsible for would have left, and been seen here and there.
  assert.doesNotMatch(world.tollgate.logged, /a token of the upstream's own/);
  assert.deepEqual((await world.tollgate.audit('--limit', '1000')).filter((record) => JSON.stringify(record).includes('egress_guard')), []);
  assert.ok(crawler.endpoints.size > 500 && ours > 50, crawler.summary());
});
