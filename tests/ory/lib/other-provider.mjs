// Another OpenID provider, to which Kratos sends people: it logs in whoever comes, as the person that `person` says.

import { once } from 'node:events';
import http from 'node:http';

import { jose } from '../../keycloak/lib/party.mjs';

export class OtherProvider {
  /** Whom it logs in. */
  person = { sub: 'other-1', email: 'guest@other.example' };

  static async open() {
    const provider = new OtherProvider();
    const { privateKey, publicKey } = await jose.generateKeyPair('RS256');
    const jwk = { ...(await jose.exportJWK(publicKey)), kid: 'other', alg: 'RS256', use: 'sig' };
    let nonce;
    const json = (response, body) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    provider.server = http.createServer(async (request, response) => {
      const { pathname, searchParams } = new URL(request.url, provider.url);
      request.resume();
      if (pathname === '/.well-known/openid-configuration') {
        return json(response, {
          ...{ issuer: provider.url, authorization_endpoint: `${provider.url}/auth`, token_endpoint: `${provider.url}/token`, jwks_uri: `${provider.url}/jwks` },
          ...{ response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['RS256'] },
        });
      }
      if (pathname === '/jwks') return json(response, { keys: [jwk] });
      if (pathname === '/auth') {
        nonce = searchParams.get('nonce') ?? undefined;
        const back = new URL(searchParams.get('redirect_uri'));
        back.search = new URLSearchParams({ code: 'a-code-of-the-other-provider', state: searchParams.get('state') });
        return response.writeHead(302, { location: back.href }).end();
      }
      const claims = new jose.SignJWT({ ...provider.person, email_verified: true, ...(nonce && { nonce }) }).setProtectedHeader({ alg: 'RS256', kid: 'other' });
      const token = await claims.setIssuer(provider.url).setAudience('kratos').setIssuedAt().setExpirationTime('5m').sign(privateKey);
      return json(response, { access_token: 'an-access-token-of-the-other-provider', token_type: 'Bearer', expires_in: 300, id_token: token });
    });
    provider.server.listen(0, '127.0.0.1');
    await once(provider.server, 'listening');
    return provider;
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
