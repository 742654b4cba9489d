// Where tokens are shown, ended and published, and what is not served at all.

import { deflateRawSync } from 'node:zlib';

import { basic } from '../../lib/keycloak.mjs';
import { form, send } from '../../lib/wire.mjs';
import { secretOf } from '../../realm.mjs';
import { protocol, realm } from '../ground.mjs';
import { withTokens } from './grants.mjs';

const svc = ['Authorization', basic('svc')];
const matching = (pattern) => async (attempts) => new Map(attempts.map((attempt) => [attempt, pattern.test(attempt.answer.text) || undefined]));
const session = (ground, pass) => ground.session(pass);

/** Asks whether the access token of each attempt is dead, where it came from. */
async function dead(attempts, ground) {
  const found = new Map();
  for (const attempt of attempts) {
    const origin = attempt.pass === 'direct' ? ground.keycloak.url : ground.via;
    const answer = await send(origin, { method: 'POST', target: `${protocol}/token/introspect`, headers: [['Content-Type', 'application/x-www-form-urlencoded'], svc], body: form({ token: attempt.subject.access_token }) });
    found.set(attempt, answer.json.active === false || undefined);
  }
  return found;
}

const mapped = (name, route, rest) => ({ name, route, kind: 'mapped', prepare: session, ...rest });
const closed = (name, route, draft, happened, depth = { limit: 40 }) => ({ name, route, kind: 'closed', prepare: async () => ({}), draft: (_, ground) => ({ method: 'GET', ...draft(ground) }), happened, depth });

const own = {
  jwks: (answer, ground) => [...ground.ours].every((kid) => answer.text.includes(kid)),
  document: (answer, ground) => answer.text.includes(ground.origin),
};
const keys = (answer, ground) => ground.native.some((number) => answer.text.includes(number)) || answer.text.includes(ground.publicKey);
/** What Tollgate does not serve is announced. */
const algorithms = (answer) => /"id_token_encryption_alg_values_supported"|pre-authorized_code/.test(answer.text);
const published = (name, route, path, { leaks = algorithms, shows = own.document, depth = { limit: 40 } } = {}) => ({
  name,
  route,
  kind: 'published',
  leaks,
  prepare: async () => ({}),
  draft: () => ({ method: 'GET', path }),
  happened: async (attempts, ground) => new Map(attempts.map((attempt) => [attempt, (attempt.pass === 'direct' ? leaks(attempt.answer, ground) : attempt.answer.status === 200 && shows(attempt.answer, ground)) || undefined])),
  depth,
});

const now = new Date().toISOString();
const authnRequest = (ground) => `<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_corpus" Version="2.0" IssueInstant="${now}" Destination="${ground.origin}${realm}/protocol/saml" AssertionConsumerServiceURL="https://sp.example/acs" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"><saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">https://sp.example/</saml:Issuer></samlp:AuthnRequest>`;
const cookie = (ground) => [['Cookie', ground.bob]];

