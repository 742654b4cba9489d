// Learning from live traffic: what no route fits is suggested once, by names alone, and what is suggested is a route that works.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { deny } from '../../keycloak/lib/hooks.mjs';
import { until } from '../../keycloak/lib/processes.mjs';
import { World } from '../lib/world.mjs';

const fields = { email: 'new@work.example', name: 'New Comer', password: 'canary-password-of-somebody-new' };

test('a request that no route fits goes on, and the route that is printed for it denies the next one', async () => {
  const learning = await World.open('learning', { upstream: { learn: true } }, '');
  learning.canaries.add('password', fields.password);
  learning.canaries.add('address', fields.email);
  for (let times = 0; times < 2; times += 1) assert.equal((await learning.post('/signup', fields)).status, 303);
  assert.equal((await learning.send({ method: 'POST', target: '/api/organizations/4711/invitations', headers: { 'Content-Type': 'application/json' }, body: '{"email": "guest@work.example"}' })).status, 401);
  assert.ok((await learning.there()).accounts.includes(fields.email), 'it was not asked about');
  const said = () => readFileSync(learning.tollgate.log, 'utf8');
  await until('both routes are printed', () => said().includes('looks like an invitation') && said().includes('looks like a signup'));
  assert.equal(said().split('# POST /signup looks like a signup').length, 2, 'once');
  assert.ok(said().includes('path = "/api/organizations/{id}/invitations"'), said());
  const route = /# POST \/signup looks like a signup\n(\[\[route\]\][\s\S]*?)\n\n/.exec(said())[1];
  assert.deepEqual(await learning.close(), [], 'no value is in what Tollgate wrote');

  const learned = await World.open('learned', {}, route);
  learned.hooks.answer('Signup', deny('Not today.'));
  assert.equal((await learned.post('/signup', fields)).status, 403);
  assert.equal(learned.hooks.events('PRE_SIGNUP').at(-1).data.user.email, fields.email);
  assert.ok(!(await learned.there()).accounts.includes(fields.email));
  await learned.close();
});
