// Accounts that nobody was asked about: noticed at their first token, by a service account at Keycloak's admin API.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { secretOf } from '../realm.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { paths } from '../lib/keycloak.mjs';
import { until } from '../lib/processes.mjs';
import { firstForm, registration } from '../lib/visitor.mjs';
import { form } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const message = 'Please ask your company for an account.';
const mark = 'tollgate-asked';

let world;
const since = new Date().toISOString();

before(async () => {
  world = await World.open('late-signup', {
    sections: {
      upstream: {
        service_account: { client_id: 'keeper', client_secret: { file: 'keeper.key' } },
        late_signup: { since },
      },
    },
    files: { 'keeper.key': secretOf('keeper') },
  });
  world.canaries.add('client secret', secretOf('keeper'));
});
after(() => world?.close());

const late = (username) => world.hooks.events('PRE_SIGNUP', (event) => event.interceptor_context.late && event.data.user?.username === username);
const redeem = (code) => world.post(paths.token, { grant_type: 'authorization_code', client_id: 'web', code, redirect_uri: world.redirect });
const password = (username, rest = {}) => world.post(paths.token, { grant_type: 'password', client_id: 'web', scope: 'openid', username, password: secretOf(username), ...rest });
const marks = async (id) => (await world.keycloak.admin('GET', `/tg/users/${id}/groups`)).json.map(({ name }) => name);

/** Comes by the partner and back with a code; no form of ours is on the way. */
async function arrive(username, visitor = world.visitor()) {
  const query = form({ client_id: 'web', redirect_uri: world.redirect, response_type: 'code', scope: 'openid', kc_idp_hint: 'partner' });
  const page = await visitor.open(`${world.origin}${paths.auth}?${query}`);
  world.canaries.add('password', secretOf(username));
  const back = await visitor.submit(firstForm(page.text), { username, password: secretOf(username) });
  const code = back.location?.searchParams.get('code');
  assert.ok(code, `${back.status} ${back.text.slice(0, 300)}`);
  return code;
}

describe('first login through another provider, without a form', () => {
  test('denied late: no token, the tokens that were made are worthless, and the account is disabled', async () => {
    world.hooks.answer('Signup', deny(message));
    const code = await arrive('fay');
    assert.ok(await world.keycloak.user('fay'), 'the account is made without a question');
    const answer = await redeem(code);
    assert.deepEqual([answer.status, answer.json], [400, { error: 'access_denied', error_description: message }]);
    const [event] = late('fay');
    assert.equal(event.interceptor_context.operation, 'token');
    assert.equal(event.interceptor_context.client_id, 'web');
    assert.deepEqual(event.interceptor_context.connection_details, [{ id: 'partner' }]);
    assert.equal(event.data.user.email, 'fay@example.org');
    assert.equal(event.data.claims, undefined);
    assert.equal(world.hooks.events('PRE_SESSION_CREATION', (other) => other.data.user.username === 'fay').length, 0);
    const user = await world.keycloak.user('fay');
    assert.equal(user.enabled, false);
    assert.equal(user.email, 'fay@example.org', 'nothing else of the account was changed');
    assert.equal(user.federationLink, undefined);
    const [record] = await world.tollgate.audit('--kind', 'account');
    assert.deepEqual([record.reason, record.user_id, record.failure], ['account disabled', user.id, undefined]);
    await until('the refresh token is revoked', async () => (await world.tollgate.audit('--kind', 'revocation')).some(({ reason }) => reason === 'refresh_token revoked'));
  });

  test('allowed late: asked once, marked, and not asked again, not even by another process', async () => {
    world.hooks.answer('Signup', allow());
    const answer = await redeem(await arrive('gus'));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(late('gus').length, 1);
    const { id } = await world.keycloak.user('gus');
    assert.deepEqual(await marks(id), [mark]);
    const again = await world.post(paths.token, { grant_type: 'refresh_token', client_id: 'web', refresh_token: answer.json.refresh_token });
    assert.equal(again.status, 200, again.text);
    await world.tollgate.stop();
    await world.tollgate.start();
    assert.equal((await redeem(await arrive('gus'))).status, 200);
    assert.equal(late('gus').length, 1);
  });

  test('denied late in the front channel, too', async () => {
    world.hooks.answer('Signup', deny(message));
    const visitor = world.visitor();
    const query = form({ client_id: 'web', redirect_uri: world.redirect, response_type: 'id_token token', nonce: 'nonce-of-the-suite', scope: 'openid', kc_idp_hint: 'partner' });
    const page = await visitor.open(`${world.origin}${paths.auth}?${query}`);
    world.canaries.add('password', secretOf('kim'));
    const back = await visitor.submit(firstForm(page.text), { username: 'kim', password: secretOf('kim') });
    const answered = new URLSearchParams(back.location.hash.slice(1));
    assert.equal(answered.get('error'), 'access_denied');
    assert.equal(answered.get('access_token') ?? answered.get('id_token'), null);
    assert.equal(late('kim').length, 1);
    assert.equal((await world.keycloak.user('kim')).enabled, false);
  });

  test('an endpoint that is away denies the token, and leaves the account alone', async () => {
    world.hooks.answer('Signup', (request, response) => response.writeHead(503).end());
    const answer = await redeem(await arrive('hana'));
    assert.equal(answer.json.error, 'access_denied');
    assert.equal((await world.keycloak.user('hana')).enabled, true);
    world.hooks.answer('Signup', allow());
    assert.equal((await redeem(await arrive('hana'))).status, 200);
  });
});

