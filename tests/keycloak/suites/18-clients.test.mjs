// Clients that register themselves (RFC 7591), and SAML, whose sessions nobody is asked about.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { realmName } from '../realm.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { form, send, urlencoded } from '../lib/wire.mjs';
import { World, interceptors } from '../lib/world.mjs';

const message = 'Only assistants of our own may register.';
const json = { 'Content-Type': 'application/json' };
const registrations = `/realms/${realmName}/clients-registrations`;
const asking = [...Object.values(interceptors), { name: 'Registration', trigger: 'PRE_CLIENT_REGISTRATION' }];

let world;
let bearer;
before(async () => {
  world = await World.open('clients', { interceptors: () => asking });
  const answer = await world.post(paths.token, { grant_type: 'client_credentials' }, { Authorization: basic('svc') });
  bearer = { Authorization: `Bearer ${answer.json.access_token}` };
  world.secretOf('svc');
});
after(() => world?.close());

const known = async (clientId) => (await world.keycloak.admin('GET', `/tg/clients?clientId=${clientId}`)).json.length;
const asked = () => world.hooks.events('PRE_CLIENT_REGISTRATION');
const register = (path, document, { method = 'POST', headers = bearer } = {}) =>
  world.send({ method, target: `${registrations}${path}`, headers: { ...json, ...headers }, body: JSON.stringify(document) });
const metadata = (name) => ({ client_name: name, redirect_uris: ['http://127.0.0.1:33418/callback'], grant_types: ['authorization_code'], token_endpoint_auth_method: 'none' });

describe('a client that registers itself', () => {
  test('denied: there is no such client, and it reads an error of RFC 7591', async () => {
    world.hooks.answer('Registration', deny(message));
    const name = `Denied ${world.tag}`;
    const answer = await register('/openid-connect', metadata(name));
    assert.deepEqual([answer.status, answer.json], [400, { error: 'invalid_client_metadata', error_description: message }]);
    assert.deepEqual(asked().at(-1).data.client, metadata(name));
    assert.equal(asked().at(-1).data.registrant.client_id, 'svc');
    const clients = (await world.keycloak.admin('GET', '/tg/clients')).json;
    assert.ok(clients.every((client) => client.name !== name));
  });

  test('allowed: it works with what the upstream answered, and a change is asked about again', async () => {
    world.hooks.answer('Registration', allow());
    const made = await register('/openid-connect', metadata(`Allowed ${world.tag}`));
    assert.equal(made.status, 201, made.text);
    const { client_id: id, registration_access_token: token } = made.json;
    const own = { Authorization: `Bearer ${world.canaries.add('registration access token', token)}` };
    const read = await world.send({ target: `${registrations}/openid-connect/${id}`, headers: own });
    assert.equal(read.json.client_id, id, read.text);
    const next = { Authorization: `Bearer ${world.canaries.add('registration access token', read.json.registration_access_token ?? token)}` };
    world.hooks.answer('Registration', deny(message));
    const changed = { ...metadata(`Allowed ${world.tag}`), client_id: id, redirect_uris: ['https://evil.example/cb'] };
    const refused = await register(`/openid-connect/${id}`, changed, { method: 'PUT', headers: next });
    assert.equal(refused.json.error_description, message);
    assert.equal(asked().at(-1).data.client.client_id, id);
    assert.equal(asked().at(-1).interceptor_context.operation, 'update-client');
    world.hooks.answer('Registration', allow());
    const taken = await register(`/openid-connect/${id}`, changed, { method: 'PUT', headers: next });
    assert.equal(taken.status, 200, taken.text);
    const [client] = (await world.keycloak.admin('GET', `/tg/clients?clientId=${id}`)).json;
    assert.deepEqual(client.redirectUris, ['https://evil.example/cb']);
  });

  test('by the upstream\'s own document or a SAML descriptor it does not get by', async () => {
    world.hooks.answer('Registration', deny(message));
    const clientId = `document-${world.tag}`;
    const answer = await register('/default', { clientId, redirectUris: ['https://rp.example/cb'] });
    assert.equal(answer.json.error_description, message);
    assert.equal(asked().at(-1).data.client.client_id, clientId);
    assert.equal(await known(clientId), 0);
    const descriptor = '<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://sp.example/"/>';
    const other = await world.send({ method: 'POST', target: `${registrations}/saml2-entity-descriptor`, headers: { 'Content-Type': 'application/xml', ...bearer }, body: descriptor });
    assert.equal(other.json.error, 'invalid_client_metadata');
  });
});

describe('SAML', () => {
  const idpInitiated = `/realms/${realmName}/protocol/saml/clients/intranet`;
  before(async () => {
    const made = await world.keycloak.admin('POST', '/tg/clients', {
      clientId: 'https://sp.example/', protocol: 'saml', enabled: true, redirectUris: ['https://sp.example/*'],
      // No key pair of its own: Keycloak takes seconds to make one.
      attributes: { 'saml.client.signature': 'false', saml_idp_initiated_sso_url_name: 'intranet', saml_assertion_consumer_url_post: 'https://sp.example/acs' },
    });
    assert.ok([201, 409].includes(made.status), made.text);
  });

  test('is refused with a page where sessions fail closed, though the upstream would serve it', async () => {
    const direct = await send(world.keycloak.url, { target: idpInitiated });
    assert.match(direct.text, /kc-form-login|login-actions/);
    const saml = `/realms/${realmName}/protocol/saml`;
    const soap = { method: 'POST', target: saml, headers: { 'Content-Type': 'text/xml' }, body: '<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"/>' };
    const posted = { method: 'POST', target: saml, headers: { 'Content-Type': urlencoded }, body: form({ SAMLRequest: 'x' }) };
    for (const request of [{ target: idpInitiated }, { target: `${saml}?SAMLRequest=x` }, posted, soap, { target: `${saml}/descriptor` }, { ...soap, target: `${saml}/resolve` }, { ...posted, target: `${saml}/` }]) {
      const answer = await world.send(request);
      assert.equal(answer.status, 400, request.target);
      assert.match(answer.text, /SAML is not served through this proxy/);
    }
    const checked = await world.tollgate.command('check', '--offline');
    assert.match(checked.stdout, /ok {4}SAML +refused, by the `on_failure`/);
  });

  test('passes where they fail open', async () => {
    await world.reconfigure(Object.values(interceptors).map((entry) => (entry.trigger === 'PRE_SESSION_CREATION' ? { ...entry, on_failure: 'allow' } : entry)));
    const answer = await world.send({ target: idpInitiated });
    assert.match(answer.text, /kc-form-login|login-actions/);
    const checked = await world.tollgate.command('check', '--offline');
    assert.match(checked.stdout, /warn {2}SAML +passes, by the `on_failure`/);
  });

  test('and so does registration that nobody asks about', async () => {
    const before = asked().length;
    world.hooks.answer('Registration', deny(message));
    assert.equal((await register('/openid-connect', metadata(`Unasked ${world.tag}`))).status, 201);
    assert.equal(asked().length, before);
  });
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
