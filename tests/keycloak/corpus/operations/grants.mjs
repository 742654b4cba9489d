// Every grant at the token endpoint.

import { basic } from '../../lib/keycloak.mjs';
import { form, multipart, send } from '../../lib/wire.mjs';
import { firstForm } from '../../lib/visitor.mjs';
import { secretOf } from '../../realm.mjs';
import { protocol, realm } from '../ground.mjs';
import { tokensIn } from '../tokens.mjs';

export const withTokens = (attempts) => new Map(attempts.map((attempt) => [attempt, tokensIn(attempt.answer)[0]]));
const session = { trigger: 'PRE_SESSION_CREATION', identity: (event, _, ground) => event.interceptor_context.user_id === ground.users.get('bob') };
const machine = (client) => ({ trigger: 'PRE_M2M_TOKEN_CREATION', identity: (event) => event.interceptor_context.client_id === client });
const asMultipart = (draft) => {
  const { body, type } = multipart(Object.fromEntries(draft.form));
  return { ...draft, body, type };
};

/** A grant whose fields are made for each attempt: `fields(subject)`. */
function grant(name, whose, { prepare = async () => ({}), fields, headers = () => [], ...rest }) {
  return {
    name,
    route: 'token',
    kind: 'asked',
    ...whose,
    prepare,
    draft: (subject) => ({ method: 'POST', path: `${protocol}/token`, headers: headers(subject), form: Object.entries(fields(subject)), key: 'grant_type', decoy: 'password' }),
    happened: withTokens,
    plain: { 'as multipart': asMultipart },
    ...rest,
  };
}

const by = (client) => () => [['Authorization', basic(client)]];
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessToken = 'urn:ietf:params:oauth:token-type:access_token';

export const grants = [
  grant('client credentials', machine('robot'), { fields: () => ({ grant_type: 'client_credentials', scope: 'profile' }), headers: by('robot'), depth: { pairs: 4 } }),
  grant('client credentials, secret in the form', machine('robot'), {
    fields: () => ({ grant_type: 'client_credentials', client_id: 'robot', client_secret: secretOf('robot') }),
    depth: { limit: 80 },
  }),
  grant('password', session, { fields: () => ({ grant_type: 'password', client_id: 'web', username: 'bob', password: secretOf('bob'), scope: 'openid' }), decoy: 'client_credentials', depth: { step: 2, pairs: 0 } }),
  grant('refresh token', session, {
    prepare: (ground) => ground.session('direct', 'web'),
    fields: ({ refresh_token }) => ({ grant_type: 'refresh_token', client_id: 'web', refresh_token }),
    depth: { limit: 50 },
  }),
  grant('authorization code', session, {
    prepare: async (ground) => {
      // A session of its own: a code that is shown twice ends the session that it is from.
      const query = form({ client_id: 'web', redirect_uri: ground.redirect, response_type: 'code', scope: 'openid' });
      const location = await ground.visitor().logIn(`${ground.origin}${protocol}/auth?${query}`, 'bob', secretOf('bob'));
      return { code: location.searchParams.get('code'), redirect_uri: ground.redirect };
    },
    fields: (subject) => ({ grant_type: 'authorization_code', client_id: 'web', ...subject }),
    depth: { limit: 50 },
  }),
  grant('token exchange', session, {
    prepare: (ground, pass) => ground.session(pass),
    fields: ({ access_token }) => ({ grant_type: exchange, subject_token: access_token, subject_token_type: accessToken }),
    headers: by('svc'),
    depth: { limit: 40 },
  }),
  grant('token exchange into an ID token', session, {
    prepare: (ground, pass) => ground.session(pass),
    fields: ({ access_token }) => ({ grant_type: exchange, subject_token: access_token, subject_token_type: accessToken, requested_token_type: 'urn:ietf:params:oauth:token-type:id_token', scope: 'openid' }),
    headers: by('svc'),
    depth: { limit: 24 },
  }),
  grant('UMA ticket', session, {
    prepare: (ground, pass) => ground.session(pass),
    fields: () => ({ grant_type: 'urn:ietf:params:oauth:grant-type:uma-ticket', audience: 'svc' }),
    headers: ({ access_token }) => [['Authorization', `Bearer ${access_token}`]],
    depth: { limit: 40 },
  }),
  grant('device code', session, { prepare: pairDevice, fields: ({ device_code }) => ({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: 'web', device_code }), depth: { limit: 12 } }),
  grant('CIBA', session, {
    prepare: agree,
    fields: ({ auth_req_id }) => ({ grant_type: 'urn:openid:params:grant-type:ciba', auth_req_id }),
    headers: by('svc'),
    depth: { limit: 24 },
  }),
];

/** A device that bob lets in. The first one by itself: consents that are given at the same time Keycloak keeps twice, and then fails. */
async function pairDevice(ground) {
  await (ground.shared.paired ??= pair(ground));
  return pair(ground);
}

async function pair(ground) {
  const begun = await ground.keycloak.post('/auth/device', { client_id: 'web', scope: 'openid' }, undefined, protocol);
  const { device_code, user_code } = begun.json;
  const visitor = ground.visitor();
  let page = await visitor.open(`${ground.origin}${realm}/device?${form({ user_code })}`);
  for (const typed of [{ username: 'bob' }, { username: 'bob', password: secretOf('bob') }, { accept: 'Yes' }]) page = await visitor.submit(firstForm(page.text), typed);
  return { device_code };
}

/** A client that bob agrees to on another device; the first one by itself, and to its end. */
async function agree(ground) {
  const redeem = ({ auth_req_id }) => ground.keycloak.post('/token', { grant_type: 'urn:openid:params:grant-type:ciba', auth_req_id }, 'svc', protocol);
  await (ground.shared.agreed ??= agreement(ground).then(redeem));
  return agreement(ground);
}

async function agreement(ground) {
  const binding_message = ground.word('w');
  const begun = await ground.keycloak.post('/ext/ciba/auth', { scope: 'openid', login_hint: 'bob', binding_message }, 'svc', protocol);
  const headers = { Authorization: ground.device.get(binding_message), 'Content-Type': 'application/json' };
  await send(ground.keycloak.url, { method: 'POST', target: `${protocol}/ext/ciba/auth/callback`, headers, body: '{"status":"SUCCEED"}' });
  return { auth_req_id: begun.json.auth_req_id };
}
