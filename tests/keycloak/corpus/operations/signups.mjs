// Accounts that people open themselves: the registration form by each path that takes it, also where it has no password, and the form after a broker.

import { firstForm, registration } from '../../lib/visitor.mjs';
import { form, multipart } from '../../lib/wire.mjs';
import { secretOf } from '../../realm.mjs';
import { protocol } from '../ground.mjs';

const asMultipart = (draft) => {
  const { body, type } = multipart(Object.fromEntries(draft.form));
  return { ...draft, body, type };
};

/** Whom each attempt made a user of: by the name, or the address, that it was about. */
async function made(attempts, ground, realm = 'corpus') {
  const users = (await ground.keycloak.admin('GET', `/${realm}/users?max=20000&briefRepresentation=true`)).json;
  const found = new Map(users.flatMap((user) => [[user.username, user], [user.email, user]]));
  return new Map(attempts.map((attempt) => {
    const { username, email } = attempt.subject.fields;
    return [attempt, found.get(username) ?? (email && found.get(email))];
  }));
}

const told = (event, { effect }) => {
  const { user } = event.data;
  return user.username?.toLowerCase() === effect.username && (user.email ?? '').toLowerCase() === (effect.email ?? '');
};

/** The registration form posted to a path. */
function signup(name, route, step, { realm = 'corpus', client = 'web', type = registration, ...rest } = {}) {
  return {
    name,
    route,
    kind: 'asked',
    trigger: 'PRE_SIGNUP',
    prepare: async (ground) => {
      const visitor = ground.visitor();
      const page = await visitor.registrationForm(client, ground.redirect, protocol.replace('corpus', realm));
      const username = ground.word('u');
      return { ...page, cookie: visitor.cookie, fields: { ...page.fields, ...type(username, secretOf(username)) } };
    },
    draft: ({ path, query, cookie, fields }) => ({
      method: 'POST',
      path: path.replace(/registration$/, step),
      query: [...new URLSearchParams(query)],
      headers: [['Cookie', cookie]],
      form: Object.entries(fields),
      key: fields.email === undefined ? 'username' : 'email',
      decoy: 'decoy@new.example',
      queryKey: 'execution',
    }),
    happened: (attempts, ground) => made(attempts, ground, realm),
    identity: told,
    ...rest,
  };
}

const bareName = (username) => ({ username });
const bareAddress = (username) => ({ username, email: `${username}@new.example` });

export const signups = [
  signup('registration', 'registration', 'registration', {
    depth: { pairs: 8 },
    plain: { 'as multipart': asMultipart, 'with a trailing slash': (draft) => ({ ...draft, path: `${draft.path}/` }) },
  }),
  signup('registration at the login', 'registration-elsewhere', 'authenticate', { depth: { limit: 80 } }),
  signup('registration at the forgotten password', 'registration-elsewhere', 'reset-credentials', { depth: { limit: 40 } }),
  signup('registration without a password', 'registration', 'registration', { realm: 'corpus-learned', type: bareName, depth: { limit: 12 } }),
  signup('registration without a password at the login', 'registration-elsewhere', 'authenticate', { realm: 'corpus-learned', type: bareName, depth: { limit: 30 } }),
  signup('registration that cannot be learned', 'registration', 'registration', { realm: 'corpus-unlearned', type: bareAddress, depth: { limit: 12 } }),
  signup('registration that cannot be learned, at the login', 'registration-by-login-page', 'authenticate', { realm: 'corpus-unlearned', type: bareAddress, depth: { limit: 30 } }),
  signup('registration that cannot be learned, at the forgotten password', 'registration-by-reset-page', 'reset-credentials', { realm: 'corpus-unlearned', type: bareAddress, depth: { limit: 30 } }),
  {
    ...signup('first login by a broker', 'first-broker-login', 'first-broker-login', { depth: { limit: 14 } }),
    prepare: arrive,
    draft: ({ path, query, cookie, fields }) => ({ method: 'POST', path, query: [...new URLSearchParams(query)], headers: [['Cookie', cookie]], form: Object.entries(fields), key: 'email', decoy: 'decoy@new.example', queryKey: 'execution' }),
  },
];

/** Somebody whom the partner's identity provider knows, at the form that reviews the new account. */
async function arrive(ground) {
  const username = ground.word('p');
  await ground.keycloak.admin('POST', '/corpus-partner/users', { username, email: `${username}@partner.example`, firstName: 'By', lastName: 'Broker', enabled: true, emailVerified: true, credentials: [{ type: 'password', value: secretOf(username) }] });
  const visitor = ground.visitor();
  const query = form({ client_id: 'web', redirect_uri: ground.redirect, response_type: 'code', scope: 'openid', kc_idp_hint: 'partner' });
  const login = await visitor.open(`${ground.origin}${protocol}/auth?${query}`);
  const page = await visitor.submit(firstForm(login.text), { username, password: secretOf(username) });
  const review = firstForm(page.text);
  if (!review) throw new Error(`no form to review: ${page.status} ${page.text.slice(0, 300)}`);
  return { ...review, cookie: visitor.cookie, fields: { ...review.fields, username, email: `${username}@partner.example`, firstName: 'By', lastName: 'Broker' } };
}

