// The fixed answers of the stub: a discovery document, a key set, and really signed tokens of the size that Keycloak's have.

import { createHash, randomUUID } from 'node:crypto';

import { exportJWK, generateKeyPair, SignJWT } from 'jose';

const hour = 3600;

/** What the stub answers for one realm, as JSON texts: `{ discovery, jwks, tokens }`. */
export async function realm(origin, name, alg) {
  const issuer = `${origin}/realms/${name}`;
  const endpoint = (path) => `${issuer}/protocol/openid-connect/${path}`;
  const { publicKey, privateKey } = await generateKeyPair(alg);
  const kid = `upstream-${name}`;
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }] };
  const now = Math.floor(Date.now() / 1000);
  const [sub, sid] = [randomUUID(), randomUUID()];
  const sign = (claims) => new SignJWT(claims).setProtectedHeader({ alg, typ: 'JWT', kid }).sign(privateKey);
  const user = { sub, name: 'Ada Lovelace', preferred_username: 'ada', given_name: 'Ada', family_name: 'Lovelace', email: 'ada@example.com', email_verified: true };
  const times = { exp: now + 24 * hour, iat: now, auth_time: now, iss: issuer };
  const access_token = await sign({
    ...times,
    jti: `onrtac:${randomUUID()}`,
    aud: 'account',
    typ: 'Bearer',
    azp: 'web',
    sid,
    acr: '1',
    'allowed-origins': ['https://app.example.com'],
    realm_access: { roles: ['default-roles-bench', 'offline_access', 'uma_authorization'] },
    resource_access: { account: { roles: ['manage-account', 'manage-account-links', 'view-profile'] } },
    scope: 'openid profile email',
    ...user,
  });
  const at_hash = createHash('sha256').update(access_token).digest().subarray(0, 16).toString('base64url');
  const id_token = await sign({ ...times, jti: randomUUID(), aud: 'web', typ: 'ID', azp: 'web', sid, acr: '1', at_hash, ...user });
  const refresh_token = await new SignJWT({ ...times, jti: randomUUID(), aud: issuer, sub, typ: 'Refresh', azp: 'web', sid, scope: 'openid profile email' })
    .setProtectedHeader({ alg: 'HS512', typ: 'JWT', kid: randomUUID() })
    .sign(new Uint8Array(64));
  return {
    discovery: JSON.stringify({
      issuer,
      authorization_endpoint: endpoint('auth'),
      token_endpoint: endpoint('token'),
      jwks_uri: endpoint('certs'),
      id_token_signing_alg_values_supported: [alg],
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
    }),
    jwks: JSON.stringify(jwks),
    tokens: JSON.stringify({ access_token, expires_in: 300, refresh_expires_in: 1800, refresh_token, token_type: 'Bearer', id_token, 'not-before-policy': 0, session_state: sid, scope: 'openid profile email' }),
  };
}
