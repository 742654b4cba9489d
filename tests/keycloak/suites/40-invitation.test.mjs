// Accounts that somebody makes for somebody else: denied ones create nothing and send nothing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { secretOf } from '../realm.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { paths } from '../lib/keycloak.mjs';
import { until } from '../lib/processes.mjs';
import { linkIn } from '../lib/smtp.mjs';
import { firstForm, registration } from '../lib/visitor.mjs';
import { form, multipart, urlencoded } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const message = 'Your team has all the seats it pays for.';
const json = { 'Content-Type': 'application/json' };

let world;
let alice;
let acme;
let serial = 0;

before(async () => {
  world = await World.open('invitation');
  acme = await world.keycloak.organization('acme');
  alice = await bearer('tg', 'web', 'alice');
});
after(() => world?.close());

async function bearer(realm, client, username) {
  const answer = await world.post(`/realms/${realm}/protocol/openid-connect/token`, { grant_type: 'password', client_id: client, scope: 'openid', username, password: world.canaries.add('password', secretOf(username)) });
  return { Authorization: `Bearer ${answer.json.access_token}` };
}

const newcomer = () => {
  serial += 1;
  const username = `invited${world.tag}n${serial}`;
  return { username, email: `${username}@new.example`, firstName: 'In', lastName: 'Vited' };
};
const asked = (needle) => world.hooks.events('PRE_USER_INVITATION', (event) => JSON.stringify(event.data).includes(needle));
const organization = (rest) => `/admin/realms/tg/organizations/${acme.id}${rest}`;
const post = (target, headers, body) => ({ method: 'POST', target, headers, body });

/** A user who exists already, made past Tollgate. */
async function existing() {
  const user = newcomer();
  await world.keycloak.admin('POST', '/tg/users', { ...user, enabled: true });
  return world.keycloak.user(user.username);
}
const created = async (user) => Boolean(await world.keycloak.user(user.username)) || Boolean(await world.keycloak.user(user.email));
const mailed = async (user) => world.mailbox.to(user.email).length > 0;
const isMember = async (user) => (await world.keycloak.admin('GET', `/tg/organizations/${acme.id}/members?max=500`)).json.some(({ id }) => id === user.id);

// Each: whom it is about, the request, and what is true afterwards if it was let through.
const ways = [
  ['the admin REST', newcomer, (user) => post(paths.users, json, JSON.stringify({ ...user, enabled: true })), created],
  ['the admin REST with the console\'s trailing slash', newcomer, (user) => post(`${paths.users}/`, json, JSON.stringify({ ...user, enabled: true })), created],
  ['a partial import', newcomer, (user) => post('/admin/realms/tg/partialImport', json, JSON.stringify({ ifResourceExists: 'SKIP', users: [{ ...user, enabled: true }] })), created],
  ['an invitation to an organization, as a form', newcomer, (user) => post(organization('/members/invite-user'), { 'Content-Type': urlencoded }, form({ email: user.email, firstName: 'In', lastName: 'Vited' })), mailed],
  [
    'an invitation to an organization, as multipart',
    newcomer,
    (user) => {
      const { body, type } = multipart({ email: user.email, firstName: 'In', lastName: 'Vited' });
      return post(organization('/members/invite-user'), { 'Content-Type': type }, body);
    },
    mailed,
  ],
  ['an invitation with a trailing slash', newcomer, (user) => post(organization('/members/invite-user/'), { 'Content-Type': urlencoded }, form({ email: user.email })), mailed],
  ['an invitation of a user who exists', existing, (user) => post(organization('/members/invite-existing-user'), { 'Content-Type': urlencoded }, form({ id: user.id })), mailed],
  ['a new member of an organization', existing, (user) => post(organization('/members'), json, JSON.stringify(user.id)), isMember],
  ['a mail with required actions', existing, (user) => ({ method: 'PUT', target: `${paths.users}/${user.id}/execute-actions-email`, headers: json, body: '["UPDATE_PASSWORD"]' }), mailed],
];

