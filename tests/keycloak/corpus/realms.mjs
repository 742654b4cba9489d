// The realms of the corpus, made from those of the other suites.

import { realmName } from '../realm.mjs';

/** A realm of the other suites by another name, with passwords that cost nothing to check. */
export function everything(realm, { origin }) {
  const text = JSON.stringify(realm)
    .replaceAll(`/realms/${realmName}/`, '/realms/corpus/')
    .replaceAll('/realms/partner', '/realms/corpus-partner')
    .replaceAll(`default-roles-${realmName}`, 'default-roles-corpus')
    .replaceAll('default-roles-partner', 'default-roles-corpus-partner');
  const own = JSON.parse(text);
  for (const client of own.clients) {
    // Where request objects may be fetched from, and who the tokens for SCIM are for.
    if (client.clientId === 'web') client.attributes['request.uris'] = `http://127.0.0.1:${process.env.CIBA_PORT}/*`;
    if (client.clientId === 'svc') client.protocolMappers.push({ name: 'aud-scim', protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper', config: { 'included.custom.audience': `${origin}/realms/corpus/scim/v2`, 'access.token.claim': 'true' } });
  }
  if (realm.realm === realmName) own.clients.push(serviceProvider);
  const named = realm.realm === realmName ? 'corpus' : `corpus-${realm.realm}`;
  return { ...own, realm: named, passwordPolicy: 'hashAlgorithm(pbkdf2-sha256) and hashIterations(1)', accessTokenLifespan: 3600, ssoSessionIdleTimeout: 7200, scimApiEnabled: true, verifiableCredentialsEnabled: true };
}

/**
 * A realm that people join without a password, as with passkeys: its registration form has no field by which it could be told.
 * @param kind `unlearned`: nor can its form be learned, for the client `account` is switched off, and it asks for an address
 */
export function bare(kind, { rpPort }) {
  const asksForAddress = kind === 'unlearned';
  const attribute = (name, required) => ({ name, permissions: { view: ['admin', 'user'], edit: ['admin', 'user'] }, ...(required && { required: { roles: ['user'] } }) });
  const attributes = [attribute('username'), attribute('email', asksForAddress)];
  const execution = (authenticator, priority) => ({ authenticator, authenticatorFlow: false, requirement: 'REQUIRED', priority, userSetupAllowed: false });
  return {
    realm: `corpus-${kind}`,
    enabled: true,
    sslRequired: 'none',
    registrationAllowed: true,
    resetPasswordAllowed: true,
    registrationFlow: 'without a password',
    authenticationFlows: [
      { alias: 'without a password', providerId: 'basic-flow', topLevel: true, builtIn: false, authenticationExecutions: [{ authenticator: 'registration-page-form', authenticatorFlow: true, flowAlias: 'the form', requirement: 'REQUIRED', priority: 10, userSetupAllowed: false }] },
      { alias: 'the form', providerId: 'form-flow', topLevel: false, builtIn: false, authenticationExecutions: [execution('registration-user-creation', 20)] },
    ],
    components: {
      'org.keycloak.userprofile.UserProfileProvider': [{ providerId: 'declarative-user-profile', config: { 'kc.user.profile.config': [JSON.stringify({ attributes })] } }],
    },
    clients: [
      { clientId: 'web', enabled: true, protocol: 'openid-connect', publicClient: true, redirectUris: [`http://127.0.0.1:${rpPort}/*`] },
      ...(asksForAddress ? [{ clientId: 'account', enabled: false, protocol: 'openid-connect', publicClient: true, redirectUris: [] }] : []),
    ],
  };
}

/** Somebody who logs people in by SAML. */
const serviceProvider = {
  clientId: 'https://sp.example/',
  protocol: 'saml',
  enabled: true,
  redirectUris: ['https://sp.example/*'],
  attributes: {
    'saml.client.signature': 'false',
    'saml.force.post.binding': 'true',
    saml_idp_initiated_sso_url_name: 'intranet',
    saml_assertion_consumer_url_post: 'https://sp.example/acs',
  },
};
