// The token endpoint in every spelling that this provider was seen to take, and in many that it was not: while nobody may have a token, nobody gets one.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { deny } from '../../keycloak/lib/hooks.mjs';
import { form, multipart, send, urlencoded } from '../../keycloak/lib/wire.mjs';
import { basic, World } from '../lib/world.mjs';

let world;
before(async () => {
  world = await World.open('variants');
  world.hooks.answer('Machine', deny('Nobody.'));
  world.hooks.answer('Session', deny('Nobody.'));
});
after(async () => assert.deepEqual(await world?.close(), [], 'no secret is in what Tollgate wrote'));

function spellings() {
  const authorization = basic(world, 'svc');
  const given = { 'Content-Type': urlencoded, Authorization: authorization };
  const fields = form({ grant_type: 'client_credentials', scope: 'read', resource: 'urn:api' });
  const token = (target, rest = {}) => ({ method: 'POST', target, headers: given, body: fields, ...rest });
  const withHeaders = (headers, rest = {}) => token('/token', { headers: { ...given, ...headers }, ...rest });
  const { body, type } = multipart({ grant_type: 'client_credentials', scope: 'read', resource: 'urn:api' });
  const secret = world.secretOf('svc');
  return [
    ...['/token', '/token/', '/TOKEN', '/Token/', '/tOkEn', '//token', '/token//', '/%74oken', '/%54oken', '/%2Ftoken', '/.%2Ftoken', '/./token', '/x/../token', '/%2e/token', '/x/%2e%2e/token', '/token/.', '/token/..',
      '/token/%2e', '/token/../token', '/x/..%2ftoken', '/token;jsessionid=1', '/token;a=b', '/;a=b/token', '/token#x', '/TOKEN#x', '/token?', '/token?x=y', '/token%20', '/token%00', '/token%09', '/token.', '/token%5C',
      '/%2574oken', '/tok\\en', '/token%23', '/token%3F', '/token?grant_type=password', '/token?grant_type=client_credentials', `${world.origin}/token`, 'http://elsewhere.example/token', `${world.origin}/TOKEN`].map((target) => token(target)),
    ...['GET', 'PUT', 'PATCH', 'HEAD', 'DELETE', 'post', 'Post'].map((method) => token('/token', { method })),
    withHeaders({ 'X-HTTP-Method-Override': 'POST' }, { method: 'GET' }), withHeaders({ 'X-HTTP-Method': 'POST' }, { method: 'PUT' }),
    token(`/token?${fields}`, { body: '' }),
    token('/token', { body: fields.replace('grant_type', '%67rant_type') }), token('/token', { body: fields.replace('client_credentials', '%63lient_credentials') }), token('/token', { body: fields.replace('client_credentials', 'client%5Fcredentials') }),
    token('/token', { body: `${fields}&grant_type=password` }), token('/token', { body: `grant_type=password&${fields}` }), token('/token', { body: `unknown=1&unknown=2&${fields}` }), token('/token', { body: fields.replace('client_credentials', 'client_credentials+') }),
    token('/token', { body: fields.replaceAll('&', ';') }), token('/token', { body: `\ufeff${fields}` }), token('/token', { body: `\n${fields}` }), token('/token', { body: fields.replace('client_', 'client%0A_') }),
    withHeaders({ 'Content-Type': type }, { body }), withHeaders({ 'Content-Type': 'application/json' }, { body: '{"grant_type":"client_credentials","scope":"read"}' }), withHeaders({ 'Content-Type': 'text/plain' }),
    withHeaders({ 'Content-Type': 'APPLICATION/X-WWW-FORM-URLENCODED' }), withHeaders({ 'Content-Type': `${urlencoded};charset=utf-8` }), withHeaders({ 'Content-Type': `${urlencoded}; charset=utf-16` }),
    token('/token', { headers: { Authorization: authorization } }), withHeaders({ 'Content-Encoding': 'gzip' }), withHeaders({ 'Content-Encoding': 'deflate' }),
    token('/token', { headers: [['Content-Type', urlencoded], ['Content-Type', 'text/plain'], ['Authorization', authorization]] }), token('/token', { headers: [['Content-Type', urlencoded], ['Authorization', authorization], ['Authorization', 'Basic eDp5']] }),
    withHeaders({ Authorization: authorization.replace('Basic', 'basic') }), token('/token', { headers: { 'Content-Type': urlencoded }, body: `${fields}&client_id=svc&client_secret=${secret}` }),
    withHeaders({ 'Transfer-Encoding': 'chunked' }, { body: `${fields.length.toString(16)};ext=1\r\n${fields}\r\n0\r\n\r\n` }),
    withHeaders({ 'Transfer-Encoding': 'chunked', 'Content-Length': String(fields.length) }, { body: `${fields.length.toString(16)}\r\n${fields}\r\n0\r\n\r\n` }),
    withHeaders({ 'Transfer-Encoding': 'chunked, identity' }, { body: `${fields.length.toString(16)}\r\n${fields}\r\n0\r\n\r\n` }),
    withHeaders({ Expect: '100-continue' }), token('/token', { version: '1.0' }), withHeaders({ Host: 'elsewhere.example' }), withHeaders({ 'X-Forwarded-Host': 'elsewhere.example' }), withHeaders({ 'X-Forwarded-Prefix': '/x' }),
    withHeaders({ 'X-Original-URL': '/token', 'X-Rewrite-URL': '/token' }, { target: '/nothing' }), withHeaders({ 'X-Filler': 'x'.repeat(40_000) }), token('/token', { body: `${fields}&filler=${'x'.repeat(2 ** 20)}` }),
    token('/token', { behind: `POST /TOKEN HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n` }),
  ];
}

