// Accounts that people open themselves: allowed ones are there, denied ones are not, and no spelling of the request goes around the question.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { paths } from '../lib/keycloak.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { linkIn } from '../lib/smtp.mjs';
import { firstForm, registration } from '../lib/visitor.mjs';
import { form, urlencoded } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';
import { signupVariants } from '../lib/signup-variants.mjs';

const message = 'Please sign up with your work e-mail address.';

let world;
let serial = 0;
before(async () => (world = await World.open('registration')));
after(() => world?.close());

const asked = (username) => world.hooks.events('PRE_SIGNUP', (event) => JSON.stringify(event.data).includes(username));

/** A fresh registration form, with cookies, and new data to type into it. */
async function beginning(label) {
  serial += 1;
  const username = `${label}${world.tag}n${serial}`;
  const password = world.canaries.add('password', `canary-pw-${username}-Zq8vTn3kLw`);
  const visitor = world.visitor();
  const page = await visitor.registrationForm('web', world.redirect);
  return { visitor, page, username, fields: { ...page.fields, ...registration(username, password) } };
}

describe('registration through the front door', () => {
  test('an allowed registration is made after exactly one question with its data', async () => {
    world.hooks.answer('Signup', allow());
    const { visitor, page, username, fields } = await beginning('allowed');
    const answer = await visitor.submit(page, fields);
    assert.equal(answer.location?.origin, world.rp, answer.text);
    const user = await world.keycloak.user(username);
    assert.equal(user?.email, fields.email);
    const [event, ...more] = asked(username);
    assert.equal(more.length, 0);
    assert.deepEqual(
      { email: event.data.user.email, username: event.data.user.username, given: event.data.user.given_name, family: event.data.user.family_name },
      { email: fields.email, username, given: 'New', family: 'Comer' },
    );
    assert.equal(event.interceptor_context.client_id, 'web');
    assert.equal(event.interceptor_context.realm, 'tg');
    assert.equal(event.interceptor_context.environment_id, 'suite');
  });

  test('a denied registration shows the message and leaves no user; corrected and sent again, the same form works', async () => {
    world.hooks.answer('Signup', deny(message));
    const { visitor, page, username, fields } = await beginning('denied');
    const mark = world.hop.exchanges.length;
    const answer = await visitor.submit(page, fields);
    assert.ok(answer.status >= 400 && answer.status < 500, `status ${answer.status}`);
    assert.match(answer.header('content-type'), /^text\/html/);
    assert.ok(answer.text.includes(message), answer.text);
    assert.equal(await world.keycloak.user(username), undefined);
    assert.ok(!world.hop.exchanges.slice(mark).some(({ method }) => method === 'POST'), 'the upstream saw the request');

    world.hooks.answer('Signup', allow());
    await visitor.submit(page, fields);
    assert.ok(await world.keycloak.user(username), 'the corrected form was not accepted');
  });

  test('the same by prompt=create, in a GET and in a POST', async () => {
    const query = form({ client_id: 'web', redirect_uri: world.redirect, response_type: 'code', scope: 'openid', prompt: 'create' });
    const ways = [
      (visitor) => visitor.open(`${world.origin}${paths.auth}?${query}`),
      async (visitor) => visitor.follow(await visitor.send({ method: 'POST', target: paths.auth, headers: { 'Content-Type': urlencoded }, body: query })),
    ];
    for (const [index, open] of ways.entries()) {
      const visitor = world.visitor();
      const page = firstForm((await open(visitor)).text);
      const username = `created${world.tag}n${index}`;
      const fields = registration(username, world.canaries.add('password', `canary-pw-${username}-Zq8vTn3kLw`));
      world.hooks.answer('Signup', deny(message));
      const answer = await visitor.submit(page, fields);
      assert.ok(answer.text.includes(message));
      assert.equal(await world.keycloak.user(username), undefined);
      world.hooks.answer('Signup', allow());
      await visitor.submit(page, fields);
      assert.ok(await world.keycloak.user(username));
      assert.equal(asked(username).length, 2);
    }
  });

  test('a login, a wrong password and a password set anew by mail ask no signup interceptor', async () => {
    const before = world.hooks.events('PRE_SIGNUP').length;
    world.hooks.answer('Signup', deny(message));
    const authorization = `${world.origin}${paths.auth}?${form({ client_id: 'web', redirect_uri: world.redirect, response_type: 'code', scope: 'openid' })}`;
    const location = await world.visitor().logIn(authorization, 'bob', world.secretOf('bob'));
    assert.ok(location.searchParams.get('code'));
    await assert.rejects(world.visitor().logIn(authorization, 'bob', 'not the password'));
    const visitor = world.visitor();
    const { client_id, tab_id, client_data } = Object.fromEntries(new URLSearchParams(firstForm((await visitor.open(authorization)).text).query));
    const reset = `${paths.actions}/reset-credentials?${form({ client_id, tab_id, client_data })}`;
    const sent = await visitor.submit(firstForm((await visitor.open(reset)).text), { username: 'carol' });
    assert.equal(sent.status, 200);
    const [mail] = world.mailbox.to('carol@example.org');
    const elsewhere = world.visitor();
    let page = await elsewhere.open(linkIn(mail));
    if (!/name="password-new"/.test(page.text)) page = await elsewhere.open(/href="([^"]*action-token[^"]*)"/.exec(page.text)[1].replaceAll('&amp;', '&'));
    const password = world.secretOf('carol');
    const changed = await elsewhere.submit(firstForm(page.text), { 'password-new': password, 'password-confirm': password });
    assert.ok(changed.status < 400, changed.text);
    assert.equal(world.hooks.events('PRE_SIGNUP').length, before);
  });
});

