// Where the variants are tried: realms of their own, in which everything is switched on, with passwords that are cheap to check.

import http from 'node:http';

import { basic } from '../lib/keycloak.mjs';
import { Visitor } from '../lib/visitor.mjs';
import { form, send, urlencoded } from '../lib/wire.mjs';
import { partner, realm as example, secretOf } from '../realm.mjs';
import { bare, everything } from './realms.mjs';

export const name = 'corpus';
export const realm = `/realms/${name}`;
export const protocol = `${realm}/protocol/openid-connect`;
export const admin = `/admin/realms/${name}`;

export class Ground {
  /** What is shared by all who look at the same realms, and what was done there once. */
  shared = { serial: 0, tokens: new Map() };

  /** @param world a world whose Tollgate is in front of the Keycloak that gets the realms */
  static async open(world) {
    const ground = new Ground();
    Object.assign(ground, { world, keycloak: world.keycloak, origin: world.origin, via: world.origin, redirect: world.redirect, tag: world.tag });
    const settings = { origin: world.origin, keycloak: world.keycloak.url, rpPort: new URL(world.rp).port, smtpPort: process.env.SMTP_PORT };
    for (const document of [everything(partner(settings), settings), everything(example(settings), settings), bare('learned', settings), bare('unlearned', settings)]) {
      await ground.keycloak.admin('DELETE', `/${document.realm}`);
      const made = await ground.keycloak.admin('POST', '', document);
      if (made.status !== 201) throw new Error(`the realm ${document.realm} was not made: ${made.status} ${made.text}`);
    }
    const [organization] = (await ground.admin('GET', '/organizations?search=acme')).json;
    ground.organization = organization.id;
    ground.users = new Map((await ground.list('/users')).map(({ id, username }) => [username, id]));
    const keys = (await send(world.origin, { target: `${protocol}/certs` })).json.keys;
    ground.ours = new Set(keys.filter(({ use }) => use === 'sig').map(({ kid }) => kid));
    const native = (await send(world.keycloak.url, { target: `${protocol}/certs` })).json.keys.filter(({ use }) => use === 'sig');
    ground.native = native.flatMap(({ n, x }) => [n, x]).filter(Boolean);
    ground.publicKey = (await send(world.keycloak.url, { target: realm })).json.public_key;
    ground.listen();
    await ground.reviewProfiles();
    ground.bob = await ground.visitor().logInTo(ground, 'bob');
    return ground;
  }

  /** Stands in for a user's other device (CIBA), and keeps with which token the upstream is to be answered, by the binding message; and for who has request objects. */
  listen() {
    this.device = new Map();
    this.fetched = new Set();
    this.server = http.createServer(async (request, response) => {
      if (request.method === 'GET') {
        this.fetched.add(request.url);
        response.end();
        return;
      }
      const chunks = await request.toArray();
      this.device.set(JSON.parse(Buffer.concat(chunks)).binding_message, request.headers.authorization);
      response.writeHead(201).end();
    });
    this.server.listen(Number(process.env.CIBA_PORT), '127.0.0.1');
  }

  /** The same ground, tried through another Tollgate with the same keys. */
  through(via) {
    return Object.assign(Object.create(this), { via });
  }

  close() {
    this.server.close();
  }

  /** A word that nobody used before. */
  word(label) {
    this.shared.serial += 1;
    return `${label}${this.tag}n${this.shared.serial}`;
  }

  admin(method, path, body) {
    return this.keycloak.admin(method, `/${name}${path}`, body);
  }

  /** All of a list of the admin REST API. */
  async list(path) {
    const answer = await this.admin('GET', `${path}${path.includes('?') ? '&' : '?'}max=20000&briefRepresentation=true`);
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /** Somebody with a browser, past Tollgate: what prepares an attempt is not what is tried. */
  visitor() {
    return new Somebody(this.origin, this.world.canaries, this.keycloak.url);
  }

  /** Lets the upstream show its form to whoever comes by a broker for the first time. */
  async reviewProfiles() {
    const executions = (await this.admin('GET', '/authentication/flows/first%20broker%20login/executions')).json;
    const path = `/authentication/config/${executions.find(({ providerId }) => providerId === 'idp-review-profile').authenticationConfig}`;
    const { config, ...rest } = (await this.admin('GET', path)).json;
    await this.admin('PUT', path, { ...rest, config: { ...config, 'update.profile.on.first.login': 'on' } });
  }

  /** A request past Tollgate. */
  direct(request) {
    return send(this.keycloak.url, request);
  }

  /** Tokens for a client, past Tollgate or through it. */
  async tokens(pass, client, fields) {
    const isPublic = client === 'web';
    const headers = { 'Content-Type': urlencoded, 'User-Agent': 'preparation', ...(!isPublic && { Authorization: basic(client) }) };
    const answer = await send(pass === 'direct' ? this.keycloak.url : this.via, { method: 'POST', target: `${protocol}/token`, headers, body: form({ ...fields, ...(isPublic && { client_id: client }) }) });
    if (answer.status !== 200) throw new Error(`no token for ${fields.grant_type}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /** A login of bob: the upstream's own tokens, or ours. */
  session(pass, client = 'svc', scope = 'openid') {
    return this.tokens(pass, client, { grant_type: 'password', username: 'bob', password: secretOf('bob'), scope });
  }

  /** The `Authorization` header of an administrator, made once. */
  async administrator(pass, username = 'alice') {
    return this.once(`${pass} ${username}`, () => this.tokens(pass, 'web', { grant_type: 'password', username, password: secretOf(username) }));
  }

  /** The `Authorization` header of a client, made once. */
  async machine(pass, client) {
    return this.once(`${pass} ${client}`, () => this.tokens(pass, client, { grant_type: 'client_credentials' }));
  }

  /** The `Authorization` header of the administrator of all realms, whose tokens last a minute. */
  async master(pass) {
    const fields = { grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: secretOf('admin') };
    const headers = { 'Content-Type': urlencoded, 'User-Agent': 'preparation' };
    const answer = await send(pass === 'direct' ? this.keycloak.url : this.via, { method: 'POST', target: '/realms/master/protocol/openid-connect/token', headers, body: form(fields) });
    return ['Authorization', `Bearer ${answer.json.access_token}`];
  }

  once(key, make) {
    const { tokens } = this.shared;
    if (!tokens.has(key)) tokens.set(key, make().then(({ access_token: token }) => ['Authorization', `Bearer ${token}`]));
    return tokens.get(key);
  }
}

class Somebody extends Visitor {
  /** Logs in to the realm of the ground and gives the cookie. */
  async logInTo(ground, username) {
    const query = form({ client_id: 'web', redirect_uri: ground.redirect, response_type: 'code', scope: 'openid' });
    await this.logIn(`${ground.origin}${protocol}/auth?${query}`, username, secretOf(username));
    return this.cookie;
  }
}
