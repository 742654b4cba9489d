// Kratos: accounts that people open, by form, script, API and by another provider, and those that others make for them.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { allow, deny } from '../../keycloak/lib/hooks.mjs';
import { flowOf, World } from '../lib/world.mjs';

let world;
before(async () => (world = await World.open('accounts')));
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));
beforeEach(() => ['Signup', 'Session', 'Invitation'].forEach((name) => world.hooks.answer(name, allow())));

const password = 'canary-pw-8f1e-of-somebody-new';
const signups = () => world.hooks.events('PRE_SIGNUP');
const invitations = () => world.hooks.events('PRE_USER_INVITATION');
const isThere = async (email) => (await world.identities()).includes(email);

/** A registration flow of the API: its id. */
const flow = async () => (await world.send({ target: '/self-service/registration/api', headers: { Accept: 'application/json' } })).json.id;

const submit = (id, fields) => world.json('POST', `/self-service/registration?flow=${id}`, fields);

async function register(email) {
  world.canaries.add('password', password);
  return submit(await flow(), { method: 'password', password, traits: { email, name: { first: 'New', last: 'Comer' } } });
}

test('a registration by API is asked about, then its session, and the identity is there', async () => {
  const { outcome, triggers } = await world.hooks.during(() => register('new@work.example'));
  assert.equal(outcome.status, 200, outcome.text);
  assert.deepEqual(triggers, ['PRE_SIGNUP', 'PRE_SESSION_CREATION']);
  const { data, interceptor_context: context } = signups().at(-1);
  assert.deepEqual([data.user.email, data.user.given_name, data.user.family_name, data.registration.method], ['new@work.example', 'New', 'Comer', 'password']);
  assert.deepEqual([context.user_email, context.operation], ['new@work.example', 'registration-by-api']);
  assert.ok(await isThere('new@work.example'));
});

test('a denied registration by API has the shape of Kratos\' errors, and makes nothing', async () => {
  world.hooks.answer('Signup', deny('Work addresses only.'));
  const answer = await register('ada@mail.example');
  assert.deepEqual([answer.status, answer.json.error.message], [403, 'Work addresses only.']);
  assert.ok(!(await isThere('ada@mail.example')));
});

test('a registration by API in two steps: both are asked about, and the second one alone makes an account', async () => {
  const id = await flow();
  const traits = { email: 'steps@work.example' };
  const first = await submit(id, { method: 'profile', traits });
  assert.equal(first.status, 400, 'Kratos asks for a credential');
  assert.ok(!(await isThere(traits.email)));
  world.hooks.decide('Signup', ({ data }) => (data.registration.method === 'profile' ? allow() : deny('Not now.')));
  assert.equal((await submit(id, { method: 'password', password, traits })).status, 403);
  assert.ok(!(await isThere(traits.email)));
  world.hooks.answer('Signup', allow());
  assert.equal((await submit(id, { method: 'password', password, traits })).status, 200);
  assert.ok(await isThere(traits.email));
});

test('the registration form of a browser in two steps, denied and then allowed in the same flow', async () => {
  const visitor = world.visitor();
  const begun = await visitor.flow('registration');
  world.hooks.answer('Signup', deny('Not now.'));
  const step = { method: 'profile', 'traits.email': 'form@work.example', 'traits.name.first': 'Form' };
  const denied = await visitor.fill('registration', begun, step);
  assert.equal(denied.status, 403);
  assert.match(denied.text, /Not now\./);
  world.hooks.answer('Signup', allow());
  const next = await visitor.fill('registration', begun, step);
  assert.deepEqual([next.status, new URL(next.header('location')).pathname], [303, '/registration'], 'to the page with the second step');
  const shown = await visitor.send({ target: `/self-service/registration/flows?id=${begun.id}`, headers: { Accept: 'application/json' } });
  assert.ok(flowOf(shown.json, world.canaries).fields.includes('password'), shown.text);
  assert.ok(!(await isThere('form@work.example')));
  const credential = { method: 'password', password, 'traits.email': 'form@work.example' };
  world.hooks.answer('Signup', deny('Not at all.'));
  assert.equal((await visitor.fill('registration', begun, credential)).status, 403);
  assert.ok(!(await isThere('form@work.example')));
  world.hooks.answer('Signup', allow());
  const made = await visitor.fill('registration', begun, credential);
  assert.equal(made.status, 303, made.text.slice(0, 300));
  assert.ok(made.all('set-cookie').some((line) => line.startsWith('ory_kratos_session=')));
  assert.ok(await isThere('form@work.example'));
});

