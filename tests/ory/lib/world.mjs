// One suite's world: Hydra and Kratos behind one origin, an application that logs people in, a hop that records, Tollgate with the preset `ory`.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

import { betrayals, Canaries, filesBelow } from '../../keycloak/lib/canaries.mjs';
import { Hooks } from '../../keycloak/lib/hooks.mjs';
import { Hop } from '../../keycloak/lib/hop.mjs';
import { Party } from '../../keycloak/lib/party.mjs';
import { Child, freePorts, until } from '../../keycloak/lib/processes.mjs';
import { Tollgate } from '../../keycloak/lib/tollgate.mjs';
import { Visitor } from '../../keycloak/lib/visitor.mjs';
import { form, send, urlencoded } from '../../keycloak/lib/wire.mjs';

const built = join(process.env.TOLLGATE_CACHE ?? join(homedir(), '.cache/tollgate'), 'ory');

const interceptors = [
  { name: 'Signup', trigger: 'PRE_SIGNUP' },
  { name: 'Session', trigger: 'PRE_SESSION_CREATION' },
  { name: 'Invitation', trigger: 'PRE_USER_INVITATION' },
  { name: 'Machine', trigger: 'PRE_M2M_TOKEN_CREATION' },
];

export class World {
  canaries = new Canaries();
  rp = 'https://rp.example';
  redirect = 'https://rp.example/cb';
  #secrets = {};

  static async open(suite) {
    const world = new World();
    const root = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-suite-'));
    world.folder = join(root, suite);
    mkdirSync(world.folder, { recursive: true });
    const [tollgate, hydra, hydraAdmin, kratos, kratosAdmin, application] = await freePorts(6);
    const at = (port) => `http://127.0.0.1:${port}`;
    Object.assign(world, { hydra: at(hydra), hydraAdmin: at(hydraAdmin), kratos: at(kratos), kratosAdmin: at(kratosAdmin) });
    world.hooks = await Hooks.open();
    world.canaries.add('interceptor secret', world.hooks.secret.slice('whsec_'.length));
    world.#application(application);
    world.#start('hydra', 'hydra-v2.3.0', ['serve', 'all', '--dev'], {
      dsn: 'memory',
      serve: { public: { host: '127.0.0.1', port: hydra }, admin: { host: '127.0.0.1', port: hydraAdmin } },
      urls: { self: { issuer: `${at(tollgate)}/` }, login: `${at(application)}/login`, consent: `${at(application)}/consent`, logout: `${at(application)}/logout` },
      secrets: { system: [world.#secret('system')] },
      strategies: { access_token: 'jwt' },
    });
    writeFileSync(join(world.folder, 'person.json'), JSON.stringify(person));
    world.#start('kratos', 'kratos-v1.3.1', ['serve', '--dev'], {
      version: 'v1.3.1',
      dsn: 'memory',
      serve: { public: { host: '127.0.0.1', port: kratos, base_url: `${at(tollgate)}/` }, admin: { host: '127.0.0.1', port: kratosAdmin, base_url: `${at(kratosAdmin)}/` } },
      selfservice: {
        default_browser_return_url: `${at(application)}/`,
        methods: { password: { enabled: true }, link: { enabled: true }, code: { enabled: true } },
        flows: {
          registration: { enabled: true, ui_url: `${at(application)}/registration`, after: { password: { hooks: [{ hook: 'session' }] } } },
          login: { ui_url: `${at(application)}/login` },
          recovery: { enabled: true, ui_url: `${at(application)}/recovery` },
        },
      },
      identity: { schemas: [{ id: 'default', url: `file://${join(world.folder, 'person.json')}` }] },
      secrets: { cookie: [world.#secret('cookie')], cipher: [randomBytes(16).toString('hex')] },
    });
    for (const [url, path] of [[world.hydra, '/health/ready'], [world.kratos, '/health/ready']]) {
      await until(`${url}${path}`, () => send(url, { target: path }).then(({ status }) => status === 200, () => false), 60_000);
    }
    for (const [client, grants] of [['web', ['authorization_code', 'refresh_token']], ['robot', ['client_credentials']]]) {
      const made = await world.admin('POST', '/admin/clients', {
        client_id: client, client_secret: world.#secret(client), grant_types: grants, response_types: ['code', 'code id_token'], scope: 'openid offline_access email read',
        redirect_uris: [world.redirect], post_logout_redirect_uris: [`${world.rp}/bye`], token_endpoint_auth_method: 'client_secret_basic',
      });
      if (made.status !== 201) throw new Error(made.text);
    }
    await world.#router();
    world.hop = await Hop.open(world.upstream);
    world.tollgate = new Tollgate(join(world.folder, 'tollgate'), {
      port: tollgate,
      upstream: world.hop.url,
      discovery: '/.well-known/openid-configuration',
      interceptors: interceptors.map((entries) => ({ endpoint: world.hooks.url(entries.name), secret: { file: 'hook.key' }, on_failure: 'deny', ...entries })),
      sections: { upstream: { preset: 'ory' } },
    });
    writeFileSync(join(world.tollgate.folder, 'hook.key'), world.hooks.secret, { mode: 0o600 });
    try {
      await world.tollgate.initKeys();
      await world.tollgate.start();
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  get origin() {
    return this.tollgate.origin;
  }

  get issuer() {
    return `${this.origin}/`;
  }

  #secret(name) {
    return (this.#secrets[name] ??= this.canaries.add('secret', `canary${name}${randomBytes(12).toString('hex')}`));
  }

  secretOf(name) {
    return this.#secret(name);
  }

  #start(name, binary, args, config) {
    const file = join(this.folder, `${name}.json`);
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    this[`${name}Child`] = new Child(join(built, binary), [...args, '-c', file], { log: join(this.folder, `${name}.log.txt`) });
  }

  /** Logs in whoever comes, as the subject that `subject` says, and agrees to everything. */
  #application(port) {
    const accept = async (kind, challenge, body) => (await this.admin('PUT', `/admin/oauth2/auth/requests/${kind}/accept?${kind}_challenge=${encodeURIComponent(challenge)}`, body)).json.redirect_to;
    this.application = http.createServer(async (request, response) => {
      const { pathname, searchParams } = new URL(request.url, 'http://application');
      const kind = pathname.slice(1);
      const challenge = searchParams.get(`${kind}_challenge`);
      if (!challenge) return response.writeHead(200).end('a page of the application');
      const asked = kind === 'consent' ? (await this.admin('GET', `/admin/oauth2/auth/requests/consent?consent_challenge=${encodeURIComponent(challenge)}`)).json : {};
      const body = {
        login: { subject: 'ada@example.org', remember: true },
        consent: { grant_scope: asked.requested_scope, session: { id_token: { email: 'ada@example.org' } } },
        logout: undefined,
      }[kind];
      response.writeHead(302, { location: await accept(kind, challenge, body) }).end();
    });
    this.application.listen(port, '127.0.0.1');
    this.applicationOrigin = `http://127.0.0.1:${port}`;
  }

