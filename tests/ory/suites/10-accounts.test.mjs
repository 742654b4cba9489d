// Kratos: accounts that people open, by form and by API, and those that others make for them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { allow, deny } from '../../keycloak/lib/hooks.mjs';
import { form, multipart, urlencoded } from '../../keycloak/lib/wire.mjs';
import { World } from '../lib/world.mjs';

let world;
before(async () => (world = await World.open('accounts')));
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));

const password = 'canary-pw-8f1e-of-somebody-new';

/** A registration flow of the API: its id. */
const flow = async () => (await world.send({ target: '/self-service/registration/api', headers: { Accept: 'application/json' } })).json.id;

const register = async (email) => {
  world.canaries.add('password', password);
  return world.json('POST', `/self-service/registration?flow=${await flow()}`, { method: 'password', password, traits: { email } });
};

test('a registration by API is asked about, and the identity is there', async () => {
  world.hooks.answer('Signup', allow());
  const answer = await register('new@work.example');
  assert.equal(answer.status, 200, answer.text);
  assert.equal(world.hooks.events('PRE_SIGNUP').at(-1).data.user.email, 'new@work.example');
  assert.ok((await world.identities()).includes('new@work.example'));
});

test('a denied registration by API has the shape of Kratos\' errors, and makes nothing', async () => {
  world.hooks.answer('Signup', deny('Work addresses only.'));
  const answer = await register('ada@mail.example');
  assert.deepEqual([answer.status, answer.json.error.message], [403, 'Work addresses only.']);
  assert.ok(!(await world.identities()).includes('ada@mail.example'));
});

test('the registration form of a browser, denied and then allowed in the same flow', async () => {
  const visitor = world.visitor();
  const begun = await visitor.send({ target: '/self-service/registration/browser', headers: { Accept: 'application/json' } });
  const { id, ui } = begun.json;
  const csrf = world.canaries.add('CSRF token', ui.nodes.find(({ attributes }) => attributes.name === 'csrf_token').attributes.value);
  const submit = () => visitor.send({
    method: 'POST',
    target: `/self-service/registration?flow=${id}`,
    headers: { 'Content-Type': urlencoded, Accept: 'text/html' },
    body: form({ csrf_token: csrf, method: 'password', password, 'traits.email': 'form@work.example' }),
  });
  world.hooks.answer('Signup', deny('Not now.'));
  const denied = await submit();
  assert.equal(denied.status, 403);
  assert.match(denied.text, /Not now\./);
  assert.ok(!(await world.identities()).includes('form@work.example'));
  world.hooks.answer('Signup', allow());
  const made = await submit();
  assert.equal(made.status, 303, made.text.slice(0, 300));
  assert.ok((await world.identities()).includes('form@work.example'));
});

test('no spelling of a registration gets past a denial', async (t) => {
  world.hooks.answer('Signup', deny('No.'));
  const body = JSON.stringify({ method: 'password', password, traits: { email: 'sly@mail.example' } });
  const fields = form({ method: 'password', password, 'traits.email': 'sly@mail.example' });
  const json = { 'Content-Type': 'application/json' };
  const tally = {};
  for (const path of ['/self-service/registration', '/self-service/%72egistration', '/self-service//registration', '/self-service%2Fregistration', '/self-service/x/../registration', '/self-service/registration/', '/SELF-SERVICE/registration', '/self-service/./registration', '/self-service/registration;a=b']) {
    const part = multipart({ method: 'password', password, 'traits.email': 'sly@mail.example' });
    for (const [headers, text] of [[json, body], [{ 'Content-Type': urlencoded }, fields], [{}, body], [{ 'Content-Type': 'text/plain' }, body], [{ 'Content-Type': part.type }, part.body], [json, body.replace('"traits"', '"traits": {"email": "other@work.example"}, "traits"')], [json, `${body} {}`]]) {
      const answer = await world.send({ method: 'POST', target: `${path}?flow=${await flow()}`, headers, body: text, deadline: 20_000 }).catch(() => ({ status: 'cut off' }));
      tally[answer.status] = (tally[answer.status] ?? 0) + 1;
    }
    assert.ok(!(await world.identities()).includes('sly@mail.example'), path);
  }
  t.diagnostic(JSON.stringify(tally));
});

test('identities that the admin API makes, one and many, and recovery codes', async () => {
  const make = (email) => world.json('POST', '/admin/identities', { schema_id: 'default', traits: { email } });
  world.hooks.answer('Invitation', allow());
  const made = await make('guest@work.example');
  assert.equal(made.status, 201, made.text);
  assert.equal(world.hooks.events('PRE_USER_INVITATION').at(-1).data.user.email, 'guest@work.example');
  world.hooks.decide('Invitation', ({ data }) => (/mail\.example$/.test(data.user?.email) ? deny('No seats left.') : allow()));
  assert.equal((await make('late@mail.example')).status, 403);
  const mark = world.hooks.events('PRE_USER_INVITATION').length;
  const batch = await world.json('PATCH', '/admin/identities', { identities: ['one@work.example', 'two@mail.example'].map((email) => ({ create: { schema_id: 'default', traits: { email } } })) });
  assert.equal(batch.status, 403, batch.text);
  assert.deepEqual(world.hooks.events('PRE_USER_INVITATION').slice(mark).map(({ data }) => data.user.email), ['one@work.example', 'two@mail.example']);
  const there = await world.identities();
  assert.deepEqual(['guest@work.example', 'late@mail.example', 'one@work.example', 'two@mail.example'].map((email) => there.includes(email)), [true, false, false, false]);
  world.hooks.answer('Invitation', deny('Nobody is invited.'));
  const code = await world.json('POST', '/admin/recovery/code', { identity_id: made.json.id });
  assert.deepEqual([code.status, world.hooks.events('PRE_USER_INVITATION').at(-1).data.user.id], [403, made.json.id]);
});

test('a session is not made a JWT', async () => {
  const answer = await world.send({ target: '/sessions/whoami?tokenize_as=app' });
  assert.equal(answer.status, 400, answer.text);
  assert.equal((await world.send({ target: '/sessions/whoami' })).status, 401);
});