describe('invitations', () => {
  for (const [name, subject, request, done] of ways) {
    test(`${name}: denied nothing happens and the message is told; allowed it happens`, async () => {
      const user = await subject();
      const send = () => world.send({ ...request(user), headers: { ...request(user).headers, ...alice } });
      world.hooks.answer('Invitation', deny(message));
      const before = world.hooks.calls.length;
      const mails = world.mailbox.mails.length;
      const mark = world.hop.exchanges.length;
      const refused = await send();
      assert.ok(refused.status >= 400 && refused.status < 500, `${refused.status} ${refused.text}`);
      assert.equal(refused.json.errorMessage, message);
      assert.equal(world.hooks.calls.length, before + 1);
      assert.equal(await done(user), false);
      assert.equal(world.mailbox.mails.length, mails);
      assert.ok(!world.hop.exchanges.slice(mark).some(({ method }) => method !== 'GET'), 'the upstream saw the request');

      world.hooks.answer('Invitation', allow());
      const accepted = await send();
      assert.ok(accepted.status >= 200 && accepted.status < 300, `${accepted.status} ${accepted.text}`);
      await until('what was allowed happens', () => done(user));
      const { interceptor_context: context, data } = world.hooks.events('PRE_USER_INVITATION').at(-1);
      assert.equal(data.inviter.email, 'alice@example.org');
      assert.equal(context.realm, 'tg');
      if (subject === newcomer) assert.equal(data.user.email, user.email);
      else assert.equal(data.user.id, user.id);
      if (request(user).target.includes('/organizations/')) assert.equal(data.organization.id, acme.id);
    });
  }

  test('an invitation sent again', async () => {
    const user = newcomer();
    world.hooks.answer('Invitation', allow());
    const invite = { ...post(organization('/members/invite-user'), { 'Content-Type': urlencoded, ...alice }, form({ email: user.email })) };
    assert.equal((await world.send(invite)).status, 204);
    await until('the first mail', () => mailed(user));
    const invitations = (await world.keycloak.admin('GET', `/tg/organizations/${acme.id}/invitations`)).json;
    const { id } = invitations.find(({ email }) => email === user.email);
    const resend = post(organization(`/invitations/${id}/resend`), alice, '');
    world.hooks.answer('Invitation', deny(message));
    assert.equal((await world.send(resend)).json.errorMessage, message);
    assert.equal(world.mailbox.to(user.email).length, 1);
    world.hooks.answer('Invitation', allow());
    const again = await world.send(resend);
    assert.ok(again.status < 300, `${again.status} ${again.text}`);
    await until('the second mail', () => world.mailbox.to(user.email).length === 2);
  });

  test('somebody who was invited signs up by the link in the mail: a signup that is asked about', async () => {
    const user = newcomer();
    world.hooks.answer('Invitation', allow());
    await world.send(post(organization('/members/invite-user'), { 'Content-Type': urlencoded, ...alice }, form({ email: user.email })));
    const [mail] = await until('the mail', () => (world.mailbox.to(user.email).length ? world.mailbox.to(user.email) : undefined));
    const link = linkIn(mail);
    assert.ok(link.startsWith(world.origin), link);
    world.canaries.add('invitation token', new URL(link).searchParams.get('token'));
    const visitor = world.visitor();
    const page = firstForm((await visitor.open(link)).text);
    const typed = registration(user.username, world.canaries.add('password', `canary-pw-${user.username}-Zq8vTn3kLw`), { email: user.email });
    world.hooks.answer('Signup', deny('Not yet.'));
    assert.ok((await visitor.submit(page, typed)).text.includes('Not yet.'));
    assert.equal(await created(user), false);
    world.hooks.answer('Signup', allow());
    await visitor.submit(page, typed);
    assert.ok(await created(user));
    assert.ok(await isMember(await world.keycloak.user(user.username)));
    assert.equal(world.hooks.events('PRE_SIGNUP', ({ data }) => data.user.email === user.email).length, 2);
  });

  test('a bulk import with one denied user among allowed ones imports none of them', async () => {
    const users = [newcomer(), newcomer(), newcomer()];
    world.hooks.decide('Invitation', (event) => (JSON.stringify(event.data).includes(users[1].email) ? deny(message) : allow()));
    const answer = await world.send(post('/admin/realms/tg/partialImport', { ...json, ...alice }, JSON.stringify({ ifResourceExists: 'SKIP', users })));
    assert.equal(answer.json.errorMessage, message);
    for (const user of users) assert.equal(await created(user), false);
  });

  test('a new realm with users in it', async () => {
    const admin = await bearer('master', 'admin-cli', 'admin');
    const user = newcomer();
    const request = post('/admin/realms', { ...json, ...admin }, JSON.stringify({ realm: 'second', enabled: true, users: [user] }));
    world.hooks.answer('Invitation', deny(message));
    const refused = await world.send(request);
    assert.equal(refused.json.errorMessage, message);
    assert.equal((await world.keycloak.admin('GET', '/second')).status, 404);
    world.hooks.answer('Invitation', allow());
    assert.equal((await world.send(request)).status, 201);
    assert.ok(asked(user.email).length > 0);
    assert.equal((await world.keycloak.admin('GET', `/second/users?email=${user.email}`)).json.length, 1);
    await world.keycloak.admin('DELETE', '/second');
  });

  test('somebody without rights is the upstream\'s to refuse, and gets no user made', async () => {
    world.hooks.answer('Invitation', allow());
    const user = newcomer();
    const bob = await bearer('tg', 'web', 'bob');
    for (const headers of [bob, {}, { Authorization: 'Bearer nonsense' }]) {
      const answer = await world.send(post(paths.users, { ...json, ...headers }, JSON.stringify(user)));
      assert.ok([401, 403].includes(answer.status), `${answer.status}`);
    }
    assert.equal(await created(user), false);
  });

  test('reading and changing users asks nobody', async () => {
    const user = await existing();
    const before = world.hooks.calls.length;
    world.hooks.answer('Invitation', deny(message));
    assert.equal((await world.send({ target: `${paths.users}/${user.id}`, headers: alice })).json.username, user.username);
    const changed = await world.send({ method: 'PUT', target: `${paths.users}/${user.id}`, headers: { ...json, ...alice }, body: JSON.stringify({ ...user, lastName: 'Changed' }) });
    assert.equal(changed.status, 204);
    assert.equal(world.hooks.calls.length, before);
  });
});

