// Another organization's OpenID provider, which is no Keycloak: whoever comes is logged in as `person`.

import { once } from 'node:events';
import http from 'node:http';

import * as jose from 'jose';

export class Provider {
  /** Who is logged in: `{ sub, email, … }`. */
  person = {};
  #nonces = new Map();

  static async open() {
    const provider = new Provider();
    const { publicKey, privateKey } = await jose.generateKeyPair('RS256');
    provider.key = privateKey;
    provider.jwks = { keys: [{ ...(await jose.exportJWK(publicKey)), kid: 'elsewhere', use: 'sig', alg: 'RS256' }] };
    provider.server = http.createServer((request, response) => provider.#serve(request, response));
    provider.server.listen(0, '127.0.0.1');
    await once(provider.server, 'listening');
    return provider;
  }

  get issuer() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** What Keycloak has to know of it. */
  representation(alias, config = {}) {
    return {
      alias,
      providerId: 'oidc',
      enabled: true,
      trustEmail: true,
      storeToken: true,
      addReadTokenRoleOnCreate: true,
      firstBrokerLoginFlowAlias: 'first broker login',
      config: {
        issuer: this.issuer,
        authorizationUrl: `${this.issuer}/authorize`,
        tokenUrl: `${this.issuer}/token`,
        jwksUrl: `${this.issuer}/jwks`,
        useJwksUrl: 'true',
        validateSignature: 'true',
        disableUserInfo: 'true',
        clientId: 'keycloak',
        clientSecret: 'a secret between the two',
        clientAuthMethod: 'client_secret_post',
        defaultScope: 'openid email',
        syncMode: 'IMPORT',
        ...config,
      },
    };
  }

  /** A token of this provider's, valid for two minutes. */
  sign(claims) {
    const now = Math.floor(Date.now() / 1000);
    return new jose.SignJWT({ iss: this.issuer, iat: now, exp: now + 120, jti: crypto.randomUUID(), ...claims }).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: 'elsewhere' }).sign(this.key);
  }

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const url = new URL(request.url, this.issuer);
    const json = (body) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    switch (url.pathname) {
      case '/jwks':
        return json(this.jwks);
      case '/authorize': {
        const back = new URL(url.searchParams.get('redirect_uri'));
        const code = crypto.randomUUID();
        this.#nonces.set(code, url.searchParams.get('nonce'));
        for (const [name, value] of Object.entries({ code, state: url.searchParams.get('state') })) back.searchParams.set(name, value);
        return response.writeHead(302, { location: back.href }).end();
      }
      case '/token': {
        const nonce = this.#nonces.get(new URLSearchParams(Buffer.concat(chunks).toString()).get('code'));
        this.issued = await this.sign({ ...this.person, aud: 'keycloak-api' });
        return json({ access_token: this.issued, id_token: await this.sign({ ...this.person, aud: 'keycloak', ...(nonce && { nonce }) }), token_type: 'Bearer', expires_in: 120 });
      }
      default:
        return response.writeHead(404).end();
    }
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
