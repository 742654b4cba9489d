// The program under test: its configuration file, its process, its audit.

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { paths } from './keycloak.mjs';
import { Child, run, until } from './processes.mjs';
import { send } from './wire.mjs';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
export const binary = process.env.TOLLGATE_BINARY ?? join(process.env.CARGO_TARGET_DIR ?? join(repository, 'target'), 'debug/tollgate');

const toml = (value) => {
  if (Array.isArray(value)) return `[${value.map(toml).join(', ')}]`;
  if (value !== null && typeof value === 'object') return `{ ${Object.entries(value).map(([key, inner]) => `${key} = ${toml(inner)}`).join(', ')} }`;
  return JSON.stringify(value);
};

const table = (head, entries) => [head, ...Object.entries(entries).map(([key, value]) => `${key} = ${toml(value)}`), ''].join('\n');

export class Tollgate {
  /**
   * @param folder where the configuration, keys, audit and log go
   * @param options `{ port, upstream, interceptors, sections }`; `interceptors` are tables of `[[interceptor]]`,
   *   `sections` further tables by name, merged with those that are always there; a list of them is an array of tables;
   *   `text` is put behind all that; `store` is where the audit goes; `discovery` is the path that answers when the provider is there
   */
  constructor(folder, options) {
    mkdirSync(folder, { recursive: true });
    this.folder = folder;
    this.origin = `http://127.0.0.1:${options.port}`;
    this.config = join(folder, 'proxy.toml');
    this.log = join(folder, 'tollgate.log');
    this.options = options;
    this.write();
  }

  /** Writes the configuration file, with other interceptors if some are given. */
  write(interceptors = this.options.interceptors) {
    this.options.interceptors = interceptors;
    const { port, upstream, store = 'sqlite:audit.db', sections = {}, top = {}, text: behind = '' } = this.options;
    const { listen, tokens, audit, admin, upstream: provider, ...others } = sections;
    const tables = {
      listen: { address: `127.0.0.1:${port}`, public_url: this.origin, ...listen },
      upstream: { url: upstream, preset: 'keycloak', ...provider },
      tokens: { keys: 'certs/signing', capsule_secret: { file: 'certs/capsule.key' }, ...tokens },
      audit: { store, ...audit },
      admin: { address: '127.0.0.1:0', ...admin },
      ...others,
    };
    const text = [
      table('', { environment: 'suite', ...top }).trimStart(),
      ...Object.entries(tables).flatMap(([name, entries]) => (Array.isArray(entries) ? entries.map((one) => table(`[[${name}]]`, one)) : table(`[${name}]`, entries))),
      ...interceptors.map((entries) => table('[[interceptor]]', entries)),
      behind,
    ];
    writeFileSync(this.config, text.join('\n'));
    chmodSync(this.config, 0o600);
  }

  /** One subcommand with this configuration: `{ code, stdout, stderr }`. */
  command(...args) {
    return run(binary, [...args, '--config', this.config], { cwd: this.folder });
  }

  async initKeys() {
    const made = await this.command('keys', 'init');
    if (made.code !== 0) throw new Error(`\`tollgate keys init\` ended with ${made.code}:\n${made.stdout}${made.stderr}`);
  }

  /** The addresses of all its processes; the front door is one of them, or is before them. */
  get origins() {
    return [this.origin];
  }

  get children() {
    return [this.child].filter(Boolean);
  }

  get logs() {
    return [this.log];
  }

  get isRunning() {
    return this.children.length > 0 && this.children.every(({ running }) => running);
  }

  /** What was logged until now. */
  get logged() {
    return this.logs.map((log) => readFileSync(log, 'utf8')).join('');
  }

  /** Starts it and waits until `answers()`. */
  async start(answers = () => this.isOpen(this.origin)) {
    this.child = this.spawn(this.log);
    await this.until(this.child, `Tollgate answers (its log is ${this.log})`, answers);
  }

  spawn(log, env) {
    return new Child(binary, ['run', '--config', this.config], { log, env, cwd: this.folder });
  }

  /** Waits for something that does not come any more when the process has ended. */
  until(child, what, probe) {
    return until(what, async () => {
      if (!child.running) throw new Error(`Tollgate ended at once: ${JSON.stringify(await child.ended)}; its log is ${child.log}`);
      return probe();
    });
  }

  async isOpen(origin, headers = {}) {
    const answer = await send(origin, { target: this.options.discovery ?? paths.discovery, headers }).catch(() => undefined);
    return answer?.status === 200;
  }

  async stop(signal = 'SIGTERM') {
    return this.child?.end(signal);
  }

  /** Ends a process of it as a crash would. */
  kill() {
    return this.stop('SIGKILL');
  }

  /** Changes what the audit has, past Tollgate: one text for another of the same length. */
  async tamper(from, to) {
    const file = join(this.folder, 'audit.db');
    const bytes = readFileSync(file);
    const changed = Buffer.from(bytes);
    // Everywhere, since a page that was split keeps a copy of what it had.
    let at = bytes.indexOf(from);
    if (at < 0) throw new Error('the record is not where it was expected');
    for (; at > 0; at = bytes.indexOf(from, at + 1)) changed.write(to, at);
    writeFileSync(file, changed);
  }

  /** The audit as `tollgate audit list --json` tells it. */
  async audit(...filters) {
    const listed = await this.command('audit', 'list', '--json', ...filters);
    if (listed.code !== 0) throw new Error(`\`tollgate audit list\` ended with ${listed.code}: ${listed.stderr}`);
    const text = listed.stdout.trim();
    return text.startsWith('[') ? JSON.parse(text) : text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }
}
