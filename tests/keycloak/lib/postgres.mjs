// A PostgreSQL for one run of the suites.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { run } from './processes.mjs';

const script = fileURLToPath(new URL('../../postgres.sh', import.meta.url));
const debian = '/usr/lib/postgresql';
const user = 'tollgate';

/** The folder of the newest PostgreSQL's programs. Debian does not have them in PATH. */
function programs() {
  const versions = existsSync(debian) ? readdirSync(debian).sort((one, other) => Number(other) - Number(one)) : [];
  const folders = [...versions.map((version) => join(debian, version, 'bin')), ...process.env.PATH.split(delimiter)];
  const found = folders.find((folder) => ['initdb', 'postgres', 'psql'].every((name) => existsSync(join(folder, name))));
  if (!found) throw new Error(`PostgreSQL's \`initdb\` is neither in PATH nor below ${debian}: install \`postgresql\``);
  return found;
}

/** What starts a command as somebody who may run PostgreSQL: it refuses root. */
function unprivileged() {
  if (process.getuid() !== 0) return ['env'];
  const known = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':'));
  const [, , id, group] = known.find(([name]) => name === 'postgres') ?? known.find(([name]) => name === 'nobody');
  return ['setpriv', '--reuid', id, '--regid', group, '--clear-groups', '--'];
}

/** Starts one on this port: `{ url, close }`. It ends with this process, however that ends. */
export async function postgres(port) {
  const [command, ...args] = unprivileged();
  const text = readFileSync(script, 'utf8');
  const shell = spawn(command, [...args, 'sh', '-c', text, 'postgres', programs(), String(port)], { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => shell.once('exit', resolve));
  const lines = createInterface({ input: shell.stdout });
  const ready = new Promise((resolve) => lines.once('line', resolve));
  const said = await Promise.race([ready, ended.then((code) => `ended with ${code}`)]);
  if (!said.startsWith('ready ')) throw new Error(`no PostgreSQL: ${said}`);
  return {
    url: `postgres://${user}@127.0.0.1:${port}/postgres`,
    close() {
      shell.stdin.end();
      return ended;
    },
  };
}

/** Runs SQL; what it selects, a row a line, columns with a bar between. */
export async function sql(url, text) {
  const ran = await run(join(programs(), 'psql'), ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', url, '-c', text]);
  if (ran.code !== 0) throw new Error(`${text}: ${ran.stderr}`);
  return ran.stdout.trimEnd();
}
