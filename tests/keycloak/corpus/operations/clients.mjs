// Clients that register themselves.

import { realm } from '../ground.mjs';

const registrations = `${realm}/clients-registrations`;
const json = { 'Content-Type': 'application/json' };
const redirect = (word) => `https://${word}.example/cb`;
const metadata = ({ word }) => ({ client_name: word, redirect_uris: [redirect(word)], grant_types: ['authorization_code'], token_endpoint_auth_method: 'none' });
const fresh = async (ground) => ({ word: ground.word('c') });
const told = (event, { effect }) => (event.data.client.redirect_uris ?? []).join() === effect.redirectUris.join();

/** The clients by the redirect URI that an attempt asks for. */
async function registered(attempts, ground) {
  const found = new Map((await ground.list('/clients')).flatMap((client) => [...client.redirectUris.map((uri) => [uri, client]), [client.name, client], [client.clientId, client]]));
  return new Map(attempts.map((attempt) => [attempt, found.get(redirect(attempt.subject.word)) ?? found.get(attempt.subject.word)]));
}

/** The clients that have other redirect URIs than before. */
async function updated(attempts, ground) {
  const found = new Map((await ground.list('/clients')).map((client) => [client.clientId, client]));
  return new Map(attempts.map((attempt) => {
    const client = found.get(attempt.subject.id);
    return [attempt, client?.redirectUris.includes(redirect(`before${attempt.subject.word}`)) ? undefined : client];
  }));
}

const registration = (name, route, { draft, ...rest }) => ({
  name,
  route,
  kind: 'asked',
  trigger: 'PRE_CLIENT_REGISTRATION',
  prepare: fresh,
  draft: async (subject, ground, pass) => ({ method: 'POST', headers: [await ground.machine(pass, 'svc')], ...draft(subject) }),
  happened: registered,
  identity: told,
  ...rest,
});

/** An update by a client that registered past Tollgate, with its own token for that. */
const update = (name, route, provider, document) => registration(name, route, {
  prepare: async (ground) => {
    const [, bearer] = await ground.machine('direct', 'svc');
    const word = ground.word('c');
    const made = await ground.direct({ method: 'POST', target: `${registrations}/${provider}`, headers: { ...json, Authorization: bearer }, body: JSON.stringify(document({ word: `before${word}`, id: word })) });
    return { word, id: made.json.client_id ?? made.json.clientId, token: made.json.registration_access_token ?? made.json.registrationAccessToken };
  },
  draft: ({ word, id, token }) => ({ method: 'PUT', path: `${registrations}/${provider}/${id}`, headers: [['Authorization', `Bearer ${token}`]], json: document({ word, id }), ...keyOf(document) }),
  happened: updated,
  depth: { limit: 40 },
});
const withId = (subject) => ({ ...metadata(subject), ...(subject.word.startsWith('before') ? {} : { client_id: subject.id }) });
const document = ({ word, id = word }) => ({ clientId: id, redirectUris: [redirect(word)] });
const keyOf = (make) => (make === document ? { key: 'redirectUris', decoy: ['https://decoy.example/cb'] } : { key: 'redirect_uris', decoy: ['https://decoy.example/cb'] });

export const clients = [
  registration('register a client', 'register-client', { draft: (subject) => ({ path: `${registrations}/openid-connect`, json: metadata(subject), ...keyOf(metadata) }), depth: { limit: 100 } }),
  update('update a client', 'update-client', 'openid-connect', withId),
  registration('register a client by its document', 'register-client-document', { draft: (subject) => ({ path: `${registrations}/default`, json: document(subject), ...keyOf(document) }), depth: { limit: 60 } }),
  update('update a client by its document', 'update-client-document', 'default', document),
  {
    // Its effect is that the upstream had to refuse it. SAML descriptors, which it takes, keep Keycloak's database in memory waiting for itself.
    ...registration('register a client in another way', 'register-client-otherwise', {
      draft: ({ word }) => ({ path: `${registrations}/another`, json: { name: word } }),
      happened: async (attempts) => new Map(attempts.map((attempt) => [attempt, attempt.answer.status === 404 || undefined])),
      depth: { limit: 0 },
    }),
    kind: 'closed',
  },
];
