// Tokens that only the holder of a key may use: DPoP (RFC 9449) and client certificates (RFC 8705).

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { allow } from '../lib/hooks.mjs';
import { paths } from '../lib/keycloak.mjs';
import { claimsOf, oidc, Party } from '../lib/party.mjs';
import { freePorts, run } from '../lib/processes.mjs';
import { gate } from '../lib/replicas.mjs';
import { form, urlencoded } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

/** Keycloak reads the certificate as nginx hands it on; by RFC 9440 otherwise. */
const nginx = process.env.CERTIFICATES === 'nginx';

let world;

before(async () => {
  world = await World.open('bound');
  for (const name of ['Session', 'Machine']) world.hooks.answer(name, allow({ claims: { plan: 'gold' } }));
});
after(() => world?.close());

describe('DPoP', () => {
  let party;
  let handle;
  let tokens;

  before(async () => {
    party = await Party.of(world, 'dpop');
    handle = oidc.getDPoPHandle(party.config, await oidc.randomDPoPKeyPair('ES256'));
    const { location, checks } = await party.authorize(world.visitor(), 'bob');
    tokens = world.keep(await oidc.authorizationCodeGrant(party.config, location, checks, undefined, { DPoP: handle }));
  });

  test('a code is redeemed with a proof, and the token stays bound through the new signature', async () => {
    assert.equal(tokens.token_type, 'dpop');
    const claims = await party.verify(tokens.access_token);
    assert.equal(claims.cnf.jkt, await handle.calculateThumbprint());
    assert.equal(claims.plan, 'gold');
  });

  test('a refresh takes a proof of the same key, and none without', async () => {
    const renewed = world.keep(await oidc.refreshTokenGrant(party.config, tokens.refresh_token, undefined, { DPoP: handle }));
    assert.deepEqual((await party.verify(renewed.access_token)).cnf, claimsOf(tokens.access_token).cnf);
    const bare = await world.post(paths.token, { grant_type: 'refresh_token', client_id: 'dpop', refresh_token: renewed.refresh_token });
    assert.equal(bare.status, 400, bare.text);
    tokens = renewed;
  });

  test('at the endpoints of Keycloak itself the error says why it cannot work and what to do', async () => {
    const url = new URL(paths.userinfo, world.origin);
    const answer = await oidc.fetchProtectedResource(party.config, tokens.access_token, url, 'GET', null, undefined, { DPoP: handle }).catch((error) => error);
    const challenge = answer.cause?.find?.(({ scheme }) => scheme === 'dpop');
    assert.ok(challenge, String(answer.cause ?? answer));
    assert.equal(challenge.parameters.error, 'invalid_token');
    assert.match(challenge.parameters.error_description, /resource servers/);
    for (const target of [paths.userinfo, '/realms/tg/account', paths.users]) {
      const refused = await world.send({ method: 'GET', target, headers: { Authorization: `DPoP ${tokens.access_token}` } });
      assert.equal(refused.status, 401, target);
      assert.match(refused.header('www-authenticate'), /^DPoP error="invalid_token"/);
    }
  });

  test('introspection, which takes no proof, tells of it', async () => {
    const answer = await (await Party.of(world, 'svc', { confidential: true })).introspect(tokens.access_token);
    assert.deepEqual([answer.active, answer.plan, answer.cnf.jkt], [true, 'gold', await handle.calculateThumbprint()]);
  });
});