describe('no way around the signup question', () => {
  for (const { name, served, request } of signupVariants) {
    test(name, async (t) => {
      world.hooks.answer('Signup', deny(message));
      const refused = await beginning('no');
      const answers = await attempt(refused, request);
      assert.equal(await world.keycloak.user(refused.username), undefined, 'a denied registration made a user');
      assert.equal(await world.keycloak.user(`${refused.username}@new.example`), undefined, 'a denied registration made a user');
      if (served) assert.ok(answers.some(({ text }) => text.includes(message)), `the message is missing: ${answers[0]?.status} ${answers[0]?.text}`);

      world.hooks.answer('Signup', allow());
      const accepted = await beginning('yes');
      const later = await attempt(accepted, request);
      const user = (await world.keycloak.user(accepted.username)) ?? (await world.keycloak.user(`${accepted.username}@new.example`));
      if (user) {
        const events = asked(accepted.username);
        assert.ok(events.length > 0, 'a user was made without a question');
        const told = events.at(-1).data.user;
        assert.equal(told.email.toLowerCase(), user.email, 'the interceptor was told another address than the upstream took');
        if (told.username) assert.equal(told.username.toLowerCase(), user.username);
      }
      if (served) assert.ok(user, `an honest spelling was not served: ${later[0]?.status} ${later[0]?.text}`);
      t.diagnostic(`${answers.map(({ status }) => status).join(' ') || 'cut off'} denied, ${later.map(({ status }) => status).join(' ') || 'cut off'} allowed, ${user ? 'made' : 'not made'}`);
    });
  }
});

/** Sends one variant; a connection that Tollgate cuts off is an answer too. */
async function attempt({ visitor, page, fields }, request) {
  const requests = [request({ ...page, fields, origin: world.origin })].flat();
  const answers = [];
  for (const each of requests) {
    const answer = await visitor.send({ deadline: 20_000, ...each }).catch((error) => {
      if (/connection ended|ECONNRESET|EPIPE/.test(String(error))) return undefined;
      throw error;
    });
    if (answer) answers.push(answer);
  }
  return answers;
}

test('every question was signed so that both verifiers agree', () => {
  assert.deepEqual(world.hooks.forged, []);
  assert.ok(world.hooks.calls.length > 50);
});
