// The realm `tg`: every flow by which an account, a session or a token can come out of Keycloak is switched on
// somewhere, so that a proxy in front of it can be tried on all of them.
// As a program it writes an import file to stdout: `realm.mjs tg` or `realm.mjs partner`. The environment of keycloak.sh says what the realms refer to.

import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';

export const realmName = 'tg';

/** The password or secret of a user or client of the realm: long and unmistakable, so that it can be looked for in what Tollgate writes. */
export function secretOf(name) {
  // Letters and digits only: openid-client percent-encodes the rest in HTTP Basic (RFC 6749 §2.3.1), Keycloak does not decode it.
  return `canary${name}${createHash('sha256').update(name).digest('hex').slice(0, 20)}`;
}

function client(clientId, redirects, { attributes = {}, ...rest } = {}) {
  return {
    clientId,
    enabled: true,
    protocol: 'openid-connect',
    publicClient: false,
    clientAuthenticatorType: 'client-secret',
    secret: secretOf(clientId),
    redirectUris: redirects,
    webOrigins: ['+'],
    standardFlowEnabled: true,
    implicitFlowEnabled: false,
    directAccessGrantsEnabled: false,
    serviceAccountsEnabled: false,
    fullScopeAllowed: true,
    attributes: { 'post.logout.redirect.uris': '+', ...attributes },
    ...rest,
  };
}

function user(username, rest = {}) {
  return {
    username,
    email: `${username}@example.org`,
    emailVerified: true,
    firstName: username[0].toUpperCase() + username.slice(1),
    lastName: 'Test',
    enabled: true,
    credentials: [{ type: 'password', value: secretOf(username), temporary: false }],
    realmRoles: [`default-roles-${realmName}`, 'offline_access'],
    ...rest,
  };
}

function audience(clientId) {
  return {
    name: `aud-${clientId}`,
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: {
      'included.client.audience': clientId,
      'access.token.claim': 'true',
      'introspection.token.claim': 'true',
      'id.token.claim': 'false',
    },
  };
}

/** Documents protected by user-managed access, so that UMA tickets and requesting-party tokens can be asked for. */
const authorization = {
  allowRemoteResourceManagement: true,
  policyEnforcementMode: 'ENFORCING',
  scopes: [{ name: 'read' }],
  resources: [{ name: 'Document', uris: ['/*'], scopes: [{ name: 'read' }] }],
  policies: [
    {
      name: 'Everybody',
      type: 'role',
      logic: 'POSITIVE',
      decisionStrategy: 'UNANIMOUS',
      config: { roles: JSON.stringify([{ id: 'offline_access', required: false }]) },
    },
    {
      name: 'Everybody reads',
      type: 'resource',
      logic: 'POSITIVE',
      decisionStrategy: 'UNANIMOUS',
      config: { resources: '["Document"]', applyPolicies: '["Everybody"]' },
    },
  ],
};

/**
 * The realm `partner`: another organization's identity provider, whose users log in to `tg` through it.
 * Keycloak asks it at its own port, browsers go to it by the front door.
 */
export function partner({ origin }) {
  return {
    realm: 'partner',
    enabled: true,
    sslRequired: 'none',
    clients: [client('broker', [`${origin}/realms/${realmName}/broker/partner/endpoint*`])],
    users: ['dora', 'emil', 'fay', 'gus', 'hana', 'ivo', 'jana', 'kim', 'lena', 'mona', 'nora', 'orla'].map((name) => user(name, { realmRoles: ['default-roles-partner'] })),
  };
}

function broker({ origin, keycloak }) {
  const front = `${origin}/realms/partner/protocol/openid-connect`;
  const back = `${keycloak}/realms/partner/protocol/openid-connect`;
  return {
    alias: 'partner',
    providerId: 'oidc',
    enabled: true,
    trustEmail: true,
    firstBrokerLoginFlowAlias: 'first broker login',
    config: {
      issuer: `${origin}/realms/partner`,
      authorizationUrl: `${front}/auth`,
      tokenUrl: `${back}/token`,
      userInfoUrl: `${back}/userinfo`,
      jwksUrl: `${back}/certs`,
      useJwksUrl: 'true',
      validateSignature: 'true',
      clientId: 'broker',
      clientSecret: secretOf('broker'),
      clientAuthMethod: 'client_secret_post',
      defaultScope: 'openid profile email',
      syncMode: 'IMPORT',
    },
  };
}

