// A relying party with openid-client, every check of it switched on: what an interceptor adds is in the tokens, whichever way they come.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { allow, deny } from '../lib/hooks.mjs';
import { oidc, Party } from '../lib/party.mjs';
import { firstForm } from '../lib/visitor.mjs';
import { World } from '../lib/world.mjs';

let world;
let visitor;

before(async () => {
  world = await World.open('relying-party');
  visitor = world.visitor();
  await (await Party.of(world, 'web')).logIn('bob', visitor);
});
after(() => world?.close());
beforeEach(() => world.hooks.answer('Session', allow({ claims: { plan: 'gold' } })));

/** A party of the public client `web`, made ready by some of the library's switches. */
async function web(...switches) {
  const party = await Party.of(world, 'web');
  for (const use of switches) use(party.config);
  return party;
}

/** Where the browser of somebody who is logged in arrives: a URL, or the request that a form makes. */
async function arrive(url) {
  const answer = await visitor.open(url.href);
  if (answer.location) return answer.location;
  const found = firstForm(answer.text);
  assert.ok(found, `${answer.status} ${answer.text.slice(0, 300)}`);
  return new Request(world.redirect, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams(found.fields) });
}

async function parameters(extra) {
  const verifier = oidc.randomPKCECodeVerifier();
  world.canaries.add('PKCE verifier', verifier);
  const checks = { pkceCodeVerifier: verifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() };
  const asked = {
    redirect_uri: world.redirect,
    scope: 'openid profile email',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    ...extra,
  };
  return { checks, asked };
}

async function codeFlow(party, extra = {}, build = oidc.buildAuthorizationUrl) {
  const { checks, asked } = await parameters(extra);
  const tokens = world.keep(await oidc.authorizationCodeGrant(party.config, await arrive(await build(party.config, asked)), checks));
  await assertGold(party, tokens);
  return tokens;
}

async function assertGold(party, tokens, plan = 'gold') {
  for (const name of ['access_token', 'id_token']) assert.equal((await party.verify(tokens[name])).plan, plan, name);
}

/** The grants that were asked about since `mark`. */
const events = () => world.hooks.events('PRE_SESSION_CREATION');
const grantsSince = (mark) => events().slice(mark).map(({ interceptor_context: { grant_type: grant } }) => grant);

for (const [name, extra, ...switches] of [
  ['code in the query', {}],
  ['code by form_post', { response_mode: 'form_post' }],
  ['JARM', {}, oidc.useJwtResponseMode],
]) {
  test(`${name}, and a refresh`, async () => {
    const party = await web(...switches);
    const mark = events().length;
    const tokens = await codeFlow(party, extra);
    assert.deepEqual(grantsSince(mark), ['authorization_code']);
    world.hooks.answer('Session', allow({ claims: { plan: 'silver' } }));
    await assertGold(party, await party.refresh(tokens), 'silver');
  });
}

for (const [name, extra] of [['in the fragment', {}], ['by form_post', { response_mode: 'form_post' }]]) {
  test(`hybrid, code and ID token ${name}`, async () => {
    const party = await web(oidc.useCodeIdTokenResponseType);
    const mark = events().length;
    await codeFlow(party, extra);
    assert.deepEqual(grantsSince(mark), ['hybrid', 'authorization_code']);
  });

  test(`implicit, an ID token ${name}`, async () => {
    const party = await web(oidc.useIdTokenResponseType);
    const nonce = oidc.randomNonce();
    const url = oidc.buildAuthorizationUrl(party.config, { redirect_uri: world.redirect, scope: 'openid', nonce, state: 'a state', ...extra });
    const claims = await oidc.implicitAuthentication(party.config, await arrive(url), nonce, { expectedState: 'a state' });
    assert.equal(claims.plan, 'gold');
  });

  test(`a denial arrives ${name} as the error that the library knows`, async () => {
    const party = await web(oidc.useCodeIdTokenResponseType);
    world.hooks.answer('Session', deny('Not today.'));
    const { checks, asked } = await parameters(extra);
    const arrived = await arrive(oidc.buildAuthorizationUrl(party.config, asked));
    await assert.rejects(oidc.authorizationCodeGrant(party.config, arrived, checks), ({ error, error_description: description }) => {
      assert.deepEqual([error, description], ['access_denied', 'Not today.']);
      return true;
    });
  });
}

test('a pushed authorization request', async () => {
  await codeFlow(await web(), {}, oidc.buildAuthorizationUrlWithPAR);
  await codeFlow(await web(oidc.useJwtResponseMode), {}, oidc.buildAuthorizationUrlWithPAR);
  await codeFlow(await web(oidc.useCodeIdTokenResponseType), {}, oidc.buildAuthorizationUrlWithPAR);
});

test('a device', async () => {
  const party = await web();
  const device = world.keep(await oidc.initiateDeviceAuthorization(party.config, { scope: 'openid' }));
  const page = await visitor.open(device.verification_uri_complete);
  await visitor.submit(firstForm(page.text), { accept: 'Yes' });
  await assertGold(party, world.keep(await oidc.pollDeviceAuthorizationGrant(party.config, { ...device, interval: 1 })));
});

test('signed userinfo', async () => {
  const party = await Party.of(world, 'signedui', { confidential: true, metadata: { userinfo_signed_response_alg: 'RS256' } });
  const tokens = await party.grant('password', { username: 'bob', password: world.secretOf('bob'), scope: 'openid email' });
  assert.equal((await party.userinfo(tokens)).email, 'bob@example.org');
});

test('what discovery announces is what is served', async () => {
  const metadata = (await web()).config.serverMetadata();
  assert.ok(metadata.response_types_supported.includes('code id_token token'));
  assert.ok(metadata.response_modes_supported.includes('form_post.jwt'));
  assert.ok(metadata.authorization_signing_alg_values_supported.includes('RS256'));
  assert.ok(metadata.grant_types_supported.includes('urn:openid:params:grant-type:ciba'));
  assert.deepEqual(Object.keys(metadata).filter((name) => /encryption_/.test(name)), []);
});