  /** Both behind one origin, by path, as an ingress does it. */
  async #router() {
    const of = (path) => {
      if (/^\/(self-service|sessions|schemas)\b/.test(path)) return this.kratos;
      if (/^\/admin\/(identities|recovery)\b/.test(path)) return this.kratosAdmin;
      return path.startsWith('/admin/') ? this.hydraAdmin : this.hydra;
    };
    this.router = http.createServer((request, response) => {
      const { hostname, port } = new URL(of(decodeURIComponent(request.url.split('?')[0])));
      const onward = http.request({ hostname, port, method: request.method, path: request.url, headers: request.rawHeaders }, (answer) => {
        response.writeHead(answer.statusCode, answer.rawHeaders);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      request.pipe(onward);
    });
    this.router.listen(0, '127.0.0.1');
    await once(this.router, 'listening');
    this.upstream = `http://127.0.0.1:${this.router.address().port}`;
  }

  /** The admin API of Hydra, past Tollgate. */
  admin(method, target, body) {
    const text = body === undefined ? '' : JSON.stringify(body);
    return send(this.hydraAdmin, { method, target, headers: { 'Content-Type': 'application/json' }, body: text });
  }

  /** The addresses of all identities, past Tollgate. */
  async identities() {
    return (await send(this.kratosAdmin, { target: '/admin/identities?page_size=250' })).json.map(({ traits }) => traits.email);
  }

  visitor() {
    return new Person(this.origin, this.canaries, this.applicationOrigin);
  }

  party(clientId) {
    return Party.of(this, clientId, { confidential: true });
  }

  async send(request) {
    const answer = await send(this.origin, request);
    for (const [, name, value] of answer.text.matchAll(/"(access_token|refresh_token|id_token|session_token)"\s*:\s*"([^"]+)"/g)) this.canaries.add(name, value);
    return answer;
  }

  json(method, target, body, headers = {}) {
    return this.send({ method, target, headers: { 'Content-Type': 'application/json', Accept: 'application/json', ...headers }, body: JSON.stringify(body) });
  }

  post(target, fields, headers = {}) {
    return this.send({ method: 'POST', target, headers: { 'Content-Type': urlencoded, ...headers }, body: form(fields) });
  }

  keep(tokens) {
    for (const name of ['access_token', 'refresh_token', 'id_token']) if (tokens[name]) this.canaries.add(name, tokens[name]);
    return tokens;
  }

  async close() {
    await this.tollgate?.stop();
    await Promise.all([this.hydraChild?.end(), this.kratosChild?.end()]);
    for (const server of [this.router, this.application]) {
      server?.closeAllConnections();
      server?.close();
    }
    this.hop?.close();
    this.hooks.close();
    const written = filesBelow(join(this.folder, 'tollgate')).filter((file) => !/certs|hook\.key$/.test(file));
    return betrayals(written, this.canaries.entries());
  }
}

/** Somebody whose browser goes to the application and back. */
class Person extends Visitor {
  constructor(origin, canaries, application) {
    super(origin, canaries);
    this.application = application;
  }

  async logIn(url) {
    let answer = await this.open(url);
    for (let hops = 0; hops < 6 && answer.location?.origin === this.application; hops += 1) {
      const { pathname, search } = answer.location;
      const there = await send(this.application, { target: pathname + search });
      answer = await this.open(there.header('location'));
    }
    if (!answer.location) throw new Error(`no way back to the client: ${answer.status} ${answer.text.slice(0, 300)}`);
    return answer.location;
  }
}

const person = {
  $id: 'https://tollgate.example/person',
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  properties: {
    traits: {
      type: 'object',
      properties: { email: { type: 'string', format: 'email', 'ory.sh/kratos': { credentials: { password: { identifier: true } }, recovery: { via: 'email' } } } },
      required: ['email'],
      additionalProperties: false,
    },
  },
};
