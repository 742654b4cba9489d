// The real binary with a configuration of its own, and how it is looked at.

import { execFileSync, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join, resolve } from 'node:path';

export const BINARY = resolve(process.env.TOLLGATE_BINARY ?? 'target/debug/tollgate');
const SECRET = 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=';
const running = new Set();
export const MIB = 1024 * 1024;

/** Keys that all instances of a run share. */
export function prepare(run) {
  writeFileSync(join(run, 'proxy.toml'), config({ port: 1, upstream: 1 }));
  execFileSync(BINARY, ['keys', 'init'], { cwd: run, stdio: 'ignore' });
  writeFileSync(join(run, 'hook.key'), SECRET);
}

function config({ port, upstream, listen = '', more = '', audit = 'sqlite:audit.db', interceptors = [], top = '', up = '' }) {
  const asked = interceptors.map(
    ({ name, trigger, url, lines }) => `[[interceptor]]
name = "${name}"
trigger = "${trigger}"
endpoint = "${url}"
secret = { file = "../hook.key" }
${lines}
`,
  );
  return `environment = "faults"
${top}
[listen]
address = "127.0.0.1:${port}"
public_url = "http://127.0.0.1:${port}"
${listen}
[upstream]
url = "http://127.0.0.1:${upstream}"
preset = "generic"
${up}
[tokens]
keys = "${port === 1 ? '' : '../'}certs/signing"
capsule_secret = { file = "${port === 1 ? '' : '../'}certs/capsule.key" }
[audit]
store = "${audit}"
[admin]
address = "127.0.0.1:0"
[[route]]
name = "signup"
methods = ["POST"]
path = "/signup"
does = "consult"
trigger = "PRE_SIGNUP"
bodies = ["form"]
facts = { "user.email" = "form:email" }
${asked.join('')}${more}`;
}

/** Starts Tollgate; the options are those of `config`, and `around`, a command to start it by. */
export async function tollgate(run, name, options) {
  const folder = join(run, name);
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  writeFileSync(join(folder, 'proxy.toml'), config({ ...options, port }));
  options.provider.issuer = `http://127.0.0.1:${port}`;
  const [command, ...before] = options.around ?? [];
  const child = spawn(command ?? BINARY, command ? [...before, BINARY, 'run'] : ['run'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(join(folder, 'tollgate.log'));
  let said = '';
  const admin = new Promise((found, gone) => {
    const read = (chunk) => {
      log.write(chunk);
      if (said.length > 100_000) return;
      said += chunk;
      const match = /the dashboard is on 127\.0\.0\.1:(\d+)/.exec(said);
      if (match) found(Number(match[1]));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', (code) => gone(new Error(`tollgate ended with ${code}: ${said.slice(-600)}`)));
  });
  running.add(child);
  const proxy = new Proxy(child, port, folder);
  proxy.admin = await admin;
  return proxy;
}

class Proxy {
  constructor(child, port, folder) {
    Object.assign(this, { child, port, folder });
    this.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    this.ended.then(() => running.delete(child));
  }

  /** Resident memory in bytes. */
  memory() {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))[1]) * 1024;
  }

  descriptors() {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  get(path, options) {
    return ask(this.port, { path, ...options });
  }

  post(path, fields, options = {}) {
    const body = new URLSearchParams(fields).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length, ...options.headers };
    return ask(this.port, { method: 'POST', path, ...options, headers }, body);
  }

  machineToken(options) {
    const authorization = `Basic ${Buffer.from('batch:secret').toString('base64')}`;
    return this.post('/token', { grant_type: 'client_credentials', scope: 'email' }, { ...options, headers: { authorization } });
  }

  signup(email = 'ada@example.com', options) {
    return this.post('/signup', { email }, options);
  }

  health() {
    return ask(this.admin, { path: '/healthz' });
  }

  /** The sum of the series of this name that have these words in their labels. */
  async metric(name, ...words) {
    const { text } = await ask(this.admin, { path: '/metrics' });
    const lines = text.split('\n').filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && words.every((word) => line.includes(word)));
    if (lines.length === 0) throw new Error(`no series ${name} ${words}`);
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  /** The newest records, newest first. */
  records(limit = 50) {
    const text = execFileSync(BINARY, ['audit', 'list', '--json', '--limit', String(limit)], { cwd: this.folder, encoding: 'utf8' });
    return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    return this.ended;
  }
}

/** One request on a connection of its own: `{ status, headers, text, ms }`, or `{ error, ms }`. */
export function ask(port, options, body) {
  const began = performance.now();
  const ms = () => performance.now() - began;
  return new Promise((resolve) => {
    const request = http.request({ host: '127.0.0.1', port, agent: false, ...options }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk) => (text += chunk));
      answer.once('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text, ms: ms() }));
      answer.once('error', (error) => resolve({ status: answer.statusCode, error: error.code ?? String(error), text, ms: ms() }));
    });
    request.setTimeout(options.limit ?? 60_000, () => request.destroy(new Error('no answer in time')));
    request.once('error', (error) => resolve({ error: error.code ?? error.message, ms: ms() }));
    request.end(body);
  });
}

export async function stopAll() {
  const ends = [...running].map((child) => new Promise((resolve) => {
    child.once('exit', resolve);
    child.kill('SIGKILL');
  }));
  await Promise.all(ends);
}

/**
 * How much longer everything takes here and now, from 1 on: a limit in seconds is for a machine that nobody else uses at the time, so it is
 * multiplied by this. Measured by what a busy loop gets of a core.
 */
export function slowdown() {
  const [began, used] = [performance.now(), process.cpuUsage()];
  while (performance.now() - began < 100);
  const { user, system } = process.cpuUsage(used);
  return Math.max(1, ((performance.now() - began) * 1000) / Math.max(1, user + system));
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something holds, 20 s at the most; the milliseconds that it took. */
export async function until(what, holds, limit = 20_000) {
  const began = performance.now();
  while (!(await holds())) {
    if (performance.now() - began > limit) throw new Error(`waited too long until ${what}`);
    await pause(20);
  }
  return performance.now() - began;
}

export function expect(holds, what) {
  if (!holds) throw new Error(`expected ${what}`);
}

export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
