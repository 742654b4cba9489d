// Drives the dashboard in Chromium, in front of a small provider of its own.
//   node run.mjs [SUITE…]         all suites of suites/, or only those whose name contains a word
//   node run.mjs --screenshots    takes the pictures of docs/screenshots/ anew
// Fails if a test failed, was skipped, or did not run. Keeps what Tollgate wrote in $SUITE_RUN, a new temporary folder by default.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const given = process.argv.slice(2);
const here = fileURLToPath(new URL('.', import.meta.url));
const folder = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-dashboard-'));
mkdirSync(folder, { recursive: true });
console.log(`logs and audits: ${folder}`);

let child;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child?.kill(signal));

function execute(args) {
  child = spawn(process.execPath, args, { cwd: here, env: { ...process.env, SUITE_RUN: folder }, stdio: 'inherit' });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

async function test(words) {
  const all = readdirSync(join(here, 'suites')).filter((name) => name.endsWith('.test.mjs')).sort();
  const files = words.length ? all.filter((name) => words.some((word) => name.includes(word))) : all;
  const report = join(folder, 'report.tap');
  const started = Date.now();
  let code = await execute([
    '--test',
    '--test-concurrency=1',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    '--test-reporter=tap',
    `--test-reporter-destination=${report}`,
    ...files.map((name) => join(here, 'suites', name)),
  ]);
  const counted = (what) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(readFileSync(report, 'utf8'))?.[1] ?? NaN);
  const idle = counted('skipped') + counted('todo') + counted('cancelled');
  if (files.length === 0 || idle !== 0 || !(counted('pass') >= files.length)) {
    console.error(`not everything ran: ${counted('pass')} passed of ${files.length} suites, ${idle} skipped, to do or cancelled`);
    code ||= 1;
  }
  console.log(`${files.length} suites, ${counted('pass')} tests passed, ${counted('fail')} failed, in ${((Date.now() - started) / 1000).toFixed(0)} s`);
  return code;
}

process.exit(given.includes('--screenshots') ? await execute([join(here, 'screenshots.mjs')]) : await test(given));
