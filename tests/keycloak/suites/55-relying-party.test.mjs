// A relying party with openid-client, every check of it switched on: what an interceptor adds is in the tokens, whichever way they come. Its older version 5,
// which is other code and checks the hashes of tokens wherever there are some, does the same again.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import * as jose from 'jose';
import { custom, Issuer } from 'openid-client-5';

import { askedElsewhere } from '../lib/device.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { claimsOf, oidc, Party } from '../lib/party.mjs';
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
    await codeFlow(await web(oidc.useCodeIdTokenResponseType, oidc.enableDetachedSignatureResponseChecks), extra);
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

test('CIBA', async () => {
  const party = await Party.of(world, 'svc', { confidential: true });
  const { begun, agree } = await askedElsewhere(world, () => oidc.initiateBackchannelAuthentication(party.config, { scope: 'openid', login_hint: 'bob', binding_message: 'W4SCT' }));
  const polled = oidc.pollBackchannelAuthenticationGrant(party.config, { ...begun, interval: 1 });
  assert.ok((await agree()).status < 300);
  await assertGold(party, world.keep(await polled));
});

test('a machine, introspection and revocation', async () => {
  world.hooks.answer('Machine', allow({ claims: { plan: 'gold' } }));
  const party = await Party.of(world, 'svc', { confidential: true });
  const tokens = world.keep(await oidc.clientCredentialsGrant(party.config));
  assert.equal((await party.verify(tokens.access_token)).plan, 'gold');
  const { active, plan } = await party.introspect(tokens.access_token);
  assert.deepEqual([active, plan], [true, 'gold']);
  await party.revoke(tokens.access_token, 'access_token');
  assert.equal((await party.introspect(tokens.access_token)).active, false);
});

test('keys in the place of a secret: private_key_jwt, a signed request object, pushed, and the answer as a JWT', async () => {
  const { publicKey, privateKey } = await jose.generateKeyPair('RS256', { extractable: true });
  const jwks = { keys: [{ ...(await jose.exportJWK(publicKey)), kid: 'keyed', use: 'sig', alg: 'RS256' }] };
  const attributes = { 'use.jwks.string': 'true', 'jwks.string': JSON.stringify(jwks), 'token.endpoint.auth.signing.alg': 'RS256', 'request.object.signature.alg': 'RS256', 'request.object.required': 'request or request_uri' };
  const made = await world.keycloak.admin('POST', '/tg/clients', { clientId: 'keyed', clientAuthenticatorType: 'client-jwt', redirectUris: [`${world.rp}/*`], attributes });
  assert.equal(made.status, 201, made.text);
  const key = { key: privateKey, kid: 'keyed' };
  const party = await Party.of(world, 'keyed', { authentication: oidc.PrivateKeyJwt(key) });
  await codeFlow(party, {}, (config, asked) => oidc.buildAuthorizationUrlWithJAR(config, asked, key));
  oidc.useJwtResponseMode(party.config);
  const pushed = async (config, asked) => {
    const { searchParams } = await oidc.buildAuthorizationUrlWithJAR(config, asked, key);
    return oidc.buildAuthorizationUrlWithPAR(config, searchParams);
  };
  await assertGold(party, await party.refresh(await codeFlow(party, {}, pushed)));
  await world.keycloak.admin('DELETE', new URL(made.header('location')).pathname.replace('/admin/realms', ''));
});

test('DPoP: what is bound stays bound, and is of no use at the provider\'s own endpoints', async () => {
  const party = await web();
  const DPoP = oidc.getDPoPHandle(party.config, await oidc.randomDPoPKeyPair('ES256'));
  const { checks, asked } = await parameters({ dpop_jkt: await DPoP.calculateThumbprint() });
  const tokens = world.keep(await oidc.authorizationCodeGrant(party.config, await arrive(oidc.buildAuthorizationUrl(party.config, asked)), checks, undefined, { DPoP }));
  await assertGold(party, tokens);
  assert.deepEqual([tokens.token_type, claimsOf(tokens.access_token).cnf.jkt], ['dpop', await DPoP.calculateThumbprint()]);
  const renewed = world.keep(await oidc.refreshTokenGrant(party.config, tokens.refresh_token, {}, { DPoP }));
  await assertGold(party, renewed);
  // A proof is over the token that the client holds, and Keycloak knows another one.
  await assert.rejects(oidc.fetchUserInfo(party.config, renewed.access_token, claimsOf(renewed.id_token).sub, { DPoP }), ({ status, cause }) => {
    assert.equal(status ?? cause?.status, 401);
    return true;
  });
  assert.equal((await world.send({ target: '/realms/tg/protocol/openid-connect/userinfo', headers: { Authorization: `Bearer ${renewed.access_token}` } })).status, 401);
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
  assert.ok(!metadata.grant_types_supported.includes('urn:ietf:params:oauth:grant-type:pre-authorized_code'));
  assert.deepEqual(Object.keys(metadata).filter((name) => /encryption_/.test(name)), []);
});

/** A client of version 5 of the library. */
async function older(clientId, metadata = {}) {
  const issuer = await Issuer.discover(world.issuer);
  const client = new issuer.Client({ client_id: clientId, token_endpoint_auth_method: 'none', redirect_uris: [world.redirect], ...metadata });
  client[custom.clock_tolerance] = 5;
  return client;
}

for (const [type, mode] of [['code', 'query'], ['code', 'form_post'], ['code', 'jwt'], ['code id_token', 'fragment'], ['code id_token token', 'fragment'], ['code id_token token', 'form_post'], ['code token', 'fragment.jwt'], ['id_token token', 'fragment'], ['id_token token', 'form_post.jwt']]) {
  test(`version 5: ${type} by ${mode}`, async () => {
    const client = await older('web', { response_types: [type], authorization_signed_response_alg: 'RS256' });
    const { checks: { pkceCodeVerifier: code_verifier, expectedState: state, expectedNonce: nonce }, asked } = await parameters({ response_type: type, response_mode: mode });
    const arrived = await arrive(new URL(client.authorizationUrl(asked)));
    const fields = arrived instanceof Request ? Object.fromEntries(new URLSearchParams(await arrived.text())) : { ...Object.fromEntries(arrived.searchParams), ...Object.fromEntries(new URLSearchParams(arrived.hash.slice(1))) };
    const set = await client.callback(world.redirect, fields, { response_type: type, state, nonce, jarm: mode.includes('jwt'), ...(type.includes('code') && { code_verifier }) });
    const party = await web();
    for (const name of ['access_token', 'id_token']) assert.equal((await party.verify(set[name])).plan, 'gold', name);
    assert.equal(set.claims().plan, 'gold');
    if (!set.refresh_token) return;
    world.hooks.answer('Session', allow({ claims: { plan: 'silver' } }));
    assert.equal((await client.refresh(set)).claims().plan, 'silver');
    assert.equal((await client.userinfo(set)).email, 'bob@example.org');
  });
}
