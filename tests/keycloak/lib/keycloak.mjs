// Keycloak asked directly at its own port, past Tollgate: what is really there.

import { realmName, secretOf } from '../realm.mjs';
import { form, send, urlencoded } from './wire.mjs';

const protocol = `/realms/${realmName}/protocol/openid-connect`;

export class Keycloak {
  #admin = { token: '', until: 0 };

  constructor(url) {
    this.url = url;
  }

  /** A form posted to an endpoint of the realm, with a confidential client's own authentication. */
  post(path, fields, client, below = protocol) {
    const headers = { 'Content-Type': urlencoded };
    if (client) headers.Authorization = basic(client);
    return send(this.url, { method: 'POST', target: `${below}${path}`, headers, body: form(fields) });
  }

  async #token() {
    if (Date.now() > this.#admin.until) {
      const answer = await send(this.url, {
        method: 'POST',
        target: '/realms/master/protocol/openid-connect/token',
        headers: { 'Content-Type': urlencoded },
        body: form({ grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: secretOf('admin') }),
      });
      this.#admin = { token: answer.json.access_token, until: Date.now() + 30_000 };
    }
    return this.#admin.token;
  }

  /** The admin REST API, as the bootstrap administrator. */
  async admin(method, path, body) {
    const headers = { Authorization: `Bearer ${await this.#token()}` };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    return send(this.url, { method, target: `/admin/realms${path}`, headers, body: body === undefined ? '' : JSON.stringify(body) });
  }

  /** Makes something by the admin API, and says where it is there. */
  async make(path, representation) {
    const answer = await this.admin('POST', path, representation);
    if (![201, 204].includes(answer.status)) throw new Error(`${path} was answered with ${answer.status}: ${answer.text}`);
    return answer.header('location')?.replace(/^.*\/admin\/realms/, '');
  }

  /** The client with this client id. */
  async client(clientId, realm = realmName) {
    return (await this.admin('GET', `/${realm}/clients?${form({ clientId })}`)).json[0];
  }

  async users(query = {}) {
    const answer = await this.admin('GET', `/${realmName}/users?${form({ max: 500, ...query })}`);
    return answer.json;
  }

  /** The user with this username or this e-mail address. */
  async user(name) {
    const byName = await this.users({ username: name, exact: true });
    if (byName.length) return byName[0];
    return (await this.users({ email: name, exact: true }))[0];
  }

  async removeUser(name) {
    const user = await this.user(name);
    if (user) await this.admin('DELETE', `/${realmName}/users/${user.id}`);
  }

  /** Whether a user has this session. */
  async hasSession(username, sid) {
    const { id } = await this.user(username);
    const sessions = await this.admin('GET', `/${realmName}/users/${id}/sessions`);
    return sessions.json.some((session) => session.id === sid);
  }

  /** Keycloak's own opinion of one of its own tokens. */
  async introspect(token, client = 'svc') {
    return (await this.post('/token/introspect', { token }, client)).json;
  }

  /** Invites an address to an organization: `REALM/organizations/ID`. */
  async inviteTo(organization, email) {
    const headers = { Authorization: `Bearer ${await this.#token()}`, 'Content-Type': urlencoded };
    return send(this.url, { method: 'POST', target: `/admin/realms/${organization}/members/invite-user`, headers, body: form({ email }) });
  }

  async organization(alias) {
    const answer = await this.admin('GET', `/${realmName}/organizations?${form({ search: alias })}`);
    return answer.json.find((organization) => organization.alias === alias);
  }
}

/** HTTP Basic authentication of a client of the realm. */
export function basic(client) {
  return `Basic ${Buffer.from(`${client}:${secretOf(client)}`).toString('base64')}`;
}

/** Paths of the realm, as clients see them. */
export const paths = {
  protocol,
  token: `${protocol}/token`,
  userinfo: `${protocol}/userinfo`,
  introspect: `${protocol}/token/introspect`,
  revoke: `${protocol}/revoke`,
  logout: `${protocol}/logout`,
  auth: `${protocol}/auth`,
  certs: `${protocol}/certs`,
  discovery: `/realms/${realmName}/.well-known/openid-configuration`,
  actions: `/realms/${realmName}/login-actions`,
  users: `/admin/realms/${realmName}/users`,
};