/** Anything that this provider would take for a token, or that a relying party would. */
const tokenLike = /"access_token"\s*:|eyJ[\w-]+\.eyJ/;

test('no spelling of the token request gets a token without an ALLOW', async (t) => {
  const tally = {};
  for (const spelling of spellings()) {
    const answer = await world.send({ deadline: 20_000, ...spelling }).catch((error) => ({ status: 'cut off', text: String(error) }));
    assert.doesNotMatch(answer.text, tokenLike, `${spelling.method} ${spelling.target} ${JSON.stringify(spelling.headers)} ${String(spelling.body).slice(0, 200)}`);
    tally[answer.status] = (tally[answer.status] ?? 0) + 1;
  }
  t.diagnostic(`${spellings().length} spellings through Tollgate: ${JSON.stringify(tally)}`);
});

test('many of them do get one from the provider itself', async (t) => {
  let tokens = 0;
  for (const spelling of spellings()) {
    const answer = await send(world.upstream, { deadline: 20_000, ...spelling }).catch(() => ({ text: '' }));
    if (tokenLike.test(answer.text)) tokens += 1;
  }
  t.diagnostic(`${tokens} of ${spellings().length} at the provider's own port`);
  assert.ok(tokens > 15, String(tokens));
});

test('nor does one of the authorization endpoint', async (t) => {
  const visitor = world.visitor();
  const query = form({ client_id: 'web', redirect_uri: world.redirect, scope: 'openid', response_type: 'code id_token', nonce: 'a nonce', state: 'a state' });
  const tally = {};
  for (const path of ['/auth', '/AUTH', '/auth/', '/%61uth', '//auth', '/auth;a=b', '/x/../auth']) {
    for (const mode of ['', '&response_mode=fragment', '&response_mode=form_post', '&response_mode=fragment.jwt', '&response_mode=form_post.jwt', '&response_mode=web_message', '&response_mode=query']) {
      const arrived = await visitor.logIn(`${world.origin}${path}?${query}${mode}`, 'ada').catch((error) => error);
      const told = arrived instanceof Request ? await arrived.text() : String(arrived.href ?? arrived);
      const within = told.replace(/(response=)(eyJ[\w-]+)\.([\w-]+)\.[\w-]+/, (all, name, head, claims) => Buffer.from(claims, 'base64url').toString());
      assert.doesNotMatch(within, /id_token=eyJ|"id_token"|"code"/, `${path} ${mode}`);
      const how = /access_denied/.test(within) ? 'denied' : 'refused';
      tally[how] = (tally[how] ?? 0) + 1;
    }
  }
  t.diagnostic(JSON.stringify(tally));
  assert.ok(tally.denied > 4, JSON.stringify(tally));
});
