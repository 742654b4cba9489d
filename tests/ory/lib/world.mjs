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
import { jose, Party } from '../../keycloak/lib/party.mjs';
import { Child, freePorts, until } from '../../keycloak/lib/processes.mjs';
import { Tollgate } from '../../keycloak/lib/tollgate.mjs';
import { Visitor } from '../../keycloak/lib/visitor.mjs';
import { form, send, urlencoded } from '../../keycloak/lib/wire.mjs';
import { OtherProvider } from './other-provider.mjs';

const built = join(process.env.TOLLGATE_CACHE ?? join(homedir(), '.cache/tollgate'), 'ory');

/** `deny` on failure, so that a test that allows really was answered. */
const interceptors = [
  { name: 'Signup', trigger: 'PRE_SIGNUP' },
  { name: 'Session', trigger: 'PRE_SESSION_CREATION' },
  { name: 'Invitation', trigger: 'PRE_USER_INVITATION' },
  { name: 'Machine', trigger: 'PRE_M2M_TOKEN_CREATION' },
  { name: 'Client', trigger: 'PRE_CLIENT_REGISTRATION' },
];

const bearerGrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const responses = ['code', 'code id_token', 'id_token', 'token', 'token id_token', 'token id_token code'];

/** The clients of Hydra. One half has JWTs for access tokens, the other half what Hydra has by default. */
const clients = {
  web: { grant_types: ['authorization_code', 'refresh_token', 'implicit'], response_types: responses },
  opaque: { grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], access_token_strategy: 'opaque' },
  signed: { grant_types: ['authorization_code'], response_types: ['code'], userinfo_signed_response_alg: 'RS256' },
  robot: { grant_types: ['client_credentials', bearerGrant] },
  'opaque-robot': { grant_types: ['client_credentials'], access_token_strategy: 'opaque' },
};

const at = (port) => `http://127.0.0.1:${port}`;
const inline = (text) => `base64://${Buffer.from(text).toString('base64')}`;
const ready = (url, target = '/health/ready') => until(`${url} is ready`, () => send(url, { target }).then(({ status }) => status === 200, () => false), 180_000);

export class World {
  canaries = new Canaries();
  rp = 'https://rp.example';
  redirect = 'https://rp.example/cb';
  /** Whom the application logs in at Hydra. */
  subject = 'ada@example.org';
  #secrets = {};

