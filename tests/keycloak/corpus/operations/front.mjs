// Tokens that leave through the browser of somebody who is logged in.

import { CompactEncrypt, importJWK } from 'jose';

import { protocol } from '../ground.mjs';
import { withTokens } from './grants.mjs';

const parameters = (ground, more) => Object.entries({ client_id: 'web', redirect_uri: ground.redirect, scope: 'openid', nonce: 'n-0S6_WzA2Mj', state: 'af0ifjsldkj', ...more });
const session = { trigger: 'PRE_SESSION_CREATION', identity: (event, _, ground) => event.interceptor_context.user_id === ground.users.get('bob') };
const key = { key: 'response_type', decoy: 'code', queryKey: 'response_type' };

/** An authorization request of bob, who has a session: `draft(ground)`. */
const authorization = (name, rest, draft) => ({
  name,
  route: 'authorize',
  kind: 'asked',
  ...session,
  prepare: async () => ({}),
  draft: (_, ground) => ({ method: 'GET', path: `${protocol}/auth`, headers: [['Cookie', ground.bob]], ...key, ...draft(ground) }),
  happened: withTokens,
  ...rest,
});
const unsecured = (claims) => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`;

/** A request object that is somewhere else: the upstream would fetch it. */
const elsewhere = (route, path) => ({
  name: `a request object elsewhere, at ${path}`,
  route,
  kind: 'closed',
  prepare: async (ground) => ({ uri: `/${ground.word('o')}` }),
  draft: ({ uri }, ground) => ({ method: 'GET', path: `${protocol}/${path}`, query: [['client_id', 'web'], ['request_uri', `http://127.0.0.1:${process.env.CIBA_PORT}${uri}`]], queryKey: 'request_uri', headers: [['Cookie', ground.bob]] }),
  happened: async (attempts, ground) => new Map(attempts.map((attempt) => [attempt, ground.fetched.has(attempt.subject.uri) || undefined])),
  depth: { limit: 24 },
});

export const front = [
  authorization('implicit', { depth: { pairs: 0 } }, (ground) => ({ query: parameters(ground, { response_type: 'id_token token' }) })),
  authorization('implicit by POST', { depth: { limit: 80 } }, (ground) => ({ method: 'POST', form: parameters(ground, { response_type: 'id_token token' }) })),
  authorization('hybrid, as a form', { depth: { limit: 40 } }, (ground) => ({ query: parameters(ground, { response_type: 'code id_token token', response_mode: 'form_post' }) })),
  authorization('in a JWT', { depth: { limit: 40 } }, (ground) => ({ query: parameters(ground, { response_type: 'code id_token token', response_mode: 'fragment.jwt' }) })),
  authorization('by a request object', { depth: { limit: 24 } }, (ground) => ({ query: [...parameters(ground, { response_type: 'id_token token' }), ['request', unsecured({ response_type: 'id_token token', client_id: 'web' })]] })),
  {
    ...authorization('by a pushed request', { depth: { limit: 40 } }, (ground) => ({ method: 'POST', path: `${protocol}/ext/par/request`, headers: [], form: parameters(ground, { response_type: 'id_token token' }) })),
    route: 'pushed-authorization-request',
    async follow(attempt, ground, { origin }) {
      const uri = /"request_uri"\s*:\s*"([^"]+)"/.exec(attempt.answer.text)?.[1];
      if (!uri) return;
      const visitor = ground.visitor();
      visitor.via = origin;
      visitor.agent = attempt.label;
      visitor.take(ground.bob);
      attempt.answer = await visitor.open(`${ground.origin}${protocol}/auth?client_id=web&request_uri=${encodeURIComponent(uri)}`);
    },
  },
  {
    name: 'a pushed request that is encrypted',
    route: 'pushed-authorization-request',
    kind: 'closed',
    prepare: async (ground) => {
      const jwk = JSON.parse((await ground.direct({ target: `${protocol}/certs` })).text).keys.find(({ use }) => use === 'enc');
      const inner = unsecured(Object.fromEntries(parameters(ground, { response_type: 'id_token token' })));
      const header = { alg: jwk.alg, enc: 'A256GCM', kid: jwk.kid, cty: 'JWT' };
      return { request: await new CompactEncrypt(Buffer.from(inner)).setProtectedHeader(header).encrypt(await importJWK(jwk, jwk.alg)) };
    },
    draft: ({ request }) => ({ method: 'POST', path: `${protocol}/ext/par/request`, form: [['client_id', 'web'], ['request', request]], key: 'request', decoy: 'x.y.z' }),
    happened: async (attempts) => new Map(attempts.map((attempt) => [attempt, attempt.answer.text.includes('urn:ietf:params:oauth:request_uri') || undefined])),
    depth: { limit: 40 },
  },
  elsewhere('authorize', 'auth'),
  elsewhere('registration-page', 'registrations'),
  elsewhere('forgot-credentials-page', 'forgot-credentials'),
];
