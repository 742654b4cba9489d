// The proxies that are measured, each of them on the same port in its turn.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Program } from './processes.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
export const tollgateBinary = resolve(process.env.TOLLGATE_BINARY ?? join(here, '../target/release/tollgate'));

/** Writes a configuration of this folder with its `${…}` filled in. */
export function filled(file, values, to) {
  const text = readFileSync(join(here, file), 'utf8').replace(/\$\{(\w+)\}/g, (_, name) => values[name]);
  writeFileSync(to, text);
  return to;
}

const found = (command, args) => {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim().split('\n')[0];
  } catch {
    return undefined;
  }
};
const versions = {
  // nginx says its version on the standard error.
  nginx: () => found('sh', ['-c', 'nginx -v 2>&1'])?.replace(/^.*\//, 'nginx '),
  haproxy: () => found('haproxy', ['-v'])?.replace(/^HAProxy version ([\d.]+).*/, 'HAProxy $1'),
  envoy: () => found('envoy', ['--version'])?.replace(/^.*version: [0-9a-f]+\/([\d.]+).*/, 'Envoy $1'),
  node: () => `Node ${process.versions.node} with jose`,
  tollgate: () => found(tollgateBinary, ['--version']),
};

/** What is installed, by name: `nginx 1.22.1`. A peer that is not there is undefined. */
export const installed = Object.fromEntries(Object.entries(versions).map(([name, version]) => [name, version()]));

/** Starts one on `core`: `{ run, port, upstream, hook }` say where and between whom. */
export const start = {
  nginx: (core, place) => new Program('nginx', core, 'nginx', ['-c', filled('peers/nginx.conf', place, join(place.run, 'nginx.conf'))], place),
  haproxy: (core, place) => new Program('haproxy', core, 'haproxy', ['-db', '-f', filled('peers/haproxy.cfg', place, join(place.run, 'haproxy.cfg'))], place),
  envoy: (core, place) => envoy('envoy', core, place),
  'envoy-authz': (core, place) => envoy('envoy-authz', core, place),
  node: (core, place) => new Program('node', core, process.execPath, [join(here, 'peers/reissue.mjs'), place.port, place.upstream, place.hook].map(String), place),
  tollgate: (core, place) => tollgate(core, place),
};

function envoy(name, core, place) {
  const file = filled(`peers/${name}.yaml`, place, join(place.run, `${name}.yaml`));
  return new Program(name, core, 'envoy', ['-c', file, '--concurrency', '1', '--log-level', 'warn', '--disable-hot-restart'], place);
}

/** A Tollgate with keys and an audit of its own; `further` is added to its proxy.toml, `put` puts something into its folder. */
function tollgate(core, { further = '', verdict = 'allow', put, ...place }) {
  const run = join(place.run, `tollgate-${randomBytes(3).toString('hex')}`);
  mkdirSync(run);
  writeFileSync(join(run, 'hook.key'), `whsec_${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const file = filled('peers/tollgate.toml', { ...place, verdict }, join(run, 'proxy.toml'));
  writeFileSync(file, further, { flag: 'a' });
  execFileSync(tollgateBinary, ['keys', 'init', '--config', file], { stdio: 'ignore' });
  put?.(run);
  return new Program('tollgate', core, tollgateBinary, ['run', '--config', file], { run });
}
