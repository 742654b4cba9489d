// Starts one Keycloak for all suites, runs them one after the other, and stops it.
//   node run.mjs [--default-paths] [--replicas] [SUITE…]     all suites of suites/, or only those named, such as `registration`
// With --replicas there are two Tollgates with one audit in a PostgreSQL of this run, and each request goes to one of them at random; SPREAD_SEED
// repeats the choices.
// Fails if a test failed, was skipped, or did not run. Keeps what Tollgate wrote in $SUITE_RUN, a new temporary folder by default.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { filesBelow } from './lib/canaries.mjs';
import { postgres } from './lib/postgres.mjs';
import { freePorts } from './lib/processes.mjs';
import { chosen, runAll } from './lib/suites.mjs';
import { secretOf } from './realm.mjs';

const given = process.argv.slice(2);
const named = given.filter((argument) => !['--default-paths', '--replicas'].includes(argument));
const isReplicated = given.includes('--replicas');
// The laxest reading of paths that Keycloak has: what Tollgate lets pass in this mode, Keycloak acts on.
const paths = given.includes('--default-paths') ? '' : '--http-accept-non-normalized-paths=true ';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-suite-'));
mkdirSync(folder, { recursive: true });
const [keycloak, management, tollgate, rp, smtp, ciba, database] = await freePorts(7);
console.log(`ports: Keycloak ${keycloak} (management ${management}), Tollgate ${tollgate}, relying party ${rp}, mail ${smtp}`);
console.log(`logs, audits and events: ${folder}`);

// How Keycloak looks for the certificates of clients: `rfc9440`, or `nginx`.
const certificates = process.env.CERTIFICATES ?? 'rfc9440';
const lookup = `--spi-x509cert-lookup--provider=${certificates}${certificates === 'nginx' ? ' --spi-x509cert-lookup--nginx--ssl-client-cert=ssl-client-cert' : ''}`;

const env = {
  ...process.env,
  SUITE_RUN: folder,
  KEYCLOAK_RUN: join(folder, 'keycloak'),
  KEYCLOAK_PORT: String(keycloak),
  KEYCLOAK_URL: `http://127.0.0.1:${keycloak}`,
  KEYCLOAK_PUBLIC: `http://127.0.0.1:${tollgate}`,
  KEYCLOAK_ADMIN: secretOf('admin'),
  // Last, where Tollgate says which certificate a client has shown.
  KEYCLOAK_OPTIONS: `${paths}--spi-ciba-auth-channel--ciba-http-auth-channel--http-authentication-channel-uri=http://127.0.0.1:${ciba}/ ${lookup}`,
  CERTIFICATES: certificates,
  // Whoever asks a user on another device (CIBA) is asked here.
  CIBA_PORT: String(ciba),
  TOLLGATE_PORT: String(tollgate),
  RP_PORT: String(rp),
  SMTP_PORT: String(smtp),
};

const children = new Set();
function execute(command, args) {
  const child = spawn(command, args, { cwd: here, env, stdio: 'inherit' });
  children.add(child);
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(console.error(String(error)) ?? 127));
    child.once('exit', (code) => {
      children.delete(child);
      resolve(code ?? 1);
    });
  });
}

const script = join(here, 'keycloak.sh');
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    interrupted = true;
    for (const child of children) child.kill(signal);
  });
}

/** How many requests each replica got, in all suites. */
function spread() {
  const counts = filesBelow(folder).filter((file) => file.endsWith('/spread.json')).map((file) => JSON.parse(readFileSync(file, 'utf8')));
  return counts.reduce((sums, each) => sums.map((sum, index) => sum + each[index]), [0, 0]);
}

const cluster = isReplicated ? await postgres(database) : undefined;
if (cluster) {
  env.POSTGRES = cluster.url;
  env.SPREAD_SEED ??= String(Math.floor(Math.random() * 2 ** 31));
  console.log(`two replicas, PostgreSQL on ${database}; SPREAD_SEED=${env.SPREAD_SEED}`);
}
let code = await execute(script, ['start']);
if (code === 0 && !interrupted) {
  // 90 comes last, because it reads what all the others left.
  const files = chosen(here, named);
  env.SUITES = JSON.stringify(files);
  ({ code } = await runAll(files, folder, (args) => execute(process.execPath, args)));
  if (cluster) {
    const requests = spread();
    console.log(`requests by replica: ${requests.join(' and ')}`);
    if (Math.min(...requests) < 0.4 * Math.max(...requests)) {
      console.error('they were not spread');
      code ||= 1;
    }
  }
}
await execute(script, ['stop']);
await cluster?.close();
process.exit(code);
