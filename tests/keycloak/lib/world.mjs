// One suite's world: Keycloak (shared by all suites), a hop that records, Tollgate, the interceptors' endpoint, a mailbox.

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { realmName, secretOf } from '../realm.mjs';
import { Canaries } from './canaries.mjs';
import { again, dashboardOf, saveDashboard } from './dashboard.mjs';
import { Hooks } from './hooks.mjs';
import { Hop } from './hop.mjs';
import { Keycloak } from './keycloak.mjs';
import { gate } from './replicas.mjs';
import { Mailbox } from './smtp.mjs';
import { Visitor } from './visitor.mjs';
import { form, send, urlencoded } from './wire.mjs';

/** The four interceptors most suites use; `deny` on failure, so that a test that allows really was answered. */
export const interceptors = {
  signup: { name: 'Signup', trigger: 'PRE_SIGNUP' },
  session: { name: 'Session', trigger: 'PRE_SESSION_CREATION' },
  invitation: { name: 'Invitation', trigger: 'PRE_USER_INVITATION' },
  machine: { name: 'Machine', trigger: 'PRE_M2M_TOKEN_CREATION', may_override: ['scope', 'aud'] },
};

const setting = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: start the suites with run.mjs, which starts Keycloak for them`);
  return value;
};

export class World {
  canaries = new Canaries();
  /** Makes the names of this run's users its own, so that a Keycloak can serve several runs. */
  tag = randomBytes(3).toString('hex');

  /**
   * @param suite the name of the folder for what this world writes
   * @param options `{ interceptors, sections, top, files, recorded }`: `interceptors(hooks)` gives the tables of `proxy.toml`;
   *   `recorded: false` puts Tollgate directly in front of Keycloak
   */
  static async open(suite, options = {}) {
    const world = new World();
    const root = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-suite-'));
    world.folder = join(root, suite);
    mkdirSync(world.folder, { recursive: true });
    world.suite = suite;
    world.rp = `http://127.0.0.1:${setting('RP_PORT')}`;
    world.redirect = `${world.rp}/callback`;
    world.keycloak = new Keycloak(setting('KEYCLOAK_URL'));
    world.hooks = await Hooks.open();
    world.mailbox = await Mailbox.open(Number(setting('SMTP_PORT')));
    world.hop = await Hop.open(world.keycloak.url);
    const tables = options.interceptors?.(world.hooks) ?? Object.values(interceptors);
    world.tollgate = gate(world.folder, {
      port: setting('TOLLGATE_PORT'),
      upstream: options.recorded === false ? world.keycloak.url : world.hop.url,
      interceptors: tables.map((entries) => world.complete(entries)),
      sections: options.sections,
      top: options.top,
    });
    for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(world.folder, name), text, { mode: 0o600 });
    writeFileSync(join(world.folder, 'hook.key'), world.hooks.secret, { mode: 0o600 });
    world.canaries.add('interceptor secret', world.hooks.secret.slice('whsec_'.length));
    try {
      await world.tollgate.initKeys();
      await world.tollgate.start();
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  /** A table of `[[interceptor]]` with what all of them have. */
  complete(entries) {
    return { endpoint: this.hooks.url(entries.name), secret: { file: 'hook.key' }, on_failure: 'deny', ...entries };
  }

  /** Starts Tollgate again with other interceptors. */
  async reconfigure(tables) {
    await this.tollgate.stop();
    this.tollgate.write(tables.map((entries) => this.complete(entries)));
    await this.tollgate.start();
  }

  get origin() {
    return this.tollgate.origin;
  }

  /** The issuer of the realm, as clients know it. */
  get issuer() {
    return `${this.origin}/realms/${realmName}`;
  }

  visitor() {
    return new Visitor(this.origin, this.canaries);
  }

  secretOf(name) {
    return this.canaries.add(name === 'svc' || name === 'robot' || name === 'api' ? 'client secret' : 'password', secretOf(name));
  }

  /** A request through the front door, or to this process behind it. */
  async send(request, origin = this.origin) {
    const answer = await send(origin, origin === this.origin ? request : { ...request, headers: { Host: new URL(this.origin).host, ...request.headers } });
    this.#remember(answer);
    return answer;
  }

  /** A form through the front door, or to this process behind it. */
  post(target, fields, headers = {}, origin = this.origin) {
    return this.send({ method: 'POST', target, headers: { 'Content-Type': urlencoded, ...headers }, body: form(fields) }, origin);
  }

  #remember({ text }) {
    for (const [, name, value] of text.matchAll(/"(access_token|refresh_token|id_token|device_code)"\s*:\s*"([^"]+)"/g)) this.canaries.add(name, value);
  }

  /** The tokens and codes that a redirect or a page takes to a client. */
  #rememberInFront(text) {
    for (const [, name, value] of text.matchAll(/(?:[?#&]|NAME=")(access_token|id_token|code|response)(?:=|" VALUE=")([\w.~-]{16,})/g)) this.canaries.add(name, value);
  }

  /** Remembers the tokens of an answer that some library got. */
  keep(tokens) {
    for (const name of ['access_token', 'refresh_token', 'id_token', 'device_code']) if (tokens[name]) this.canaries.add(name, tokens[name]);
    return tokens;
  }

  /** Ends what was started, and leaves the canaries and what Tollgate told the interceptors for the scan after the last suite. */
  async close() {
    // Where it was ended, it is started once more, to be looked at. What never ran has nothing to show; the last suite misses it then.
    const { tollgate } = this;
    if (tollgate.children.length && !tollgate.isRunning) await tollgate.start().catch(() => undefined);
    const running = tollgate.children.filter((child) => child.running);
    for (const [index, child] of running.entries()) {
      const dashboard = dashboardOf(child);
      if (dashboard && index === 0) await saveDashboard(dashboard, this.folder);
      else if (dashboard) await saveDashboard(dashboard, join(this.folder, `replica-${index + 1}`), again);
    }
    await tollgate.stop();
    this.canaries.gather(this.hop.exchanges);
    this.canaries.gatherFiles(this.folder);
    for (const { answer = '', location = '' } of this.hop.exchanges) {
      this.#remember({ text: answer });
      this.#rememberInFront(`${location} ${answer}`);
    }
    writeFileSync(join(this.folder, 'events.jsonl'), this.hooks.calls.map((call) => `${call.body}\n`).join(''));
    this.canaries.leave(this.folder);
    this.hooks.close();
    this.hop.close();
    this.mailbox.close();
  }
}
