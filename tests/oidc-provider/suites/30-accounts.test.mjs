// Signup and invitation of the application around the provider, by the operator's own routes in docs/examples/own-routes.toml.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { allow, deny } from '../../keycloak/lib/hooks.mjs';
import { oidc } from '../../keycloak/lib/party.mjs';
import { form, multipart, urlencoded } from '../../keycloak/lib/wire.mjs';
import { World } from '../lib/world.mjs';

let world;
before(async () => (world = await World.open('accounts')));
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));

const password = 'canary-password-of-somebody-new';
const signup = (email) => ({ email, name: 'New Comer', password: world.canaries.add('password', password) });

test('a signup is asked about, and the account is there', async () => {
  world.hooks.answer('Signup', allow());
  const answer = await world.post('/signup', signup('new@work.example'));
  assert.equal(answer.status, 303, answer.text);
  const { data, interceptor_context: context } = world.hooks.events('PRE_SIGNUP').at(-1);
  assert.deepEqual([data.user.email, data.user.name, context.user_email], ['new@work.example', 'New Comer', 'new@work.example']);
  assert.ok((await world.there()).accounts.includes('new@work.example'));
});

test('a denied signup is a page with the message, and the application never hears of it', async () => {
  world.hooks.answer('Signup', deny('Work addresses only.'));
  const answer = await world.post('/signup', signup('ada@mail.example'), { Accept: 'text/html' });
  assert.equal(answer.status, 403);
  assert.match(answer.text, /Work addresses only\./);
  assert.ok(!(await world.there()).accounts.includes('ada@mail.example'));
});

test('no spelling of a signup gets past a denial', async (t) => {
  world.hooks.answer('Signup', deny('No.'));
  const before = (await world.there()).accounts.length;
  const fields = form(signup('sly@mail.example'));
  const headers = { 'Content-Type': urlencoded };
  const { body, type } = multipart(signup('sly@mail.example'));
  const post = (target, rest = {}) => ({ method: 'POST', target, headers, body: fields, ...rest });
  const spellings = [
    post('/signup/'), post('/SIGNUP'), post('/SignUp/'), post('//signup'), post('/%73ignup'), post('/x/../signup'), post('/./signup'), post('/signup;a=b'), post('/signup#x'), post('/signup?x=y'),
    post('/signup%2F'), post('/signup%00'), post(`${world.origin}/signup`), post('http://elsewhere.example/signup'), post('/signup', { body: fields.replace('email', '%65mail') }),
    post('/signup', { body: `${fields}&email=other%40mail.example` }), post('/signup?email=other%40mail.example'), post('/signup', { headers: { 'Content-Type': 'text/plain' } }), post('/signup', { headers: {} }),
    post('/signup', { headers: { 'Content-Type': `${urlencoded}; charset=utf-16` } }), post('/signup', { headers: { 'Content-Type': type }, body }), post('/signup', { headers: { ...headers, 'X-HTTP-Method-Override': 'GET' } }),
    post('/signup', { headers: { ...headers, 'Content-Encoding': 'gzip' } }), post('/signup', { version: '1.0' }),
  ];
  const tally = {};
  for (const spelling of spellings) {
    const answer = await world.send({ deadline: 20_000, ...spelling }).catch(() => ({ status: 'cut off' }));
    tally[answer.status] = (tally[answer.status] ?? 0) + 1;
    assert.equal((await world.there()).accounts.length, before, `${spelling.target} ${JSON.stringify(spelling.headers)} ${spelling.body}`);
  }
  t.diagnostic(`${spellings.length} spellings: ${JSON.stringify(tally)}`);
});

test('an invitation is asked about, with who invites, allowed and denied', async () => {
  world.hooks.answer('Machine', allow());
  const svc = await world.party('svc');
  const { access_token: token } = world.keep(await oidc.clientCredentialsGrant(svc.config, { scope: 'read', resource: 'urn:api' }));
  const invite = (email) => world.send({
    method: 'POST',
    target: '/api/organizations/acme/invitations',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    body: JSON.stringify({ email }),
  });
  world.hooks.answer('Invitation', allow());
  const made = await invite('guest@example.org');
  assert.equal(made.status, 201, made.text);
  const { data, interceptor_context: context } = world.hooks.events('PRE_USER_INVITATION').at(-1);
  assert.deepEqual([data.user.email, data.organization.id, context.organization_id, context.client_id], ['guest@example.org', 'acme', 'acme', 'svc']);
  world.hooks.answer('Invitation', deny('No seats left.'));
  const denied = await invite('late@example.org');
  assert.deepEqual([denied.status, denied.json.error, denied.json.error_description], [400, 'access_denied', 'No seats left.']);
  const { invitations } = await world.there();
  assert.deepEqual(invitations.map(({ email }) => email), ['guest@example.org']);
});
