// A provider in a few lines: discovery, keys, a login page with one button, a token endpoint that believes everybody, and signup.

import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const kid = 'provider-1';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function token(claims) {
  const input = `${part({ alg: 'ES256', typ: 'JWT', kid })}.${part(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

export class Provider {
  /** The claims that the next tokens have beside those of the protocol. */
  person = {};
  /** What was asked for with a code, until the code is redeemed. */
  #codes = new Map();

  /** @param issuer the public address of the proxy in front of it */
  static async open(issuer) {
    const provider = new Provider();
    provider.issuer = issuer;
    provider.server = http.createServer((request, response) => provider.#serve(request, response));
    provider.server.listen(0, '127.0.0.1');
    await once(provider.server, 'listening');
    provider.url = `http://127.0.0.1:${provider.server.address().port}`;
    return provider;
  }

  async #serve(request, response) {
    const chunks = await request.toArray();
    const fields = new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
    const answer = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const { pathname, searchParams } = new URL(request.url, this.issuer);
    if (pathname === '/authorize') return this.#authorize(request, response, searchParams);
    switch (request.url) {
      case '/.well-known/openid-configuration':
        return answer(200, {
          issuer: this.issuer,
          authorization_endpoint: `${this.issuer}/authorize`,
          token_endpoint: `${this.issuer}/token`,
          revocation_endpoint: `${this.issuer}/revoke`,
          jwks_uri: `${this.issuer}/jwks`,
          id_token_signing_alg_values_supported: ['ES256'],
        });
      case '/jwks':
        return answer(200, { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }] });
      case '/token':
        return answer(200, this.#tokens(fields));
      case '/revoke':
        return answer(200, {});
      default:
        return answer(201, {});
    }
  }

  /** A page with a button, and behind it the way back with a code. */
  #authorize(request, response, asked) {
    if (request.method === 'GET') {
      return response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><html lang="en"><title>Provider</title><h1>Provider</h1><form method="post"><button>Continue</button></form>');
    }
    const code = randomUUID();
    this.#codes.set(code, { nonce: asked.get('nonce'), aud: asked.get('client_id') });
    const back = new URL(asked.get('redirect_uri'));
    back.search = new URLSearchParams({ code, state: asked.get('state'), iss: this.issuer });
    return response.writeHead(303, { location: back.href }).end();
  }

  #tokens(fields) {
    const client = fields.get('client_id') ?? 'unknown';
    const now = Math.floor(Date.now() / 1000);
    const times = { iss: this.issuer, iat: now, exp: now + 300, jti: randomUUID() };
    const isMachine = fields.get('grant_type') === 'client_credentials';
    const who = isMachine ? { sub: client } : this.person;
    const access = token({ ...times, aud: 'api', client_id: client, scope: fields.get('scope') ?? 'openid', ...who });
    const tokens = { access_token: access, token_type: 'Bearer', expires_in: 300 };
    const granted = this.#codes.get(fields.get('code')) ?? {};
    this.#codes.delete(fields.get('code'));
    return isMachine ? tokens : { ...tokens, id_token: token({ ...times, aud: client, ...who, ...granted }) };
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