  static async open(suite) {
    const world = new World();
    const root = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-suite-'));
    world.folder = join(root, suite);
    mkdirSync(world.folder, { recursive: true });
    const [tollgate, ...ports] = await freePorts(6);
    const [hydra, hydraAdmin, kratos, kratosAdmin, application] = ports.map(at);
    Object.assign(world, { hydra, hydraAdmin, kratos, kratosAdmin, applicationOrigin: application });
    world.hooks = await Hooks.open();
    world.canaries.add('interceptor secret', world.hooks.secret.slice('whsec_'.length));
    world.other = await OtherProvider.open();
    world.#application(application);
    await world.#providers(at(tollgate));
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

  secretOf(name) {
    return (this.#secrets[name] ??= this.canaries.add('secret', `canary${name}${randomBytes(12).toString('hex')}`));
  }

  /** Hydra and Kratos, both of which clients know by this origin. */
  async #providers(origin) {
    const serve = (url) => ({ host: '127.0.0.1', port: Number(new URL(url).port) });
    this.#start('hydra', 'hydra-v2.3.0', {
      dsn: 'memory',
      serve: { public: serve(this.hydra), admin: serve(this.hydraAdmin) },
      urls: { self: { issuer: `${origin}/` }, ...Object.fromEntries(['login', 'consent', 'logout'].map((page) => [page, `${this.applicationOrigin}/${page}`])) },
      secrets: { system: [this.secretOf('system')] },
      strategies: { access_token: 'jwt' },
      oidc: { dynamic_client_registration: { enabled: true, default_scope: ['openid'] } },
    });
    const page = (name) => ({ ui_url: `${this.applicationOrigin}/${name}` });
    const hooks = [{ hook: 'session' }];
    writeFileSync(join(this.folder, 'person.json'), JSON.stringify(person));
    const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
    const key = { ...(await jose.exportJWK(privateKey)), kid: 'sessions', alg: 'ES256', use: 'sig' };
    this.#start('kratos', 'kratos-v1.3.1', {
      version: 'v1.3.1',
      dsn: 'memory',
      serve: { public: { ...serve(this.kratos), base_url: `${origin}/` }, admin: { ...serve(this.kratosAdmin), base_url: `${this.kratosAdmin}/` } },
      session: { whoami: { tokenizer: { templates: { app: { ttl: '10m', jwks_url: inline(JSON.stringify({ keys: [key] })) } } } } },
      selfservice: {
        default_browser_return_url: `${this.applicationOrigin}/`,
        methods: {
          ...{ password: { enabled: true, config: { haveibeenpwned_enabled: false } }, link: { enabled: true }, code: { enabled: true } },
          oidc: { enabled: true, config: { providers: [{ id: 'other', provider: 'generic', client_id: 'kratos', client_secret: this.secretOf('kratos'), issuer_url: this.other.url, scope: ['email'], mapper_url: inline(mapper) }] } },
        },
        flows: {
          registration: { enabled: true, ...page('registration'), after: { password: { hooks }, oidc: { hooks } } },
          login: page('login'),
          recovery: { enabled: true, use: 'code', ...page('recovery') },
          settings: page('settings'),
          error: page('error'),
        },
      },
      identity: { schemas: [{ id: 'default', url: `file://${join(this.folder, 'person.json')}` }] },
      hashers: { algorithm: 'bcrypt', bcrypt: { cost: 4 } },
      secrets: { cookie: [this.secretOf('cookie')], cipher: [randomBytes(16).toString('hex')] },
    });
    await Promise.all([ready(this.hydra), ready(this.kratos)]);
    // Hydra makes its keys, RSA of 4096 bits, when somebody asks for them.
    await ready(this.hydra, '/.well-known/jwks.json');
    for (const [client, metadata] of Object.entries(clients)) {
      const made = await this.admin('POST', '/admin/clients', {
        ...{ client_id: client, client_secret: this.secretOf(client), scope: 'openid offline_access email read', token_endpoint_auth_method: 'client_secret_basic' },
        ...{ redirect_uris: [this.redirect], post_logout_redirect_uris: [`${this.rp}/bye`], ...metadata },
      });
      if (made.status !== 201) throw new Error(made.text);
    }
  }

  #start(name, binary, config) {
    const file = join(this.folder, `${name}.json`);
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    this[`${name}Child`] = new Child(join(built, binary), ['serve', ...(name === 'hydra' ? ['all'] : []), '--dev', '-c', file], { log: join(this.folder, `${name}.log.txt`), env: { SQA_OPT_OUT: 'true' } });
  }

  /** Logs in whoever comes, as the subject that `subject` says, and agrees to everything. */
  #application(origin) {
    const accept = async (kind, challenge, body) => (await this.admin('PUT', `/admin/oauth2/auth/requests/${kind}/accept?${kind}_challenge=${encodeURIComponent(challenge)}`, body)).json.redirect_to;
    this.application = http.createServer(async (request, response) => {
      const { pathname, searchParams } = new URL(request.url, origin);
      const kind = pathname.slice(1);
      const challenge = searchParams.get(`${kind}_challenge`);
      if (!challenge) return response.writeHead(200).end('a page of the application');
      const asked = kind === 'consent' ? (await this.admin('GET', `/admin/oauth2/auth/requests/consent?consent_challenge=${encodeURIComponent(challenge)}`)).json : {};
      const body = {
        login: { subject: this.subject, remember: true },
        consent: { grant_scope: asked.requested_scope, session: { id_token: { email: this.subject }, access_token: { team: 'blue' } } },
        logout: undefined,
      }[kind];
      return response.writeHead(302, { location: await accept(kind, challenge, body) }).end();
    });
    this.application.listen(Number(new URL(origin).port), '127.0.0.1');
  }

  /** Both behind one origin, by path, as an ingress does it. */
  async #router() {
    const of = (path) => {
      if (/^\/+(self-service|sessions|schemas)\b/i.test(path)) return this.kratos;
      if (/^\/+admin\/+(identities|recovery)\b/i.test(path)) return this.kratosAdmin;
      return /^\/+admin\//i.test(path) ? this.hydraAdmin : this.hydra;
    };
    const decoded = (path) => {
      try {
        return decodeURIComponent(path);
      } catch {
        return path;
      }
    };
    this.router = http.createServer({ maxHeaderSize: 128 * 1024 }, (request, response) => {
      const { hostname, port } = new URL(of(decoded(request.url.split('?')[0])));
      const onward = http.request({ hostname, port, method: request.method, path: request.url, headers: request.rawHeaders }, (answer) => {
        response.writeHead(answer.statusCode, answer.rawHeaders);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      request.pipe(onward);
    });
    this.router.listen(0, '127.0.0.1');
    await once(this.router, 'listening');
    this.upstream = at(this.router.address().port);
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

  /** What Kratos says of a session token, past Tollgate: 200 while it is good. */
  async sessionStatus(token) {
    return (await send(this.kratos, { target: '/sessions/whoami', headers: { 'X-Session-Token': token } })).status;
  }

  visitor() {
    return new Person(this.origin, this.canaries, this);
  }

  party(clientId, options = {}) {
    return Party.of(this, clientId, { confidential: true, ...options });
  }

  async send(request) {
    const answer = await send(this.origin, request);
    for (const [, name, value] of answer.text.matchAll(/"(access_token|refresh_token|id_token|session_token|tokenized)"\s*:\s*"([^"]+)"/g)) this.canaries.add(name, value);
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

  /** The tokens that Hydra made since `mark`, the length of `hop.exchanges` at an earlier time. */
  made(mark = 0) {
    const answered = this.hop.exchanges.slice(mark).filter(({ target, status }) => target.startsWith('/oauth2/token') && status === 200);
    return answered.map(({ answer }) => JSON.parse(answer));
  }

  /** Ends everything; which secrets are in what Tollgate wrote. */
  async close() {
    await this.tollgate?.stop();
    await Promise.all([this.hydraChild?.end(), this.kratosChild?.end()]);
    for (const server of [this.router, this.application]) {
      server?.closeAllConnections();
      server?.close();
    }
    this.hop?.close();
    this.other.close();
    this.hooks.close();
    this.canaries.gather(this.hop?.exchanges ?? []);
    const written = filesBelow(join(this.folder, 'tollgate')).filter((file) => !/certs|hook\.key$/.test(file));
    return betrayals(written, this.canaries.entries());
  }
}

/** Somebody whose browser goes to the application, to the other provider, and back. */
class Person extends Visitor {
  constructor(origin, canaries, world) {
    super(origin, canaries);
    this.world = world;
  }

  /** Follows redirects, elsewhere too, until one leads out of this world. */
  async travel(answer) {
    let current = await this.follow(answer);
    const elsewhere = [this.world.applicationOrigin, this.world.other.url];
    for (let hops = 0; hops < 8 && elsewhere.includes(current.location?.origin); hops += 1) {
      const there = await send(current.location.origin, { target: current.location.pathname + current.location.search });
      if (!there.header('location')) return current;
      current = await this.open(there.header('location'));
    }
    return current;
  }

  async logIn(url) {
    const answer = await this.travel(await this.get(url));
    if (!answer.location) throw new Error(`no way back to the client: ${answer.status} ${answer.text.slice(0, 300)}`);
    return answer.location;
  }

  /** Opens a flow of Kratos: its id, its CSRF token, and the names of its fields. */
  async flow(kind) {
    const begun = await this.send({ target: `/self-service/${kind}/browser`, headers: { Accept: 'application/json' } });
    return flowOf(begun.json, this.canaries);
  }

  /** Submits a flow as a browser does, or as a script does with JSON. */
  fill(kind, flow, fields, headers = { 'Content-Type': urlencoded, Accept: 'text/html' }) {
    const values = { csrf_token: flow.csrf, ...fields };
    const body = headers['Content-Type'] === urlencoded ? form(values) : JSON.stringify(values);
    return this.send({ method: 'POST', target: `/self-service/${kind}?flow=${flow.id}`, headers, body });
  }
}

/** What has to be known of a flow to submit it. */
export function flowOf({ id, ui }, canaries) {
  const csrf = ui.nodes.find(({ attributes }) => attributes.name === 'csrf_token')?.attributes.value ?? '';
  canaries.add('CSRF token', csrf);
  return { id, csrf, fields: ui.nodes.map(({ attributes }) => attributes.name) };
}

/** `Authorization: Basic` of a client. */
export const basic = (world, name) => `Basic ${Buffer.from(`${name}:${world.secretOf(name)}`).toString('base64')}`;

const person = {
  $id: 'https://tollgate.example/person',
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  properties: {
    traits: {
      type: 'object',
      properties: {
        email: { type: 'string', format: 'email', 'ory.sh/kratos': { credentials: { password: { identifier: true } }, recovery: { via: 'email' } } },
        name: { type: 'object', properties: { first: { type: 'string' }, last: { type: 'string' } } },
      },
      required: ['email'],
      additionalProperties: false,
    },
  },
};

/** Jsonnet: what of the other provider's claims becomes a trait. */
const mapper = "local claims = std.extVar('claims'); { identity: { traits: { email: claims.email } } }";

export { bearerGrant };