describe('no way around the invitation question', () => {
  const text = (user) => JSON.stringify({ ...user, enabled: true });
  const duplicate = (user, first, second) => `{"username":${JSON.stringify(user.username)},"enabled":true,"email":${JSON.stringify(first)},"email":${JSON.stringify(second)}}`;
  const utf32 = (string) => Buffer.concat([...string].map((letter) => Buffer.from([0, 0, 0, letter.codePointAt(0)])));
  const bigEndian = (string) => Buffer.from(string, 'utf16le').swap16();
  const to = (target) => (user) => ({ target, body: text(user) });
  const body = (make, headers = json) => (user) => ({ target: paths.users, headers, body: make(user) });
  const spellings = {
    'two slashes at the end': to(`${paths.users}//`),
    'two slashes in the middle': to(paths.users.replace('/tg', '//tg')),
    'a dot segment': to(paths.users.replace('/tg', '/./tg')),
    'a dot-dot segment': to(paths.users.replace('/tg', '/x/../tg')),
    'an encoded dot-dot segment': to(paths.users.replace('/tg', '/x/%2e%2e/tg')),
    'an encoded letter': to(paths.users.replace('/users', '/%75sers')),
    'a path parameter': to(`${paths.users};a=b`),
    'a path parameter in the middle': to(paths.users.replace('/tg', '/tg;a=b')),
    'capitals': to(paths.users.replace('/users', '/USERS')),
    'an absolute-form target': to(`http://elsewhere.example${paths.users}`),
    'a query': to(`${paths.users}?email=harmless@allowed.example`),
    'a fragment': to(`${paths.users}#x`),
    'an address twice': body((user) => duplicate(user, 'harmless@allowed.example', user.email)),
    'an address twice, the other way': body((user) => duplicate(user, user.email, 'harmless@allowed.example')),
    'an escaped key': body((user) => text(user).replace('"email"', '"\\u0065mail"')),
    'an escaped key and a plain one': body((user) => text(user).replace('"email"', '"email":"harmless@allowed.example","\\u0065mail"')),
    'a second document': body((user) => `${text(user)}{"email":"harmless@allowed.example"}`),
    'garbage behind': body((user) => `${text(user)} nonsense`),
    'a byte-order mark': body((user) => `\ufeff${text(user)}`),
    'UTF-16, big end first': body((user) => bigEndian(text(user))),
    'UTF-16, little end first': body((user) => Buffer.from(text(user), 'utf16le')),
    'UTF-16 with its mark': body((user) => Buffer.concat([Buffer.from([0xfe, 0xff]), bigEndian(text(user))])),
    'UTF-32': body((user) => utf32(text(user))),
    'UTF-16 without a content type': body((user) => bigEndian(text(user)), {}),
    'charset=utf-16 on plain bytes': body(text, { 'Content-Type': 'application/json; charset=utf-16' }),
    'charset=utf-8': body(text, { 'Content-Type': 'application/json; charset=utf-8' }),
    'a content type in capitals': body(text, { 'Content-Type': 'APPLICATION/JSON' }),
    'no content type': body(text, {}),
    'text/plain': body(text, { 'Content-Type': 'text/plain' }),
    'a merge patch type': body(text, { 'Content-Type': 'application/merge-patch+json' }),
    'text/json': body(text, { 'Content-Type': 'text/json' }),
    'Content-Encoding: gzip on a plain body': body(text, { ...json, 'Content-Encoding': 'gzip' }),
    'PUT by an override header': body(text, { ...json, 'X-HTTP-Method-Override': 'PUT' }),
    'a key in capitals': body((user) => text(user).replace('"email"', '"EMAIL"')),
    'a comment in front': body((user) => `/* */${text(user)}`),
    'white space in front': body((user) => ` \r\n\t${text(user)}`),
    'nested deeply': body((user) => `{"x":${'['.repeat(5000)}${']'.repeat(5000)},${text(user).slice(1)}`),
    'a number as the address': body((user) => text(user).replace(JSON.stringify(user.email), '1e3')),
    'no address': body((user) => JSON.stringify({ username: user.username, enabled: true })),
    'an array': body((user) => `[${text(user)}]`),
  };
  for (const [name, spell] of Object.entries(spellings)) {
    test(name, async (t) => {
      const attempt = async () => {
        const user = newcomer();
        const { headers = json, ...rest } = spell(user);
        const answer = await world.send({ method: 'POST', ...rest, headers: { ...headers, ...alice } }).catch((error) => ({ status: 'cut off', text: String(error) }));
        return { user, answer, found: (await world.keycloak.user(user.username)) ?? (await world.keycloak.user(user.email)) };
      };
      world.hooks.answer('Invitation', deny(message));
      const refused = await attempt();
      assert.equal(refused.found, undefined, 'a denied invitation made a user');
      world.hooks.answer('Invitation', allow());
      const accepted = await attempt();
      if (accepted.found) {
        const event = asked(accepted.user.username).at(-1);
        assert.ok(event, 'a user was made without a question');
        assert.equal(event.data.user.email?.toLowerCase(), accepted.found.email, 'the interceptor was told another address than the upstream took');
      }
      t.diagnostic(`${refused.answer.status} denied, ${accepted.answer.status} allowed, ${accepted.found ? 'made' : 'not made'}`);
    });
  }
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
