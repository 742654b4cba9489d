// Kratos: its own sessions, beside Hydra. Whichever flow they come from, somebody is asked before a client has them.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { allow, deny } from '../../keycloak/lib/hooks.mjs';
import { until } from '../../keycloak/lib/processes.mjs';
import { send } from '../../keycloak/lib/wire.mjs';
import { flowOf, World } from '../lib/world.mjs';

let world;
let ada;
const password = 'canary-pw-77ab-of-ada-herself';
const email = 'ada@work.example';

before(async () => {
  world = await World.open('sessions');
  world.canaries.add('password', password);
  const credentials = { password: { config: { password } } };
  ada = (await world.json('POST', '/admin/identities', { schema_id: 'default', traits: { email }, credentials })).json.id;
});
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));
beforeEach(() => world.hooks.answer('Session', allow()));

const last = () => world.hooks.events('PRE_SESSION_CREATION').at(-1);

async function byApi() {
  const { json: { id } } = await world.send({ target: '/self-service/login/api', headers: { Accept: 'application/json' } });
  return world.json('POST', `/self-service/login?flow=${id}`, { method: 'password', identifier: email, password });
}

const script = { 'Content-Type': 'application/json', Accept: 'application/json' };
async function byBrowser(visitor, headers) {
  return visitor.fill('login', await visitor.flow('login'), { method: 'password', identifier: email, password }, headers);
}

const whoami = async (visitor) => (await visitor.send({ target: '/sessions/whoami', headers: { Accept: 'application/json' } })).status;

test('a login by API is asked about with what Kratos says of the session, not with what was typed', async () => {
  const answer = await byApi();
  assert.equal(answer.status, 200, answer.text);
  const { data, interceptor_context: context } = last();
  assert.deepEqual([data.user.id, data.user.email, data.session.id, data.session.method, data.session.assurance], [ada, email, answer.json.session.id, 'password', 'aal1']);
  assert.deepEqual([context.user_id, context.user_email, context.operation], [ada, email, 'self-service']);
  assert.equal(await world.sessionStatus(answer.json.session_token), 200);
});

test('a denied one has no token, and Kratos\' session is ended', async () => {
  world.hooks.answer('Session', deny('Not today.'));
  const mark = world.hop.exchanges.length;
  const answer = await byApi();
  assert.deepEqual([answer.status, answer.json.error.message], [403, 'Not today.']);
  assert.doesNotMatch(answer.text, /session_token|ory_st_/);
  const { session_token: token } = JSON.parse(world.hop.exchanges.slice(mark).find(({ method, target }) => method === 'POST' && target.startsWith('/self-service/login')).answer);
  await until('Kratos ended it', async () => (await world.sessionStatus(token)) === 401);
});

test('a wrong password is nobody\'s session', async () => {
  const { json: { id } } = await world.send({ target: '/self-service/login/api', headers: { Accept: 'application/json' } });
  const { outcome, triggers } = await world.hooks.during(() => world.json('POST', `/self-service/login?flow=${id}`, { method: 'password', identifier: email, password: 'not-the-password' }));
  assert.deepEqual([outcome.status, triggers], [400, []]);
});

for (const [name, headers, status] of [['a form', undefined, 303], ['a script', script, 200]]) {
  test(`a browser's login by ${name}, allowed and denied`, async () => {
    const visitor = world.visitor();
    world.hooks.answer('Session', deny('Not today.'));
    const denied = await byBrowser(visitor, headers);
    assert.equal(denied.status, 403);
    assert.match(denied.text, /Not today\./);
    assert.deepEqual([denied.all('set-cookie'), await whoami(visitor)], [[], 401]);
    world.hooks.answer('Session', allow());
    const made = await byBrowser(visitor, headers);
    assert.equal(made.status, status, made.text);
    assert.deepEqual([last().data.user.email, await whoami(visitor)], [email, 200]);
  });
}