export const others = [
  mapped('introspection', 'introspection', {
    draft: ({ access_token }) => ({ method: 'POST', path: `${protocol}/token/introspect`, headers: [svc], form: [['token', access_token]], key: 'token', decoy: 'x' }),
    happened: matching(/"active":true/),
    depth: { limit: 50 },
  }),
  mapped('userinfo', 'userinfo', {
    draft: ({ access_token }) => ({ method: 'GET', path: `${protocol}/userinfo`, headers: [['Authorization', `Bearer ${access_token}`]] }),
    happened: matching(/"sub":/),
    depth: { limit: 30 },
  }),
  mapped('userinfo by POST', 'userinfo', {
    draft: ({ access_token }) => ({ method: 'POST', path: `${protocol}/userinfo`, form: [['access_token', access_token]], key: 'access_token', decoy: 'x' }),
    happened: matching(/"sub":/),
    depth: { limit: 30 },
  }),
  {
    ...mapped('userinfo with a native token', 'userinfo', {
      prepare: (ground) => ground.session('direct'),
      draft: ({ access_token }) => ({ method: 'POST', path: `${protocol}/userinfo`, form: [['access_token', access_token]], key: 'access_token', decoy: 'x' }),
      happened: matching(/"sub":/),
      depth: { limit: 70 },
    }),
    kind: 'closed',
  },
  mapped('revocation', 'revocation', {
    draft: ({ access_token }) => ({ method: 'POST', path: `${protocol}/revoke`, headers: [svc], form: [['token', access_token]], key: 'token', decoy: 'x' }),
    happened: dead,
    depth: { limit: 30 },
  }),
  mapped('logout', 'logout', {
    draft: ({ id_token }, ground) => ({ method: 'GET', path: `${protocol}/logout`, query: [['id_token_hint', id_token], ['post_logout_redirect_uri', `${ground.world.rp}/bye`]], queryKey: 'id_token_hint' }),
    happened: dead,
    depth: { limit: 30 },
  }),
  mapped('backchannel authentication', undefined, {
    prepare: async () => ({}),
    draft: () => ({ method: 'POST', path: `${protocol}/ext/ciba/auth`, headers: [svc], form: [['scope', 'openid'], ['login_hint', 'bob'], ['binding_message', 'x']], key: 'login_hint', decoy: 'alice' }),
    happened: matching(/"auth_req_id"/),
    depth: { limit: 14 },
  }),
  mapped('backchannel authentication callback', 'backchannel-authentication-callback', {
    prepare: asked,
    draft: ({ bearer }) => ({ method: 'POST', path: `${protocol}/ext/ciba/auth/callback`, headers: [['Authorization', bearer]], json: { status: 'SUCCEED' }, key: 'status', decoy: 'CANCELLED' }),
    happened: agreed,
    depth: { limit: 14 },
  }),

  mapped('a preflight', 'token-preflight', {
    prepare: async () => ({}),
    draft: (_, ground) => ({ method: 'OPTIONS', path: `${protocol}/token`, headers: [['Origin', ground.world.rp], ['Access-Control-Request-Method', 'POST']] }),
    happened: async (attempts) => new Map(attempts.map((attempt) => [attempt, attempt.answer.header('access-control-allow-methods')])),
    depth: { limit: 1 },
  }),
  // Its effect is that the upstream had to refuse it.
  closed('a token by GET', 'token-by-another-method', () => ({ path: `${protocol}/token`, query: [['grant_type', 'client_credentials']], queryKey: 'grant_type', headers: [['Authorization', basic('robot')]] }), async (attempts) => new Map(attempts.map((attempt) => [attempt, attempt.answer.status === 405 || undefined]))),

  published('keys', 'jwks', `${protocol}/certs`, { leaks: keys, shows: own.jwks, depth: { pairs: 0 } }),
  published('the key of the realm', 'realm-key', realm, { leaks: keys, shows: (answer, ground) => /"public_key":"/.test(answer.text) && !keys(answer, ground) }),
  published('discovery', 'discovery', `${realm}/.well-known/openid-configuration`),
  published('metadata', 'oauth-metadata', `${realm}/.well-known/oauth-authorization-server`),
  published('metadata at the root', 'oauth-metadata-of-root', `/.well-known/oauth-authorization-server${realm}`),
  published('metadata of UMA', 'uma-metadata', `${realm}/.well-known/uma2-configuration`),

  closed('keys of the credential issuer', 'credential-issuer-keys', () => ({ path: `${realm}/.well-known/jwt-vc-issuer` }), native),
  closed('keys of the credential issuer at the root', 'credential-issuer-keys-of-root', () => ({ path: `/.well-known/jwt-vc-issuer${realm}` }), native),
  closed('the credential issuer', 'credential-issuer', () => ({ path: `${realm}/.well-known/openid-credential-issuer` }), matching(/"credential_issuer"/), { limit: 20 }),
  closed('the credential issuer at the root', 'credential-issuer-of-root', () => ({ path: `/.well-known/openid-credential-issuer${realm}` }), matching(/"credential_issuer"/), { limit: 20 }),
  closed('credential issuance', 'credential-issuance', () => ({ method: 'POST', path: `${realm}/protocol/oid4vc/nonce` }), matching(/"c_nonce"/)),
  closed('docker', 'docker', () => ({ path: `${realm}/protocol/docker-v2/auth`, query: [['service', 'registry'], ['account', 'bob']], queryKey: 'service', headers: [['Authorization', `Basic ${Buffer.from(`bob:${secretOf('bob')}`).toString('base64')}`]] }), withTokens, { pairs: 0 }),
  closed('SAML', 'saml', (ground) => ({ path: `${realm}/protocol/saml`, query: [['SAMLRequest', deflateRawSync(authnRequest(ground)).toString('base64')]], queryKey: 'SAMLRequest', headers: cookie(ground) }), matching(/SAMLResponse/)),
  { ...closed('SAML by POST', 'saml', (ground) => ({ method: 'POST', path: `${realm}/protocol/saml`, form: [['SAMLRequest', Buffer.from(authnRequest(ground)).toString('base64')]], key: 'SAMLRequest', decoy: 'x', headers: cookie(ground) }), matching(/SAMLResponse/)), follow: onward },
  closed('SAML begun at the provider', 'saml-endpoints', (ground) => ({ path: `${realm}/protocol/saml/clients/intranet`, headers: cookie(ground) }), matching(/SAMLResponse/)),
];

/** Keycloak answers a POST with a redirect to itself, since cookies of other sites come along only then. */
async function onward(attempt, ground, { origin }) {
  const location = attempt.answer.header('location');
  if (!location?.startsWith(ground.origin)) return;
  const visitor = ground.visitor();
  visitor.via = origin;
  visitor.take(ground.bob);
  attempt.answer = await visitor.open(location);
}

async function native(attempts, ground) {
  return new Map(attempts.map((attempt) => [attempt, keys(attempt.answer, ground) || undefined]));
}

/** An authentication request that waits for bob. */
async function asked(ground) {
  const binding_message = ground.word('w');
  const begun = await ground.keycloak.post('/ext/ciba/auth', { scope: 'openid', login_hint: 'bob', binding_message }, 'svc', protocol);
  return { auth_req_id: begun.json.auth_req_id, bearer: ground.device.get(binding_message) };
}

/** For which attempts the client would get tokens now. */
async function agreed(attempts, ground) {
  const found = new Map();
  for (const attempt of attempts) {
    const answer = await ground.keycloak.post('/token', { grant_type: 'urn:openid:params:grant-type:ciba', auth_req_id: attempt.subject.auth_req_id }, 'svc', protocol);
    found.set(attempt, answer.json.access_token);
  }
  return found;
}