export function realm({ origin, keycloak, rpPort, smtpPort }) {
  const redirects = [`http://127.0.0.1:${rpPort}/*`];
  return {
    realm: realmName,
    enabled: true,
    sslRequired: 'none',
    registrationAllowed: true,
    resetPasswordAllowed: true,
    verifyEmail: false,
    loginWithEmailAllowed: true,
    organizationsEnabled: true,
    accessTokenLifespan: 900,
    bruteForceProtected: false,
    smtpServer: { host: '127.0.0.1', port: String(smtpPort), from: 'noreply@example.org' },
    clients: [
      client('web', redirects, {
        publicClient: true,
        secret: undefined,
        implicitFlowEnabled: true,
        directAccessGrantsEnabled: true,
        attributes: {
          'pkce.code.challenge.method': '',
          'oauth2.device.authorization.grant.enabled': 'true',
        },
        protocolMappers: [audience('svc')],
      }),
      client('spa', redirects, {
        publicClient: true,
        secret: undefined,
        attributes: { 'pkce.code.challenge.method': 'S256' },
        protocolMappers: [audience('svc')],
      }),
      client('svc', redirects, {
        serviceAccountsEnabled: true,
        directAccessGrantsEnabled: true,
        authorizationServicesEnabled: true,
        authorizationSettings: authorization,
        attributes: {
          'standard.token.exchange.enabled': 'true',
          'standard.token.exchange.enableRefreshRequestedTokenType': 'SAME_SESSION',
          'oidc.ciba.grant.enabled': 'true',
          'oauth2.device.authorization.grant.enabled': 'true',
        },
        protocolMappers: [audience('api'), audience('svc')],
      }),
      client('api', redirects, { serviceAccountsEnabled: true }),
      client('es', redirects, {
        serviceAccountsEnabled: true,
        directAccessGrantsEnabled: true,
        attributes: { 'access.token.signed.response.alg': 'ES256', 'id.token.signed.response.alg': 'ES256' },
        protocolMappers: [audience('svc')],
      }),
      client('hs', redirects, {
        directAccessGrantsEnabled: true,
        attributes: { 'id.token.signed.response.alg': 'HS256' },
      }),
      client('signedui', redirects, {
        directAccessGrantsEnabled: true,
        attributes: { 'user.info.response.signature.alg': 'RS256' },
      }),
      client('jwtintro', redirects, {
        serviceAccountsEnabled: true,
        directAccessGrantsEnabled: true,
        attributes: { 'client.introspection.response.allow.jwt.claim.enabled': 'true' },
        protocolMappers: [audience('jwtintro')],
      }),
      client('light', redirects, {
        directAccessGrantsEnabled: true,
        attributes: { 'client.use.lightweight.access.token.enabled': 'true' },
      }),
      client('robot', redirects, {
        standardFlowEnabled: false,
        serviceAccountsEnabled: true,
        protocolMappers: [audience('svc')],
      }),
      client('dpop', redirects, {
        publicClient: true,
        secret: undefined,
        attributes: { 'pkce.code.challenge.method': 'S256', 'dpop.bound.access.tokens': 'true' },
        protocolMappers: [audience('svc')],
      }),
      client('mtls', redirects, {
        serviceAccountsEnabled: true,
        directAccessGrantsEnabled: true,
        attributes: { 'tls.client.certificate.bound.access.tokens': 'true' },
        protocolMappers: [audience('svc')],
      }),
      client('x509', redirects, {
        serviceAccountsEnabled: true,
        clientAuthenticatorType: 'client-x509',
        attributes: { 'x509.subjectdn': 'CN=robot.example.org' },
        protocolMappers: [audience('svc')],
      }),
      client('keeper', [], { standardFlowEnabled: false, serviceAccountsEnabled: true }),
      client('registry', redirects, { protocol: 'docker-v2' }),
    ],
    users: [
      user('alice', { clientRoles: { 'realm-management': ['realm-admin'], account: ['manage-account', 'view-profile'] } }),
      user('bob'),
      user('carol'),
      {
        username: 'service-account-svc',
        enabled: true,
        serviceAccountClientId: 'svc',
        clientRoles: { 'realm-management': ['manage-users', 'create-client'], svc: ['uma_protection'] },
        realmRoles: [`default-roles-${realmName}`, 'offline_access'],
      },
      {
        username: 'service-account-keeper',
        enabled: true,
        serviceAccountClientId: 'keeper',
        clientRoles: { 'realm-management': ['manage-users', 'manage-organizations'] },
      },
    ],
    identityProviders: [broker({ origin, keycloak })],
    organizations: [
      { name: 'acme', alias: 'acme', enabled: true, redirectUrl: '', domains: [{ name: 'acme.test', verified: true }] },
    ],
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { KEYCLOAK_PORT = '8180', RP_PORT = '9999', SMTP_PORT = '9925' } = process.env;
  const keycloak = `http://127.0.0.1:${KEYCLOAK_PORT}`;
  const origin = process.env.KEYCLOAK_PUBLIC || keycloak;
  const realms = { [realmName]: realm({ origin, keycloak, rpPort: RP_PORT, smtpPort: SMTP_PORT }), partner: partner({ origin }) };
  process.stdout.write(`${JSON.stringify(realms[process.argv[2] ?? realmName], null, 1)}\n`);
}
