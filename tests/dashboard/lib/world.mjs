// A provider, an endpoint for interceptors, and Tollgate between them, with ports of their own.

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Child, freePorts, run, until } from '../../keycloak/lib/processes.mjs';
import { send } from '../../keycloak/lib/wire.mjs';
import { Hooks, allow, answer, deny } from './hooks.mjs';
import { Provider } from './provider.mjs';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const binary = process.env.TOLLGATE_BINARY ?? join(process.env.CARGO_TARGET_DIR ?? join(repository, 'target'), 'debug/tollgate');

/** The interceptors by their triggers. */
export const named = {
  PRE_SIGNUP: 'No disposable addresses',
  PRE_SESSION_CREATION: 'Roles and feature flags',
  PRE_USER_INVITATION: 'Seats of the plan',
  PRE_M2M_TOKEN_CREATION: 'Scope of machines',
};

const form = (fields) => new URLSearchParams(fields).toString();

export class World {
  /** @param options `{ admin }`: further lines of `[admin]`; `{ environment }`; `{ breaker }`: that of the interceptors, which never opens by default */
  static async open({ admin = '', environment = 'production', breaker = '{ failures_in_a_row = 1000, minimum_calls = 1000 }' } = {}) {
    const world = new World();
    const parent = process.env.SUITE_RUN ?? tmpdir();
    mkdirSync(parent, { recursive: true });
    world.folder = mkdtempSync(join(parent, 'dashboard-'));
    const [proxy, dashboard] = await freePorts(2);
    world.origin = `http://127.0.0.1:${proxy}`;
    world.dashboard = `http://127.0.0.1:${dashboard}`;
    world.provider = await Provider.open(world.origin);
    world.hooks = await Hooks.open();
    world.token = randomBytes(24).toString('base64url');
    writeFileSync(join(world.folder, 'admin.token'), world.token, { mode: 0o600 });
    writeFileSync(join(world.folder, 'hook.key'), `whsec_${randomBytes(32).toString('base64')}`, { mode: 0o600 });
    world.config = join(world.folder, 'proxy.toml');
    writeFileSync(world.config, world.#text({ proxy, dashboard, admin, environment, breaker }), { mode: 0o600 });
    const keys = await run(binary, ['keys', 'init', '--config', world.config], { cwd: world.folder });
    if (keys.code !== 0) throw new Error(`\`tollgate keys init\` ended with ${keys.code}:\n${keys.stdout}${keys.stderr}`);
    const log = join(world.folder, 'tollgate.log');
    world.log = log;
    world.child = new Child(binary, ['run', '--config', world.config], { log, cwd: world.folder });
    await until(`the dashboard answers (the log is ${log})`, async () => {
      if (!world.child.running) throw new Error(`Tollgate ended at once; its log is ${log}`);
      const ready = await send(world.dashboard, { target: '/readyz' }).catch(() => undefined);
      return ready?.status === 200;
    });
    return world;
  }

  #text({ proxy, dashboard, admin, environment, breaker }) {
    const interceptors = Object.entries(named).map(
      ([trigger, name]) => `
[[interceptor]]
name = ${JSON.stringify(name)}
trigger = "${trigger}"
endpoint = "${this.hooks.url}/${trigger.toLowerCase()}"
secret = { file = "hook.key" }
on_failure = "${trigger === 'PRE_SIGNUP' ? 'allow' : 'deny'}"
breaker = ${breaker}
`,
    );
    return `environment = "${environment}"

[listen]
address = "127.0.0.1:${proxy}"
public_url = "${this.origin}"

[upstream]
url = "${this.provider.url}"
preset = "generic"

[tokens]
keys = "signing"
capsule_secret = { file = "capsule.key" }

[audit]
store = "sqlite:audit.db"

[admin]
address = "127.0.0.1:${dashboard}"
${admin}

[[route]]
name = "signup"
methods = ["POST"]
path = "/signup"
does = "consult"
trigger = "PRE_SIGNUP"
bodies = ["form"]
[route.facts]
"user.email" = "form:email"
"user.name" = "form:name"
"context.realm" = "form:realm"

[[route]]
name = "invite"
methods = ["POST"]
path = "/organizations/{id}/invitations"
does = "consult"
trigger = "PRE_USER_INVITATION"
bodies = ["json"]
[route.facts]
"organization.id" = "path:id"
"user.email" = "json:/email"
${interceptors.join('')}`;
  }