test('the registration of a page that is a script: JSON with a cookie', async () => {
  const visitor = world.visitor();
  const begun = await visitor.flow('registration');
  const script = { 'Content-Type': 'application/json', Accept: 'application/json' };
  const fields = { method: 'password', password, traits: { email: 'script@work.example' } };
  world.hooks.answer('Signup', deny('Not now.'));
  const denied = await visitor.fill('registration', begun, fields, script);
  assert.deepEqual([denied.status, denied.json.error.message], [403, 'Not now.']);
  world.hooks.answer('Signup', allow());
  const made = await visitor.fill('registration', begun, fields, script);
  assert.equal(made.status, 200, made.text);
  assert.equal(signups().at(-1).data.user.email, 'script@work.example');
});

test('an account by another provider: the form is asked about, and the session with the address that only Kratos knows', async () => {
  const join = async (visitor) => {
    const begun = await visitor.flow('registration');
    return visitor.travel(await visitor.fill('registration', begun, { method: 'oidc', provider: 'other' }));
  };
  world.hooks.answer('Signup', deny('Not with them.'));
  const refused = await join(world.visitor());
  assert.deepEqual([refused.status, signups().at(-1).data.registration.method], [403, 'oidc']);
  assert.ok(!(await isThere('guest@other.example')));
  world.hooks.answer('Signup', allow());
  world.hooks.answer('Session', deny('Not from there.'));
  const denied = await join(world.visitor());
  assert.equal(denied.status, 403, denied.text);
  assert.deepEqual(denied.all('set-cookie'), []);
  const { data, interceptor_context: context } = world.hooks.events('PRE_SESSION_CREATION').at(-1);
  assert.deepEqual([data.user.email, data.session.method, context.operation], ['guest@other.example', 'oidc', 'self-service']);
  world.hooks.answer('Session', allow());
  world.other.person = { sub: 'other-2', email: 'second@other.example' };
  const made = await join(world.visitor());
  assert.equal(made.location?.origin, world.applicationOrigin, made.text);
  assert.equal(world.hooks.events('PRE_SESSION_CREATION').at(-1).data.user.email, 'second@other.example');
  assert.ok(await isThere('second@other.example'));
});

test('an identity that the admin API makes, allowed and denied', async () => {
  const make = (email) => world.json('POST', '/admin/identities', { schema_id: 'default', traits: { email } });
  const made = await make('guest@work.example');
  assert.equal(made.status, 201, made.text);
  assert.equal(invitations().at(-1).data.user.email, 'guest@work.example');
  world.hooks.answer('Invitation', deny('No seats left.'));
  const denied = await make('late@work.example');
  assert.deepEqual([denied.status, denied.json.error.message], [403, 'No seats left.']);
  assert.deepEqual([await isThere('guest@work.example'), await isThere('late@work.example')], [true, false]);
});

test('a batch of identities: one event for each, and one DENY for all', async () => {
  const batch = (...emails) => world.json('PATCH', '/admin/identities', { identities: emails.map((email) => ({ create: { schema_id: 'default', traits: { email } } })) });
  world.hooks.decide('Invitation', ({ data }) => (/mail\.example$/.test(data.user?.email) ? deny('Not these.') : allow()));
  const mark = invitations().length;
  assert.equal((await batch('one@work.example', 'two@mail.example')).status, 403);
  assert.deepEqual(invitations().slice(mark).map(({ data }) => data.user.email), ['one@work.example', 'two@mail.example']);
  assert.deepEqual([await isThere('one@work.example'), await isThere('two@mail.example')], [false, false]);
  const made = await batch('one@work.example', 'three@work.example');
  assert.equal(made.status, 200, made.text);
  assert.deepEqual([await isThere('one@work.example'), await isThere('three@work.example')], [true, true]);
});

for (const kind of ['link', 'code']) {
  test(`a recovery ${kind} for an identity, allowed and denied`, async () => {
    const { json: { id } } = await world.json('POST', '/admin/identities', { schema_id: 'default', traits: { email: `${kind}@work.example` } });
    const made = await world.json('POST', `/admin/recovery/${kind}`, { identity_id: id });
    assert.ok([200, 201].includes(made.status), made.text);
    world.canaries.add('recovery link', made.json.recovery_link);
    assert.deepEqual([invitations().at(-1).data.user.id, invitations().at(-1).interceptor_context.operation], [id, `recovery-${kind}`]);
    world.hooks.answer('Invitation', deny('Nobody is invited.'));
    const denied = await world.json('POST', `/admin/recovery/${kind}`, { identity_id: id });
    assert.deepEqual([denied.status, denied.json.error.message], [403, 'Nobody is invited.']);
  });
}

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