describe('client certificates', () => {
  let tollgate;
  let port;
  const at = (name) => join(world.folder, 'tls', name);
  const file = (name) => readFileSync(at(name));

  /** One certificate by openssl: of the authority, or self-signed. */
  async function make(name, subject, { ca, extension = 'basicConstraints=CA:FALSE' } = {}) {
    const issuer = ca ? ['-CA', at(`${ca}.crt`), '-CAkey', at(`${ca}.key`)] : [];
    const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${subject}`, '-addext', extension, ...issuer, '-keyout', at(`${name}.key`), '-out', at(`${name}.crt`)]);
    assert.equal(made.code, 0, made.stderr);
  }

  before(async () => {
    await run('mkdir', ['-p', at('.')]);
    await make('ca', 'Suite CA', { extension: 'basicConstraints=critical,CA:TRUE' });
    await make('server', '127.0.0.1', { ca: 'ca', extension: 'subjectAltName=IP:127.0.0.1' });
    await make('robot', 'robot.example.org', { ca: 'ca' });
    await make('other', 'other.example.org', { ca: 'ca' });
    await make('stranger', 'robot.example.org');
    [port] = await freePorts(1);
    const shared = world.tollgate;
    tollgate = gate(at('.'), {
      ...shared.options,
      port,
      interceptors: shared.options.interceptors.map((table) => ({ ...table, secret: { file: join(world.folder, 'hook.key') } })),
      sections: {
        // Keycloak calls itself by the address without TLS, for the other suites.
        listen: {
          public_url: shared.origin,
          names: [`127.0.0.1:${port}`],
          tls: { certificate: 'server.crt', key: 'server.key', client_certificates: { ca: 'ca.crt' } },
        },
        ...(nginx ? { upstream: { client_certificate_header: { name: 'ssl-client-cert', form: 'pem' } } } : {}),
        tokens: { keys: join(world.folder, 'certs/signing'), capsule_secret: { file: join(world.folder, 'certs/capsule.key') } },
      },
    });
    await tollgate.start(() => request('GET', paths.discovery).then(() => true, () => false));
  });
  after(() => tollgate?.stop());

  function request(method, path, { fields, certificate, headers = {} } = {}) {
    const shown = certificate ? { cert: file(`${certificate}.crt`), key: file(`${certificate}.key`) } : {};
    return new Promise((resolve, reject) => {
      const options = { method, path, hostname: '127.0.0.1', port, ca: file('ca.crt'), agent: false, headers: { ...(fields ? { 'Content-Type': urlencoded } : {}), ...headers }, ...shown };
      const asked = https.request(options, (answer) => {
        const chunks = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('end', () => resolve({ status: answer.statusCode, json: JSON.parse(Buffer.concat(chunks).toString() || '{}') }));
        answer.on('error', reject);
      });
      asked.on('error', reject);
      asked.end(fields ? form(fields) : undefined);
    });
  }

  const thumbprint = (name) => createHash('sha256').update(new X509Certificate(file(`${name}.crt`)).raw).digest('base64url');
  const logIn = (options) =>
    request('POST', paths.token, {
      fields: { grant_type: 'password', client_id: 'mtls', client_secret: world.secretOf('mtls'), username: 'bob', password: world.secretOf('bob'), scope: 'openid' },
      ...options,
    });
  const refresh = (token, options) => request('POST', paths.token, { fields: { grant_type: 'refresh_token', client_id: 'mtls', client_secret: world.secretOf('mtls'), refresh_token: token }, ...options });
  const forged = () => (nginx ? { 'ssl-client-cert': encodeURIComponent(file('robot.crt').toString()) } : { 'Client-Cert': `:${new X509Certificate(file('robot.crt')).raw.toString('base64')}:` });

  test('a token is bound to the certificate of the handshake, and the binding stays', async () => {
    const answer = await logIn({ certificate: 'robot' });
    assert.equal(answer.status, 200, JSON.stringify(answer.json));
    world.keep(answer.json);
    const party = await Party.of(world, 'svc', { confidential: true });
    const claims = await party.verify(answer.json.access_token);
    assert.equal(claims.cnf['x5t#S256'], thumbprint('robot'));
    assert.equal(claims.plan, 'gold');

    const bearer = { Authorization: `Bearer ${answer.json.access_token}` };
    assert.equal((await request('GET', paths.userinfo, { certificate: 'robot', headers: bearer })).json.plan, 'gold');
    assert.equal((await request('GET', paths.userinfo, { certificate: 'other', headers: bearer })).status, 401);
    assert.equal((await request('GET', paths.userinfo, { headers: { ...bearer, ...forged() } })).status, 401);

    const stolen = await refresh(answer.json.refresh_token, { certificate: 'other' });
    assert.equal(stolen.json.access_token, undefined, String(stolen.status));
    const renewed = await refresh(answer.json.refresh_token, { certificate: 'robot' });
    assert.equal(claimsOf(world.keep(renewed.json).access_token).cnf['x5t#S256'], thumbprint('robot'));
  });

  test('without a certificate there is no token, whatever a header says', async () => {
    const twin = Object.fromEntries(Object.entries(forged()).map(([name, value]) => [name.replaceAll('-', '_'), value]));
    for (const headers of [{}, forged(), twin]) {
      const answer = await logIn({ headers });
      assert.equal(answer.status, 400, JSON.stringify(headers));
      assert.equal(answer.json.access_token, undefined);
    }
  });

  test('a client logs in by the name in its certificate, and by no forged one', async () => {
    const fields = { grant_type: 'client_credentials', client_id: 'x509' };
    const answer = await request('POST', paths.token, { certificate: 'robot', fields });
    assert.equal(answer.status, 200, JSON.stringify(answer.json));
    assert.equal(claimsOf(world.keep(answer.json).access_token).plan, 'gold');
    assert.ok((await request('POST', paths.token, { certificate: 'other', fields })).status >= 400);
    assert.ok((await request('POST', paths.token, { fields, headers: forged() })).status >= 400);
    await assert.rejects(request('POST', paths.token, { certificate: 'stranger', fields }));
  });
});
