// The README, followed by a stranger: every command block in it is run here, or by `.ci/run` where it says so.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Canaries } from '../lib/canaries.mjs';
import { basic, paths } from '../lib/keycloak.mjs';
import { freePorts, run, until } from '../lib/processes.mjs';
import { binary } from '../lib/tollgate.mjs';
import { form, send, urlencoded } from '../lib/wire.mjs';
import { secretOf } from '../realm.mjs';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const readme = readFileSync(join(repository, 'README.md'), 'utf8');
const blocks = (language) => [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, text]) => text);

/** Blocks that `.ci/run` runs as its own steps, and the build, whose binary is here already. */
const elsewhere = [/^cargo run -- demo\n$/, /^cargo test\n$/, /^cargo build --release --locked\nexport PATH=/];

const folder = join(process.env.SUITE_RUN, '85-readme');
const children = [];
const canaries = new Canaries();
after(() => {
  children.forEach((child) => child.kill());
  canaries.leave(folder);
});

const [hook] = await freePorts(1);
const ports = { 8080: process.env.KEYCLOAK_PORT, 8443: process.env.TOLLGATE_PORT, 9000: String(hook) };
/** The README's ports are taken by others on this machine, perhaps; the text is the same but for them. */
const here = (text) => text.replace(/\b(8080|8443|9000)\b/g, (port) => ports[port]);

/** Runs a block as one shell script; a line that ends in `&` goes on in the background. */
async function follow(block) {
  const env = { PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` };
  let script = '';
  let said = '';
  for (const line of here(block).trimEnd().split('\n')) {
    if (!line.endsWith('&')) {
      script += `${line}\n`;
      continue;
    }
    said += await execute(script, env);
    script = '';
    const command = line.slice(0, -1).trim().replace(/^((?:\w+=\$\([^)]*\) )*)(.*)$/, '$1exec $2');
    children.push(spawn('bash', ['-c', command], { cwd: folder, env: { ...process.env, ...env }, stdio: 'ignore' }));
  }
  return said + (await execute(script, env));
}

async function execute(script, env) {
  if (script === '') return '';
  const { code, stdout, stderr } = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder, env });
  assert.equal(code, 0, `${script}\nended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

test('every command of the README does what it says', { timeout: 120_000 }, async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const part of ['certs/README.md', 'docs/examples']) cpSync(join(repository, part), join(folder, part), { recursive: true });
  const config = readFileSync(join(repository, 'proxy.toml'), 'utf8');
  writeFileSync(join(folder, 'proxy.toml'), here(`${config}\n${blocks('toml').join('\n')}`));

  const own = blocks('sh').filter((block) => !elsewhere.some((pattern) => pattern.test(block)));
  assert.equal(own.length, blocks('sh').length - elsewhere.length, 'a block is neither run here nor elsewhere');
  const [keys, interceptor, start, audit, explain, ...rest] = own;
  assert.deepEqual(rest, []);

  await follow(keys);
  await follow(interceptor);
  await until('the interceptor listens', () => send(`http://127.0.0.1:${hook}`, { method: 'POST', body: '' }).then((answer) => answer.status === 401, () => false));
  const tried = await follow(start);
  assert.match(tried, /ALLOW/);
  assert.match(tried, /"plan"/);
  const tollgate = `http://127.0.0.1:${ports[8443]}`;
  await until('Tollgate answers', () => send(tollgate, { target: paths.discovery }).then((answer) => answer.status === 200, () => false));

  const answer = await send(tollgate, {
    method: 'POST',
    target: paths.token,
    headers: { 'Content-Type': urlencoded, Authorization: basic('svc') },
    body: form({ grant_type: 'password', username: 'alice', password: secretOf('alice'), scope: 'openid' }),
  });
  canaries.add('password', secretOf('alice'));
  canaries.add('client secret', secretOf('svc'));
  for (const name of ['access_token', 'refresh_token', 'id_token']) canaries.add(name, answer.json[name]);
  const claims = JSON.parse(Buffer.from(answer.json.access_token.split('.')[1], 'base64url'));
  assert.equal(claims.plan, 'gold');

  const listed = await follow(audit);
  assert.match(listed, /PRE_SESSION_CREATION +ALLOW +endpoint +Plan and seats +alice@example\.org/);
  assert.match(await follow(explain), /PRE_SIGNUP/);
});
