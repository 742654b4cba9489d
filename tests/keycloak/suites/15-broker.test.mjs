// Accounts that come into being when somebody logs in for the first time through another identity provider.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { secretOf } from '../realm.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { paths } from '../lib/keycloak.mjs';
import { firstForm } from '../lib/visitor.mjs';
import { form } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const message = 'Please ask your company for an account.';

let world;
before(async () => {
  world = await World.open('broker');
  await review('on');
});
after(async () => {
  if (world) await review('missing');
  await world?.close();
});

/** Whether Keycloak shows its form for the profile before it makes the account: `on`, or `missing` for only where something is missing. */
async function review(when) {
  const executions = (await world.keycloak.admin('GET', '/tg/authentication/flows/first%20broker%20login/executions')).json;
  const { authenticationConfig } = executions.find(({ providerId }) => providerId === 'idp-review-profile');
  const config = (await world.keycloak.admin('GET', `/tg/authentication/config/${authenticationConfig}`)).json;
  config.config['update.profile.on.first.login'] = when;
  const saved = await world.keycloak.admin('PUT', `/tg/authentication/config/${authenticationConfig}`, config);
  assert.equal(saved.status, 204, saved.text);
}

/** Logs in at the partner and comes back; the page that this leads to. */
async function arrive(visitor, username) {
  const query = form({ client_id: 'web', redirect_uri: world.redirect, response_type: 'code', scope: 'openid', kc_idp_hint: 'partner' });
  const page = await visitor.open(`${world.origin}${paths.auth}?${query}`);
  const password = world.canaries.add('password', secretOf(username));
  return visitor.submit(firstForm(page.text), { username, password });
}

test('with the review of the profile, the form is asked about like a registration', async () => {
  const visitor = world.visitor();
  const page = await arrive(visitor, 'dora');
  const review = firstForm(page.text);
  assert.ok(review && /first-broker-login/.test(review.path), page.text.slice(0, 500));
  assert.equal(await world.keycloak.user('dora'), undefined);
  const typed = { username: 'dora', email: 'dora@example.org', firstName: 'Dora', lastName: 'Test' };
  world.hooks.answer('Signup', deny(message));
  const refused = await visitor.submit(review, typed);
  assert.ok(refused.text.includes(message), refused.text.slice(0, 300));
  assert.equal(await world.keycloak.user('dora'), undefined);
  world.hooks.answer('Signup', allow());
  const accepted = await visitor.submit(review, typed);
  assert.ok(accepted.location?.searchParams.get('code'), accepted.text.slice(0, 300));
  assert.equal((await world.keycloak.user('dora')).email, 'dora@example.org');
  assert.equal(world.hooks.events('PRE_SIGNUP').at(-1).data.user.email, 'dora@example.org');
});

test('without the review no request says who it is: the account is made, and a session for it is asked about', async () => {
  await review('missing');
  const page = await arrive(world.visitor(), 'emil');
  const code = page.location?.searchParams.get('code');
  assert.ok(code, page.text.slice(0, 300));
  world.hooks.answer('Session', deny(message));
  const answer = await world.post(paths.token, { grant_type: 'authorization_code', client_id: 'web', code, redirect_uri: world.redirect });
  assert.deepEqual([answer.status, answer.json], [400, { error: 'access_denied', error_description: message }]);
  assert.equal(world.hooks.events('PRE_SESSION_CREATION').at(-1).data.user.email, 'emil@example.org');
});