test('a session is not made a JWT, and one that is there already passes', async () => {
  const { session_token: token } = (await byApi()).json;
  const visitor = world.visitor();
  await byBrowser(visitor);
  const target = '/sessions/whoami?tokenize_as=app';
  assert.match((await send(world.kratos, { target, headers: { 'X-Session-Token': token } })).json.tokenized, /^eyJ/, 'Kratos itself makes one');
  for (const ask of [() => world.send({ target, headers: { 'X-Session-Token': token } }), () => world.send({ target, headers: { Authorization: `Bearer ${token}` } }), () => visitor.send({ target })]) {
    const answer = await ask();
    assert.equal(answer.status, 400);
    assert.doesNotMatch(answer.text, /eyJ/);
  }
  assert.deepEqual(await world.hooks.during(() => whoami(visitor)), { outcome: 200, triggers: [] });
  const shown = await world.send({ target: '/sessions/whoami', headers: { 'X-Session-Token': token } });
  assert.equal(shown.json.identity.traits.email, email);
});

test('a recovery code and a recovery link end with a session, allowed and denied', async () => {
  world.hooks.answer('Invitation', allow());
  for (const kind of ['code', 'link']) {
    for (const verdict of ['deny', 'allow']) {
      const made = await world.json('POST', `/admin/recovery/${kind}`, { identity_id: ada });
      const link = new URL(made.json.recovery_link);
      world.canaries.add('recovery token', link.searchParams.get('token') ?? '');
      world.hooks.answer('Session', verdict === 'deny' ? deny('Not by mail.') : allow());
      const visitor = world.visitor();
      const finish = async () => {
        if (kind === 'link') return visitor.get(link.href);
        const begun = await visitor.send({ target: `/self-service/recovery/flows?id=${link.searchParams.get('flow')}`, headers: { Accept: 'application/json' } });
        return visitor.fill('recovery', flowOf(begun.json, world.canaries), { method: 'code', code: made.json.recovery_code });
      };
      const { outcome, triggers } = await world.hooks.during(finish);
      assert.deepEqual([outcome.status, triggers], [verdict === 'deny' ? 403 : 303, ['PRE_SESSION_CREATION']], `${kind} ${verdict} ${outcome.text.slice(0, 300)}`);
      assert.deepEqual([last().data.user.email, await whoami(visitor)], [email, verdict === 'deny' ? 401 : 200]);
    }
  }
});

test('a logout passes and nobody is asked', async () => {
  const visitor = world.visitor();
  await byBrowser(visitor);
  const { outcome, triggers } = await world.hooks.during(async () => {
    const begun = await visitor.send({ target: '/self-service/logout/browser', headers: { Accept: 'application/json' } });
    world.canaries.add('logout token', begun.json.logout_token);
    return visitor.get(begun.json.logout_url);
  });
  assert.deepEqual([outcome.status, triggers, await whoami(visitor)], [303, [], 401]);
});

test('no spelling of a login gets past a denial', async (t) => {
  world.hooks.answer('Session', deny('No.'));
  const body = JSON.stringify({ method: 'password', identifier: email, password });
  const tally = {};
  for (const path of ['/self-service/login', '/self-service/%6Cogin', '/self-service//login', '/self-service%2Flogin', '/self-service/x/../login', '/self-service/login/', '/Self-Service/Login', '/self-service/login;a=b', 'http://elsewhere.example/self-service/login']) {
    for (const rest of [{}, { version: '1.0' }, { body: `${body} {}` }, { headers: { ...script, Accept: 'text/html' } }, { headers: { ...script, 'Accept-Encoding': 'gzip' } }]) {
      const { json: { id } } = await world.send({ target: '/self-service/login/api', headers: { Accept: 'application/json' } });
      const answer = await world.send({ method: 'POST', target: `${path}?flow=${id}`, headers: script, body, deadline: 20_000, ...rest }).catch((error) => ({ status: 'cut off', text: String(error), all: () => [] }));
      assert.doesNotMatch(answer.text, /ory_st_/, `${path} ${JSON.stringify(rest)}`);
      assert.ok(!answer.all('set-cookie').some((line) => line.startsWith('ory_kratos_session=')), path);
      tally[answer.status] = (tally[answer.status] ?? 0) + 1;
    }
  }
  t.diagnostic(JSON.stringify(tally));
  assert.ok(tally[403] > 5, 'several are spellings that Kratos takes');
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