  #post(target, body, type = 'application/x-www-form-urlencoded', headers = {}) {
    return send(this.origin, { method: 'POST', target, headers: { 'Content-Type': type, 'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64)', ...headers }, body });
  }

  signUp(fields, headers) {
    return this.#post('/signup', form(fields), undefined, headers);
  }

  /** A login whose tokens have these claims. */
  logIn(person, client = 'web', headers = {}) {
    this.provider.person = person;
    return this.#post('/token', form({ grant_type: 'password', client_id: client, username: 'somebody', password: 'irrelevant' }), undefined, headers);
  }

  machine(client, scope) {
    return this.#post('/token', form({ grant_type: 'client_credentials', client_id: client, scope }));
  }

  invite(organization, email) {
    return this.#post(`/organizations/${organization}/invitations`, JSON.stringify({ email }), 'application/json');
  }

  /** Every record there is. */
  async records() {
    const listed = await run(binary, ['audit', 'list', '--json', '--limit', '100000', '--config', this.config], { cwd: this.folder });
    if (listed.code !== 0) throw new Error(`\`tollgate audit list\` ended with ${listed.code}: ${listed.stderr}`);
    const text = listed.stdout.trim();
    return text.startsWith('[') ? JSON.parse(text) : text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  /** What a small company decides on a morning: every trigger, both decisions, and an endpoint that has fallen over. */
  async populate() {
    const { hooks } = this;
    const disposable = (email) => email.endsWith('mailinator.com');
    hooks.decide('PRE_SIGNUP', (event) => {
      const email = event.interceptor_context.user_email;
      if (email.startsWith('oliver')) return answer('<h1>502 Bad Gateway</h1>', 502, { 'content-type': 'text/html' });
      return disposable(email) ? deny('Please sign up with a permanent e-mail address.') : allow();
    });
    hooks.decide('PRE_SESSION_CREATION', (event) => {
      const email = event.interceptor_context.user_email;
      if (email === mallory.email) return deny('Your trial has ended. Write to sales@tea.example to go on.');
      return allow({ claims: { roles: ['editor', 'billing'], plan: 'gold', flags: { new_editor: true } } });
    });
    hooks.decide('PRE_USER_INVITATION', (event) => (event.interceptor_context.organization_id === 'org_tea' ? deny('Your team has all the seats it pays for.') : allow()));
    hooks.decide('PRE_M2M_TOKEN_CREATION', () => allow({ claims: { tier: 'batch' } }));
    for (const [name, email] of [['Joan Clarke', 'joan@example.com'], ['Max Nobody', 'max@mailinator.com'], ['Oliver Heaviside', 'oliver@example.com'], ['Rosalind Franklin', 'rosalind@example.com']]) {
      await this.signUp({ name, email });
    }
    for (const person of [ada, grace, mallory, ada, grace]) await this.logIn(person, person === grace ? 'spa' : 'web');
    await this.invite('org_tea', 'guest@example.com');
    await this.invite('org_steam', 'charles@example.com');
    await this.machine('batch', 'reports:read');
    await until('everything is recorded', async () => (await this.records()).length >= 12);
  }

  async close() {
    await this.child?.end();
    this.provider.close();
    this.hooks.close();
  }
}

export const ada = { sub: 'ada', email: 'ada@example.com', name: 'Ada Lovelace', preferred_username: 'ada' };
export const grace = { sub: 'grace', email: 'grace@bigcorp.example', name: 'Grace Hopper', preferred_username: 'grace' };
export const mallory = { sub: 'mallory', email: 'mallory@example.net', name: 'Mallory', preferred_username: 'mallory' };
