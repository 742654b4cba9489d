// One suite's world: a node-oidc-provider of its own, a hop that records, Tollgate with the preset `generic`, the interceptors' endpoint.

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { betrayals, Canaries, filesBelow } from '../../keycloak/lib/canaries.mjs';
import { Hooks } from '../../keycloak/lib/hooks.mjs';
import { Hop } from '../../keycloak/lib/hop.mjs';
import { Party } from '../../keycloak/lib/party.mjs';
import { Child, freePorts, until } from '../../keycloak/lib/processes.mjs';
import { Tollgate } from '../../keycloak/lib/tollgate.mjs';
import { firstForm, Visitor } from '../../keycloak/lib/visitor.mjs';
import { form, send, urlencoded } from '../../keycloak/lib/wire.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));

/** `deny` on failure, so that a test that allows really was answered. */
const interceptors = [
  { name: 'Signup', trigger: 'PRE_SIGNUP' },
  { name: 'Session', trigger: 'PRE_SESSION_CREATION' },
  { name: 'Invitation', trigger: 'PRE_USER_INVITATION' },
  { name: 'Machine', trigger: 'PRE_M2M_TOKEN_CREATION' },
  { name: 'Client', trigger: 'PRE_CLIENT_REGISTRATION' },
];

export class World {
  canaries = new Canaries();
  rp = 'https://rp.example';
  redirect = 'https://rp.example/cb';
  #secrets = {};

  /** @param sections further tables of `proxy.toml`; @param text what stands behind them: the operator's `[[route]]`s of docs/examples */
  static async open(suite, sections = {}, text = readFileSync(join(here, '../../docs/examples/own-routes.toml'), 'utf8')) {
    const world = new World();
    const root = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-suite-'));
    world.folder = join(root, suite);
    mkdirSync(world.folder, { recursive: true });
    for (const name of ['ada', 'bob', 'web', 'signed', 'svc', 'cookies']) {
      world.#secrets[name] = world.canaries.add('secret', `canary${name}${randomBytes(10).toString('hex')}`);
    }
    const [port, tollgate] = await freePorts(2);
    world.hooks = await Hooks.open();
    world.canaries.add('interceptor secret', world.hooks.secret.slice('whsec_'.length));
    world.upstream = `http://127.0.0.1:${port}`;
    world.provider = new Child(process.execPath, [join(here, 'provider.mjs'), String(port), `http://127.0.0.1:${tollgate}`], {
      log: join(world.folder, 'provider.log.txt'),
      env: { SECRETS: JSON.stringify(world.#secrets), NODE_NO_WARNINGS: '1' },
      cwd: here,
    });
    await until('the provider answers', () => send(world.upstream, { target: '/.well-known/openid-configuration' }).then(({ status }) => status === 200, () => false));
    world.hop = await Hop.open(world.upstream);
    world.tollgate = new Tollgate(join(world.folder, 'tollgate'), {
      port: tollgate,
      upstream: world.hop.url,
      discovery: '/.well-known/openid-configuration',
      interceptors: interceptors.map((entries) => ({ endpoint: world.hooks.url(entries.name), secret: { file: 'hook.key' }, on_failure: 'deny', ...entries })),
      sections: { ...sections, upstream: { preset: 'generic', ...sections.upstream } },
      text,
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
    return this.origin;
  }

  secretOf(name) {
    return this.#secrets[name];
  }

  visitor() {
    return new Person(this.origin, this.canaries, this);
  }

  party(clientId, options = {}) {
    return Party.of(this, clientId, { confidential: true, ...options });
  }

  /** A request through the front door. */
  async send(request) {
    const answer = await send(this.origin, request);
    for (const [, name, value] of answer.text.matchAll(/"(access_token|refresh_token|id_token|device_code)"\s*:\s*"([^"]+)"/g)) this.canaries.add(name, value);
    return answer;
  }

  post(target, fields, headers = {}) {
    return this.send({ method: 'POST', target, headers: { 'Content-Type': urlencoded, ...headers }, body: form(fields) });
  }

  keep(tokens) {
    for (const name of ['access_token', 'refresh_token', 'id_token', 'device_code']) if (tokens[name]) this.canaries.add(name, tokens[name]);
    return tokens;
  }

  /** What the application has, asked past Tollgate. */
  async there() {
    return (await send(this.upstream, { target: '/what-is-there' })).json;
  }

  /** The tokens that the provider made since `mark`, the length of `hop.exchanges` at an earlier time. */
  made(mark = 0) {
    const answered = this.hop.exchanges.slice(mark).filter(({ target, status }) => /^\/token\/?($|[?#])/i.test(target) && status === 200);
    return answered.map(({ answer }) => JSON.parse(answer));
  }

  /** Ends everything; which secrets are in what Tollgate wrote. */
  async close() {
    await this.tollgate?.stop();
    await this.provider?.end();
    this.hop?.close();
    this.hooks.close();
    const written = filesBelow(this.folder).filter((file) => !/certs|hook\.key$|\.txt$/.test(file));
    // The id of an interaction is both a cookie, which counts with its signature alone, and a part of the path.
    const inPaths = this.hop?.exchanges.map(({ target }) => target.split('?')[0]).join('\n') ?? '';
    return betrayals(written, this.canaries.entries().filter(({ kind, value }) => kind !== 'cookie' || !inPaths.includes(value)));
  }
}

/** Somebody with a browser, on the provider's login and consent pages. */
class Person extends Visitor {
  constructor(origin, canaries, world) {
    super(origin, canaries);
    this.world = world;
  }

  async logIn(url, name) {
    let page = await this.open(url);
    for (let step = 0; step < 3 && !page.location; step += 1) {
      const found = firstForm(page.text);
      if (!found || page.text.includes(`action="${this.world.redirect}"`)) break;
      page = await this.submit(found, /name="password"/.test(page.text) ? { login: `${name}@example.org`, password: this.world.secretOf(name) } : {});
    }
    if (page.location) return page.location;
    const posted = firstForm(page.text);
    if (!posted) throw new Error(`no way back to the client: ${page.status} ${page.text.slice(0, 400)}`);
    return new Request(this.world.redirect, { method: 'POST', headers: { 'content-type': urlencoded }, body: new URLSearchParams(posted.fields) });
  }
}

/** `Authorization: Basic` of a client. */
export const basic = (world, name) => `Basic ${Buffer.from(`${name}:${world.secretOf(name)}`).toString('base64')}`;