describe('accounts that somebody was asked about', () => {
  test('one that registered with the form is not asked about again', async () => {
    world.hooks.answer('Signup', allow());
    const username = `early${world.tag}`;
    const visitor = world.visitor();
    const page = await visitor.registrationForm('web', world.redirect);
    const done = await visitor.submit(page, registration(username, world.canaries.add('password', 'a-long-password-1')));
    assert.equal((await redeem(done.location.searchParams.get('code'))).status, 200);
    assert.equal(late(username).length, 0);
    assert.deepEqual(await marks((await world.keycloak.user(username)).id), [mark]);
  });

  test('one that is older than the obligation is not asked about', async () => {
    world.hooks.answer('Signup', deny(message));
    assert.equal((await password('bob')).status, 200);
    assert.equal(late('bob').length, 0);
  });

  test('a form that the upstream refused vouches for nobody', async () => {
    world.hooks.answer('Signup', allow());
    await arrive('ivo');
    const visitor = world.visitor();
    const page = await visitor.registrationForm('web', world.redirect);
    const typed = registration('ivo', world.canaries.add('password', 'a-long-password-2'), { email: 'good@allowed.example' });
    const refused = await visitor.submit(page, typed);
    assert.equal(refused.location, undefined, 'the name is taken');
    assert.deepEqual(await marks((await world.keycloak.user('ivo')).id), []);
    world.hooks.answer('Signup', deny(message));
    assert.equal((await redeem(await arrive('ivo'))).json.error, 'access_denied');
  });
});

test('an account made past Tollgate is asked about, with what the account has though the token has it not', async () => {
  world.hooks.answer('Signup', deny(message));
  const username = `past${world.tag}`;
  const credentials = [{ type: 'password', value: world.canaries.add('password', secretOf(username)), temporary: false }];
  const made = await world.keycloak.admin('POST', '/tg/users', { username, email: `${username}@new.example`, firstName: 'Pa', lastName: 'St', enabled: true, credentials });
  assert.equal(made.status, 201, made.text);
  assert.equal((await password(username)).json.error_description, message);
  assert.equal(late(username)[0].data.user.email_domain, 'new.example');
  assert.equal((await world.keycloak.user(username)).enabled, false);
});

describe('an ALLOW that asks for a membership', () => {
  const joins = (membership) => allow({ create_organization_membership: membership });
  const members = async (organization) => (await world.keycloak.admin('GET', `/tg/organizations/${organization}/members?max=100`)).json.map(({ username }) => username);
  const register = async (username, rest = {}) => {
    const visitor = world.visitor();
    const page = await visitor.registrationForm('web', world.redirect);
    return visitor.submit(page, registration(username, world.canaries.add('password', 'a-long-password-3'), rest));
  };
  const outcome = (username) =>
    until(`the membership of ${username} is recorded`, async () => (await world.tollgate.audit('--kind', 'membership')).find(({ user_email }) => user_email.startsWith(`${username}@`)));
  let acme;
  before(async () => {
    acme = (await world.keycloak.organization('acme')).id;
    const kept = (await world.keycloak.admin('GET', `/tg/organizations/${acme}`)).json;
    const saved = await world.keycloak.admin('PUT', `/tg/organizations/${acme}`, { ...kept, attributes: { external_id: ['crm-7'] } });
    assert.equal(saved.status, 204, saved.text);
  });

  for (const [how, membership] of [
    ['its id', () => ({ organization_id: acme })],
    ['its alias', () => ({ external_organization_id: 'acme' })],
    ['its attribute `external_id`', () => ({ external_organization_id: 'crm-7', roles: ['admin'] })],
  ]) {
    test(`of an organization by ${how}`, async () => {
      const asked = membership();
      world.hooks.answer('Signup', joins(asked));
      const username = `joins${world.tag}${how.length}`;
      assert.ok((await register(username)).location);
      const record = await outcome(username);
      assert.deepEqual([record.reason, record.failure, record.answer], ['membership created', undefined, asked]);
      assert.equal(record.warnings?.length ?? 0, asked.roles ? 1 : 0);
      assert.ok((await members(acme)).includes(username));
    });
  }

  test('of an organization that is not there: the account stays, and the record says why', async () => {
    world.hooks.answer('Signup', joins({ external_organization_id: 'no-such' }));
    const username = `lost${world.tag}`;
    assert.ok((await register(username)).location);
    const record = await outcome(username);
    assert.equal(record.reason, 'membership not created');
    assert.equal(record.failure.detail, 'the upstream has no organization of that external id');
    assert.equal((await world.keycloak.user(username)).enabled, true);
  });

  test('with a form that the upstream takes exception to: nobody joins', async () => {
    world.hooks.answer('Signup', joins({ organization_id: acme }));
    const username = `wrong${world.tag}`;
    const page = await register(username, { 'password-confirm': 'another' });
    assert.equal(page.location, undefined);
    assert.equal((await outcome(username)).failure.detail, 'the upstream made no account by this request');
  });

  test('of somebody who is asked about late', async () => {
    world.hooks.answer('Signup', joins({ organization_id: acme }));
    await redeem(await arrive('jana'));
    assert.ok((await members(acme)).includes('jana'));
    assert.equal((await outcome('jana')).reason, 'membership created');
  });
});

test('`check` says that the service account can do its work', async () => {
  const checked = await world.tollgate.command('check', '--realm', 'tg');
  assert.match(checked.stdout, /ok {4}realm tg +the service account `keeper` may look at accounts and marks/);
  assert.match(checked.stdout, /late signups/);
  const other = await world.tollgate.command('check', '--realm', 'partner');
  assert.match(other.stdout, /FAIL {2}realm partner +the service account `keeper` gets no token/);
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
